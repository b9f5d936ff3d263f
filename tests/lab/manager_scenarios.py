"""Stories in which the manager interface acts: transfers, redirects, call buttons."""

from __future__ import annotations

from tests.lab.asterisk import Did
from tests.lab.phones import PhoneCall
from tests.lab.refer_scenarios import WITH_1001, outside_leg, talked
from tests.lab.scenarios import OUTSIDE, inbound, outbound
from tests.lab.stage import TRUNK, Stage, Truth, callee, leg, phone, scenario
from tests.lab.transfer_scenarios import customer_with_1001, transferred


def channel_of(stage: Stage, endpoint: str) -> str:
    """Return the name of the endpoint's only channel."""
    (name,) = [name for name in stage.ami.channels if name.startswith(f"{endpoint}-")]
    return name


async def order(stage: Stage, action: str, *headers: str) -> None:
    """Send an action for the dialplan of the phones."""
    await stage.ami.send(f"Action: {action}", f"ActionID: lab-{action.lower()}", *headers)


@scenario("transfer/blind_by_manager_answered", "1001", "1002", ring_seconds=5)
async def blind_by_manager_answered(stage: Stage) -> Truth:
    """The customer is handed from 1001 to 1002 by the action BlindTransfer; 1002 answers."""
    caller, desk = await customer_with_1001(stage)
    await order(
        stage,
        "BlindTransfer",
        f"Channel: {channel_of(stage, phone('1001'))}",
        "Exten: 1002",
        "Context: from-internal",
    )
    target = await stage.phones.incoming("1002")
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


async def attended_by_manager(stage: Stage, number: str, line: str) -> tuple[PhoneCall, ...]:
    """Play: the action Atxfer on 1001's leg; return customer, 1001 and who was asked."""
    caller, desk = await customer_with_1001(stage)
    await order(
        stage,
        "Atxfer",
        f"Channel: {channel_of(stage, phone('1001'))}",
        f"Exten: {number}",
        "Context: from-internal",
    )
    return caller, desk, await stage.phones.incoming(line, 15)


@scenario("transfer/attended_by_manager_answered", "1001", "1002", ring_seconds=8)
async def attended_by_manager_answered(stage: Stage) -> Truth:
    """1001 asks 1002 by the action Atxfer, talks to 1002 and hangs up: the customer gets 1002."""
    caller, desk, target = await attended_by_manager(stage, "1002", "1002")
    await stage.pass_time(0.4)
    await target.answer()
    await stage.pass_time(1.0)
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


@scenario("transfer/attended_by_manager_cancelled", "1001", "1002", ring_seconds=8)
async def attended_by_manager_cancelled(stage: Stage) -> Truth:
    """1001 asks 1002 by the action Atxfer and comes back by CancelAtxfer."""
    caller, desk, target = await attended_by_manager(stage, "1002", "1002")
    await target.answer()
    await stage.pass_time(1.0)
    await order(stage, "CancelAtxfer", f"Channel: {channel_of(stage, phone('1001'))}")
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


@scenario("redirect/customer_to_other_phone", "1001", "1002", ring_seconds=5)
async def redirect_customer(stage: Stage) -> Truth:
    """The action Redirect sends the customer to 1002; 1001 is cut off, 1002 answers."""
    caller, desk = await customer_with_1001(stage)
    await order(
        stage,
        "Redirect",
        f"Channel: {channel_of(stage, TRUNK)}",
        "Exten: 1002",
        "Context: from-internal",
        "Priority: 1",
    )
    await desk.ended()
    target = await stage.phones.incoming("1002")
    await stage.pass_time(0.4)
    await target.answer()
    await talked(stage, caller, target)
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[leg(TRUNK, "caller"), callee("1001", "answered"), callee("1002", "answered")],
            talks=[WITH_1001, [TRUNK, phone("1002")]],
        )
    ]


@scenario("redirect/both_to_conference", "1001")
async def redirect_both(stage: Stage) -> Truth:
    """The action Redirect sends the customer and 1001 into a conference room."""
    caller, desk = await customer_with_1001(stage)
    await order(
        stage,
        "Redirect",
        f"Channel: {channel_of(stage, TRUNK)}",
        "Exten: 8000",
        "Context: from-internal",
        "Priority: 1",
        f"ExtraChannel: {channel_of(stage, phone('1001'))}",
        "ExtraExten: 8000",
        "ExtraContext: from-internal",
        "ExtraPriority: 1",
    )
    await stage.ami.until(lambda: stage.ami.count("ConfbridgeJoin") == 2, "both to be there")
    await stage.pass_time(1.0)
    await caller.hangup()
    await desk.hangup()
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[leg(TRUNK, "caller"), callee("1001", "answered")],
            talks=[WITH_1001],
        )
    ]


async def call_by_local(stage: Stage) -> PhoneCall:
    """Order a call from 1001 to the outside as FreePBX does; return what rings at 1001."""
    await stage.phones.outside(OUTSIDE)
    await order(
        stage,
        "Originate",
        "Channel: Local/1001@from-internal",
        f"Exten: {OUTSIDE}",
        "Context: from-internal",
        "Priority: 1",
        f"CallerID: <{OUTSIDE}>",
        "Timeout: 10000",
        "Async: true",
    )
    return await stage.phones.incoming("1001")


@scenario("click_to_call/by_local_answered", "1001", ring_seconds=5)
async def by_local_answered(stage: Stage) -> Truth:
    """The call button dials the agent through a Local channel; both answer."""
    desk = await call_by_local(stage)
    await stage.pass_time(0.5)
    await desk.answer()
    customer = await stage.phones.incoming(OUTSIDE)
    await stage.pass_time(0.8)
    await customer.answer()
    stage.mark("answered")
    await stage.pass_time(1.2)
    await customer.hangup()
    stage.mark("over")
    await desk.ended()
    return [
        outbound(
            "answered",
            legs=[leg(phone("1001"), "caller"), outside_leg("answered")],
            talks=[[phone("1001"), TRUNK]],
            talk_s=stage.between("answered", "over"),
        )
    ]


@scenario("click_to_call/by_local_agent_declines", "1001", ring_seconds=5)
async def by_local_agent_declines(stage: Stage) -> Truth:
    """The call button dials the agent through a Local channel; the agent declines."""
    desk = await call_by_local(stage)
    await stage.pass_time(0.5)
    await desk.reject(486)
    await stage.ami.event("OriginateResponse")
    # Nobody called the customer. What to call such a call is for the tracker to define.
    return [{"ended": True, "queues": [], "talks": [], "talk_s": 0.0}]


@scenario("click_to_call/by_local_customer_busy", "1001", ring_seconds=5)
async def by_local_customer_busy(stage: Stage) -> Truth:
    """The call button dials the agent through a Local channel; the customer is busy."""
    desk = await call_by_local(stage)
    await desk.answer()
    customer = await stage.phones.incoming(OUTSIDE)
    await stage.pass_time(0.5)
    await customer.reject(486)
    await desk.ended()
    return [
        outbound(
            "busy",
            legs=[leg(phone("1001"), "caller"), outside_leg("busy")],
            talk_s=0.0,
        )
    ]
