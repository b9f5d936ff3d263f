"""Stories with transfers by the keys of a phone (features of Asterisk) and three-way calls."""

from __future__ import annotations

from tests.lab.asterisk import Did
from tests.lab.phones import PhoneCall
from tests.lab.refer_scenarios import WITH_1001, outside_leg, talked
from tests.lab.scenarios import OUTSIDE, inbound
from tests.lab.stage import TRUNK, Stage, Truth, callee, leg, phone, scenario
from tests.lab.transfer_scenarios import customer_with_1001, transferred

PROMPT_SECONDS = 1.5
"""The prompt "transfer" plays so long before digits are taken."""


async def press(stage: Stage, desk: PhoneCall, code: str, number: str) -> None:
    """Play: press a transfer code, listen to the prompt, press the number."""
    before = stage.ami.count("MusicOnHoldStart")
    await desk.dtmf(code)
    await stage.ami.until(
        lambda: stage.ami.count("MusicOnHoldStart") > before, "the customer to hear music"
    )
    await stage.pass_time(PROMPT_SECONDS)
    await desk.dtmf(number)


@scenario("transfer/blind_by_keys_answered", "1001", "1002", ring_seconds=5)
async def blind_by_keys_answered(stage: Stage) -> Truth:
    """1001 presses #1 and 1002: the customer goes to 1002, who answers."""
    caller, desk = await customer_with_1001(stage)
    await press(stage, desk, "#1", "1002")
    target = await stage.phones.incoming("1002", 15)
    await desk.ended()
    await stage.pass_time(0.4)
    await target.answer()
    await talked(stage, caller, target)
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[leg(TRUNK, "caller"), callee("1001", "answered"), callee("1002", "answered")],
            talks=[WITH_1001, [TRUNK, phone("1002")]],
            transfers=[transferred("blind", [phone("1002")], "answered")],
        )
    ]


@scenario("transfer/blind_by_keys_busy_recalled", "1001", "1002", ring_seconds=5)
async def blind_by_keys_busy_recalled(stage: Stage) -> Truth:
    """1001 transfers blindly by keys to 1002, who is busy: the dialplan rings 1001 again."""
    caller, desk = await customer_with_1001(stage)
    await press(stage, desk, "#1", "71002")
    target = await stage.phones.incoming("1002", 15)
    await target.reject(486)
    back = await stage.phones.incoming("1001")
    await stage.pass_time(0.4)
    await back.answer()
    await talked(stage, caller, back)
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[
                leg(TRUNK, "caller"),
                callee("1001", "answered"),
                callee("1002", "busy"),
                callee("1001", "answered"),
            ],
            talks=[WITH_1001, WITH_1001],
            transfers=[transferred("blind", [phone("1002")], "failed")],
        )
    ]


@scenario("transfer/attended_by_keys_busy", "1001", "1002", ring_seconds=5)
async def attended_by_keys_busy(stage: Stage) -> Truth:
    """1001 presses *2 and 1002, who is busy: 1001 is back with the customer."""
    caller, desk = await customer_with_1001(stage)
    await press(stage, desk, "*2", "1002")
    target = await stage.phones.incoming("1002", 15)
    await target.reject(486)
    await stage.pass_time(4.0)
    await caller.hangup()
    await desk.ended()
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[leg(TRUNK, "caller"), callee("1001", "answered"), callee("1002", "busy")],
            talks=[WITH_1001],
        )
    ]


@scenario("transfer/attended_by_keys_aborted", "1001", "1002", ring_seconds=5)
async def attended_by_keys_aborted(stage: Stage) -> Truth:
    """1001 presses *2, talks to 1002 and presses *1: 1001 is back with the customer."""
    caller, desk = await customer_with_1001(stage)
    await press(stage, desk, "*2", "1002")
    target = await stage.phones.incoming("1002", 15)
    await target.answer()
    await stage.pass_time(1.0)
    await desk.dtmf("*1")
    await target.ended()
    await stage.pass_time(1.0)
    await caller.hangup()
    await desk.ended()
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[leg(TRUNK, "caller"), callee("1001", "answered"), callee("1002", "answered")],
            talks=[WITH_1001, [phone("1001"), phone("1002")]],
        )
    ]


@scenario("transfer/blonde_by_keys_answered", "1001", "1002", ring_seconds=8)
async def blonde_by_keys_answered(stage: Stage) -> Truth:
    """1001 presses *2 and 1002 and hangs up while 1002 rings; 1002 answers."""
    caller, desk = await customer_with_1001(stage)
    await press(stage, desk, "*2", "1002")
    target = await stage.phones.incoming("1002", 15)
    await stage.pass_time(0.4)
    await desk.hangup()
    await stage.pass_time(0.6)
    await target.answer()
    await talked(stage, caller, target)
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[leg(TRUNK, "caller"), callee("1001", "answered"), callee("1002", "answered")],
            talks=[WITH_1001, [TRUNK, phone("1002")]],
            transfers=[transferred("blonde", [phone("1002")], "answered")],
        )
    ]


