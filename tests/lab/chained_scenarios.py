"""Stories of transfers of all kinds of calls: of queues, outbound, internal; twice; given up."""

from __future__ import annotations

from typing import Any

from tests.lab.asterisk import AGENTS, Did
from tests.lab.keys_scenarios import press
from tests.lab.manager_scenarios import call_by_local
from tests.lab.phones import PhoneCall
from tests.lab.refer_scenarios import WITH_1001, held_and_asked, outside_leg, talked
from tests.lab.scenarios import CUSTOMER, NAME, OUTSIDE, inbound, outbound
from tests.lab.stage import TRUNK, Stage, Truth, callee, leg, more_phones, phone, scenario
from tests.lab.transfer_scenarios import CONSULT, customer_with_1001, transferred

WITH_1002 = [TRUNK, phone("1002")]
WITH_1004 = [TRUNK, phone("1004")]


async def asked(stage: Stage, desk: PhoneCall, line: str) -> tuple[PhoneCall, PhoneCall]:
    """Play: 1001 holds the call and asks a colleague, who answers."""
    await desk.hold()
    consult = await stage.phones.dial("1001", line)
    target = await stage.phones.incoming(line)
    await stage.pass_time(0.4)
    await target.answer()
    await consult.confirmed()
    await stage.pass_time(0.6)
    return consult, target


async def queue_call(stage: Stage, did: str, queue: str, kind: str) -> Truth:
    """Play: 1001 takes a queue call and hands the customer on to 1004."""
    caller = await stage.phones.call_in(CUSTOMER, did, name=NAME)
    desk = await stage.phones.incoming("1001")
    await desk.answer()
    await stage.pass_time(0.8)
    talks = [WITH_1001]
    legs = [leg(TRUNK, "caller"), callee("1001", "answered"), callee("1004", "answered")]
    if kind == "attended":
        consult, target = await asked(stage, desk, "1004")
        await desk.attended(consult)
        talks.append([phone("1001"), phone("1004")])
        legs.append(leg(phone("1001"), "consult"))
    elif kind == "blonde":
        await desk.hold()
        consult = await stage.phones.dial("1001", "1004")
        target = await stage.phones.incoming("1004")
        await consult.ringing()
        await desk.attended(consult)
        await stage.pass_time(0.5)
        await target.answer()
        legs.append(leg(phone("1001"), "consult"))
    elif kind == "keys":
        await press(stage, desk, "*2", "1004")
        target = await stage.phones.incoming("1004", 15)
        await target.answer()
        await stage.pass_time(0.8)
        await desk.hangup()
        talks.append([phone("1001"), phone("1004")])
    else:
        await desk.transfer("1004")
        target = await stage.phones.incoming("1004")
        await stage.pass_time(0.4)
        await target.answer()
    await talked(stage, caller, target)
    told = "attended" if kind == "keys" else kind
    return [
        inbound(
            did,
            "answered",
            queues=[queue],
            legs=legs,
            talks=[*talks, WITH_1004],
            transfers=[transferred(told, [phone("1004")], "answered")],
        )
    ]


@scenario("transfer/queue_call_attended_answered", "1001", "1004", queue_seconds=10)
async def queue_call_attended(stage: Stage) -> Truth:
    """1001 takes a queue call, asks 1004 on a second call and connects the two."""
    return await queue_call(stage, Did.SUPPORT, "support", "attended")


@scenario("transfer/queue_call_blonde_answered", "1001", "1004", queue_seconds=10, ring_seconds=6)
async def queue_call_blonde(stage: Stage) -> Truth:
    """1001 takes a queue call and lets go of the customer while 1004 rings, who answers."""
    return await queue_call(stage, Did.SUPPORT, "support", "blonde")


@scenario("transfer/queue_call_by_keys_answered", "1001", "1004", queue_seconds=10, ring_seconds=8)
async def queue_call_by_keys(stage: Stage) -> Truth:
    """1001 takes a queue call, asks 1004 by *2 and hangs up: the customer gets 1004."""
    return await queue_call(stage, Did.SUPPORT, "support", "keys")