@scenario("transfer/blonde_by_keys_busy_recalled", "1001", "1002", ring_seconds=8)
async def blonde_by_keys_busy_recalled(stage: Stage) -> Truth:
    """1001 hangs up while 1002 rings, who declines: Asterisk rings 1001, who answers."""
    caller, desk = await customer_with_1001(stage)
    await press(stage, desk, "*2", "1002")
    target = await stage.phones.incoming("1002", 15)
    await stage.pass_time(0.4)
    await desk.hangup()
    await stage.pass_time(0.4)
    await target.reject(486)
    back = await stage.phones.incoming("1001", 15)
    await stage.pass_time(0.4)
    await back.answer()
    await talked(stage, caller, back)
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[
                leg(TRUNK, "caller"),
                callee("1001", "answered"),
                callee("1002", "busy"),
                callee("1001", "answered"),
            ],
            talks=[WITH_1001, WITH_1001],
            transfers=[transferred("blonde", [phone("1002")], "failed")],
        )
    ]


@scenario("transfer/attended_by_keys_to_outside_answered", "1001", ring_seconds=8)
async def attended_by_keys_to_outside(stage: Stage) -> Truth:
    """1001 presses *2 and a mobile's number, talks to it and hangs up: the customer gets it."""
    await stage.phones.outside(OUTSIDE)
    caller, desk = await customer_with_1001(stage)
    await press(stage, desk, "*2", OUTSIDE)
    mobile = await stage.phones.incoming(OUTSIDE, 20)
    await stage.pass_time(0.4)
    await mobile.answer()
    await stage.pass_time(1.0)
    await desk.hangup()
    await stage.ami.event("AttendedTransfer")
    await talked(stage, caller, mobile)
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[leg(TRUNK, "caller"), callee("1001", "answered"), outside_leg("answered")],
            talks=[WITH_1001, [phone("1001"), TRUNK], [TRUNK, TRUNK]],
            transfers=[transferred("attended", [TRUNK], "answered")],
        )
    ]


@scenario("transfer/swap_by_keys_then_answered", "1001", "1002", ring_seconds=8)
async def swap_by_keys(stage: Stage) -> Truth:
    """1001 asks 1002 by *2, goes back to the customer and again to 1002 by *5, then hangs up."""
    caller, desk = await customer_with_1001(stage)
    await press(stage, desk, "*2", "1002")
    target = await stage.phones.incoming("1002", 15)
    await target.answer()
    await stage.pass_time(0.8)
    await desk.dtmf("*5")
    await stage.pass_time(1.5)
    await desk.dtmf("*5")
    await stage.pass_time(1.5)
    await desk.hangup()
    await stage.ami.event("AttendedTransfer")
    await talked(stage, caller, target)
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[leg(TRUNK, "caller"), callee("1001", "answered"), callee("1002", "answered")],
            talks=[WITH_1001, [phone("1001"), phone("1002")], [TRUNK, phone("1002")]],
            transfers=[transferred("attended", [phone("1002")], "answered")],
        )
    ]


async def three_way(stage: Stage) -> tuple[PhoneCall, PhoneCall, PhoneCall]:
    """Play: 1001 asks 1002 by *2 and presses *3: all three hear each other."""
    caller, desk = await customer_with_1001(stage)
    await press(stage, desk, "*2", "1002")
    target = await stage.phones.incoming("1002", 15)
    await target.answer()
    await stage.pass_time(0.8)
    await desk.dtmf("*3")
    await stage.ami.event("AttendedTransfer")
    await stage.pass_time(1.0)
    return caller, desk, target


THREE = [WITH_1001, [phone("1001"), phone("1002")], [TRUNK, phone("1002")]]


@scenario("conference/three_way_transferer_leaves", "1001", "1002", ring_seconds=8)
async def three_way_transferer_leaves(stage: Stage) -> Truth:
    """1001 makes a call of three with the customer and 1002, and leaves them alone."""
    caller, desk, target = await three_way(stage)
    await desk.hangup()
    await talked(stage, caller, target)
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[leg(TRUNK, "caller"), callee("1001", "answered"), callee("1002", "answered")],
            talks=THREE,
            transfers=[transferred("attended", [phone("1002")], "answered")],
        )
    ]


@scenario("conference/three_way_target_leaves", "1001", "1002", ring_seconds=8)
async def three_way_target_leaves(stage: Stage) -> Truth:
    """1001 makes a call of three; 1002 leaves and 1001 goes on with the customer."""
    caller, desk, target = await three_way(stage)
    await target.hangup()
    await stage.pass_time(0.8)
    await caller.hangup()
    await desk.ended()
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[leg(TRUNK, "caller"), callee("1001", "answered"), callee("1002", "answered")],
            talks=THREE,
        )
    ]