@scenario("transfer/fpbx_queue_call_blind_answered", "1001", "1004", queue_seconds=10)
async def fpbx_queue_call_blind(stage: Stage) -> Truth:
    """1001, a Local member with /n, takes a queue call and transfers it blindly to 1004."""
    return await queue_call(stage, Did.FPBX, "fpbx", "blind")


@scenario("transfer/fpbx_queue_call_attended_answered", "1001", "1004", queue_seconds=10)
async def fpbx_queue_call_attended(stage: Stage) -> Truth:
    """1001, a Local member with /n, asks 1004 about a queue call and connects the two."""
    return await queue_call(stage, Did.FPBX, "fpbx", "attended")


@scenario(
    "transfer/fpbx_queue_call_blonde_answered", "1001", "1004", queue_seconds=10, ring_seconds=6
)
async def fpbx_queue_call_blonde(stage: Stage) -> Truth:
    """1001, a Local member with /n, lets go of a queue call while 1004 rings, who answers."""
    return await queue_call(stage, Did.FPBX, "fpbx", "blonde")


@scenario("transfer/blind_twice_answered", "1001", "1002", "1004", ring_seconds=6)
async def blind_twice(stage: Stage) -> Truth:
    """1001 transfers the customer blindly to 1002, who transfers them blindly to 1004."""
    caller, desk = await customer_with_1001(stage)
    await desk.transfer("1002")
    middle = await stage.phones.incoming("1002")
    await middle.answer()
    await stage.pass_time(0.8)
    await middle.transfer("1004")
    target = await stage.phones.incoming("1004")
    await target.answer()
    await talked(stage, caller, target)
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[
                leg(TRUNK, "caller"),
                callee("1001", "answered"),
                callee("1002", "answered"),
                callee("1004", "answered"),
            ],
            talks=[WITH_1001, WITH_1002, WITH_1004],
            transfers=[
                transferred("blind", [phone("1002")], "answered"),
                transferred("blind", [phone("1004")], "answered", phone("1002")),
            ],
        )
    ]


@scenario("transfer/attended_twice_answered", "1001", "1002", ring_seconds=6)
async def attended_twice(stage: Stage) -> Truth:
    """1001 connects the customer with 1002 after asking, who does the same with 1004."""
    async with more_phones(stage, "1004") as upstairs:
        caller, desk = await customer_with_1001(stage)
        consult, middle = await asked(stage, desk, "1002")
        await desk.attended(consult)
        await stage.pass_time(0.8)
        await middle.hold()
        consult = await stage.phones.dial("1002", "1004")
        target = await upstairs.incoming("1004")
        await target.answer()
        await consult.confirmed()
        await stage.pass_time(0.8)
        await middle.attended(consult)
        await talked(stage, caller, target)
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[
                leg(TRUNK, "caller"),
                callee("1001", "answered"),
                leg(phone("1001"), "consult"),
                callee("1002", "answered"),
                leg(phone("1002"), "consult"),
                callee("1004", "answered"),
            ],
            talks=[
                WITH_1001,
                [phone("1001"), phone("1002")],
                WITH_1002,
                [phone("1002"), phone("1004")],
                WITH_1004,
            ],
            transfers=[
                transferred("attended", [phone("1002")], "answered"),
                transferred("attended", [phone("1004")], "answered", phone("1002")),
            ],
        )
    ]


@scenario("transfer/customer_gives_up_during_consult", "1001", "1002", ring_seconds=6)
async def customer_gives_up_during_consult(stage: Stage) -> Truth:
    """1001 holds the customer and asks 1002; the customer hangs up, the two go on talking."""
    caller, desk = await customer_with_1001(stage)
    consult, target = await asked(stage, desk, "1002")
    await caller.hangup()
    await desk.ended()
    await stage.pass_time(0.8)
    await consult.hangup()
    await target.ended()
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[leg(TRUNK, "caller"), callee("1001", "answered")],
            talks=[WITH_1001],
            transfers=[],
        ),
        {
            "direction": "internal",
            "outcome": "answered",
            "ended": True,
            "caller": CONSULT,
            "dialed": "1002",
            "queues": [],
            "legs": [leg(phone("1001"), "caller"), callee("1002", "answered")],
            "talks": [[phone("1001"), phone("1002")]],
            "transfers": [],
        },
    ]


@scenario("transfer/blonde_customer_gives_up", "1001", "1002", ring_seconds=8)
async def blonde_customer_gives_up(stage: Stage) -> Truth:
    """1001 lets go of the customer while 1002 rings; the customer hangs up before the answer."""
    caller, desk, consult = await held_and_asked(stage, "1002")
    target = await stage.phones.incoming("1002")
    await consult.ringing()
    await desk.attended(consult)
    await stage.pass_time(0.8)
    await caller.hangup()
    await target.ended()
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[
                leg(TRUNK, "caller"),
                callee("1001", "answered"),
                leg(phone("1001"), "consult"),
                callee("1002", "cancelled"),
            ],
            talks=[WITH_1001],
            transfers=[transferred("blonde", [phone("1002")], "abandoned")],
        )
    ]


@scenario("transfer/blonde_by_keys_customer_gives_up", "1001", "1002", ring_seconds=8)
async def blonde_by_keys_customer_gives_up(stage: Stage) -> Truth:
    """1001 presses *2 and 1002 and hangs up; the customer hangs up while 1002 rings."""
    caller, desk = await customer_with_1001(stage)
    await press(stage, desk, "*2", "1002")
    target = await stage.phones.incoming("1002", 15)
    await stage.pass_time(0.4)
    await desk.hangup()
    await stage.pass_time(0.8)
    await caller.hangup()
    await target.ended(15)
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[leg(TRUNK, "caller"), callee("1001", "answered"), callee("1002", "cancelled")],
            talks=[WITH_1001],
            transfers=[transferred("blonde", [phone("1002")], "abandoned")],
        )
    ]


async def called_customer(stage: Stage) -> tuple[PhoneCall, PhoneCall]:
    """Play: 1001 calls a customer, who answers; return both ends."""
    await stage.phones.outside(OUTSIDE)
    desk = await stage.phones.dial("1001", OUTSIDE)
    customer = await stage.phones.incoming(OUTSIDE)
    await customer.answer()
    await desk.confirmed()
    await stage.pass_time(0.6)
    return desk, customer


def handed_on(kind: str, **more: Any) -> dict[str, Any]:
    """Return the truth of a call to the outside that 1001 hands on to 1002."""
    return outbound("answered", transfers=[transferred(kind, [phone("1002")], "answered")], **more)


@scenario("transfer/outbound_blind_answered", "1001", "1002", ring_seconds=6)
async def outbound_blind(stage: Stage) -> Truth:
    """1001 calls a customer and transfers them blindly to 1002, who answers."""
    desk, customer = await called_customer(stage)
    await desk.transfer("1002")
    target = await stage.phones.incoming("1002")
    await target.answer()
    await talked(stage, customer, target)
    return [
        handed_on(
            "blind",
            legs=[
                leg(phone("1001"), "caller"),
                outside_leg("answered"),
                callee("1002", "answered"),
            ],
            talks=[[phone("1001"), TRUNK], WITH_1002],
        )
    ]


@scenario("transfer/outbound_attended_answered", "1001", "1002", ring_seconds=6)
async def outbound_attended(stage: Stage) -> Truth:
    """1001 calls a customer, asks 1002 on a second call and connects the two."""
    desk, customer = await called_customer(stage)
    consult, target = await asked(stage, desk, "1002")
    await desk.attended(consult)
    await talked(stage, customer, target)
    return [
        handed_on(
            "attended",
            legs=[
                leg(phone("1001"), "caller"),
                outside_leg("answered"),
                leg(phone("1001"), "consult"),
                callee("1002", "answered"),
            ],
            talks=[[phone("1001"), TRUNK], [phone("1001"), phone("1002")], WITH_1002],
        )
    ]


@scenario("transfer/outbound_by_keys_answered", "1001", "1002", ring_seconds=8)
async def outbound_by_keys(stage: Stage) -> Truth:
    """1001 calls a customer, asks 1002 by *2 and hangs up: the customer gets 1002."""
    desk, customer = await called_customer(stage)
    await press(stage, desk, "*2", "1002")
    target = await stage.phones.incoming("1002", 15)
    await target.answer()
    await stage.pass_time(0.8)
    await desk.hangup()
    await talked(stage, customer, target)
    return [
        handed_on(
            "attended",
            legs=[
                leg(phone("1001"), "caller"),
                outside_leg("answered"),
                callee("1002", "answered"),
            ],
            talks=[[phone("1001"), TRUNK], [phone("1001"), phone("1002")], WITH_1002],
        )
    ]


@scenario("transfer/click_to_call_by_local_blind_answered", "1001", "1002", ring_seconds=6)
async def click_to_call_blind(stage: Stage) -> Truth:
    """1001 reaches a customer by the call button and transfers them blindly to 1002."""
    desk = await call_by_local(stage)
    await desk.answer()
    customer = await stage.phones.incoming(OUTSIDE)
    await customer.answer()
    await stage.pass_time(0.8)
    await desk.transfer("1002")
    target = await stage.phones.incoming("1002")
    await target.answer()
    await talked(stage, customer, target)
    return [
        handed_on(
            "blind",
            legs=[
                leg(phone("1001"), "caller"),
                outside_leg("answered"),
                callee("1002", "answered"),
            ],
            talks=[[phone("1001"), TRUNK], WITH_1002],
        )
    ]


@scenario("transfer/internal_call_by_callee_answered", "1001", "1002", "1004", ring_seconds=6)
async def internal_by_callee(stage: Stage) -> Truth:
    """1002 calls 1001, who transfers the colleague blindly to 1004."""
    caller = await stage.phones.dial("1002", "1001")
    desk = await stage.phones.incoming("1001")
    await desk.answer()
    await caller.confirmed()
    await stage.pass_time(0.6)
    await desk.transfer("1004")
    target = await stage.phones.incoming("1004")
    await target.answer()
    await talked(stage, caller, target)
    return [
        {
            "direction": "internal",
            "outcome": "answered",
            "ended": True,
            "caller": {"number": "1002", "name": AGENTS["1002"]},
            "dialed": "1001",
            "queues": [],
            "legs": [
                leg(phone("1002"), "caller"),
                callee("1001", "answered"),
                callee("1004", "answered"),
            ],
            "talks": [[phone("1002"), phone("1001")], [phone("1002"), phone("1004")]],
            "transfers": [transferred("blind", [phone("1004")], "answered")],
        }
    ]


@scenario("transfer/blind_into_conference", "1001", ring_seconds=6)
async def blind_into_conference(stage: Stage) -> Truth:
    """1001 transfers the customer into an empty conference room and joins them there."""
    caller, desk = await customer_with_1001(stage)
    await desk.transfer("8000")
    await stage.ami.event("ConfbridgeJoin")
    again = await stage.phones.dial("1001", "8000")
    await stage.ami.until(lambda: stage.ami.count("ConfbridgeJoin") == 2, "1001 to be there")
    await stage.pass_time(1.0)
    await caller.hangup()
    await again.hangup()
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[leg(TRUNK, "caller"), callee("1001", "answered")],
            talks=[WITH_1001, WITH_1001],
        ),
        {
            "direction": "internal",
            "outcome": "answered",
            "ended": True,
            "caller": CONSULT,
            "dialed": "8000",
            "queues": [],
            "legs": [leg(phone("1001"), "caller")],
            "talks": [WITH_1001],
        },
    ]
