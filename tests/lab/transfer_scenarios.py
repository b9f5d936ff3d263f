"""Stories with transfers, pickup and parking."""

from __future__ import annotations

from typing import Any

from tests.lab.asterisk import AGENTS, Did
from tests.lab.phones import PhoneCall
from tests.lab.scenarios import CUSTOMER, NAME, inbound
from tests.lab.stage import TRUNK, Stage, Truth, callee, leg, phone, scenario


async def customer_with_1001(stage: Stage) -> tuple[PhoneCall, PhoneCall]:
    """Play: the customer calls 1001, who answers; return both ends."""
    caller = await stage.phones.call_in(CUSTOMER, Did.PHONE, name=NAME)
    desk = await stage.phones.incoming("1001")
    await desk.answer()
    await caller.confirmed()
    await stage.pass_time(0.6)
    return caller, desk


def transferred(kind: str, to: list[str], result: str, by: str = "PJSIP/1001") -> dict[str, Any]:
    """Describe a transfer by endpoints."""
    return {"kind": kind, "by": by, "to": to, "result": result}


CONSULT = {"number": "1001", "name": AGENTS["1001"]}


@scenario("transfer/blind_answered", "1001", "1002", ring_seconds=5)
async def blind_answered(stage: Stage) -> Truth:
    """1001 transfers the customer blindly to 1002 (REFER), who answers."""
    caller, desk = await customer_with_1001(stage)
    await desk.transfer("1002")
    await desk.ended()
    target = await stage.phones.incoming("1002")
    await stage.pass_time(0.5)
    await target.answer()
    await stage.pass_time(1.0)
    await caller.hangup()
    await target.ended()
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[leg(TRUNK, "caller"), callee("1001", "answered"), callee("1002", "answered")],
            talks=[[TRUNK, phone("1001")], [TRUNK, phone("1002")]],
            transfers=[transferred("blind", [phone("1002")], "answered")],
        )
    ]


@scenario("transfer/blind_no_answer", "1001", "1002", ring_seconds=2)
async def blind_no_answer(stage: Stage) -> Truth:
    """1001 transfers the customer blindly to 1002, who does not answer: the customer is cut off."""
    caller, desk = await customer_with_1001(stage)
    await desk.transfer("1002")
    await desk.ended()
    target = await stage.phones.incoming("1002")
    await caller.ended()
    await target.ended()
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[leg(TRUNK, "caller"), callee("1001", "answered"), callee("1002", "no_answer")],
            talks=[[TRUNK, phone("1001")]],
            transfers=[transferred("blind", [phone("1002")], "failed")],
        )
    ]


@scenario("transfer/attended_answered", "1001", "1002", ring_seconds=5)
async def attended_answered(stage: Stage) -> Truth:
    """1001 holds the customer, asks 1002 on a second call and connects the two (REFER)."""
    caller, desk = await customer_with_1001(stage)
    await desk.hold()
    consult = await stage.phones.dial("1001", "1002")
    target = await stage.phones.incoming("1002")
    await stage.pass_time(0.4)
    await target.answer()
    await consult.confirmed()
    await stage.pass_time(0.8)
    await desk.attended(consult)
    await desk.ended()
    await consult.ended()
    await stage.pass_time(1.0)
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
                callee("1002", "answered"),
            ],
            talks=[
                [TRUNK, phone("1001")],
                [phone("1001"), phone("1002")],
                [TRUNK, phone("1002")],
            ],
            transfers=[transferred("attended", [phone("1002")], "answered")],
            consult={"caller": CONSULT, "dialed": "1002"},
        )
    ]


async def blonde(stage: Stage, *, answered: bool) -> Truth:
    """Play: 1001 lets go while the second call still rings at 1002."""
    caller, desk = await customer_with_1001(stage)
    await desk.hold()
    consult = await stage.phones.dial("1001", "1002")
    target = await stage.phones.incoming("1002")
    await consult.ringing()
    await stage.pass_time(0.4)
    await desk.attended(consult)
    await desk.ended()
    await consult.ended()
    await stage.pass_time(0.5)
    if answered:
        await target.answer()
        await stage.pass_time(1.0)
        await caller.hangup()
    else:
        await caller.ended()
    await target.ended()
    talks = [[TRUNK, phone("1001")]]
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[
                leg(TRUNK, "caller"),
                callee("1001", "answered"),
                leg(phone("1001"), "consult"),
                callee("1002", "answered" if answered else "no_answer"),
            ],
            talks=[*talks, [TRUNK, phone("1002")]] if answered else talks,
            transfers=[
                transferred("blonde", [phone("1002")], "answered" if answered else "failed")
            ],
            consult={"caller": CONSULT, "dialed": "1002"},
        )
    ]


@scenario("transfer/blonde_answered", "1001", "1002", ring_seconds=6)
async def blonde_answered(stage: Stage) -> Truth:
    """1001 transfers by REFER while 1002 still rings; 1002 answers and talks to the customer."""
    return await blonde(stage, answered=True)


@scenario("transfer/blonde_no_answer", "1001", "1002", ring_seconds=3)
async def blonde_no_answer(stage: Stage) -> Truth:
    """1001 transfers by REFER while 1002 still rings; 1002 never answers."""
    return await blonde(stage, answered=False)


@scenario("transfer/consult_abandoned", "1001", "1002", ring_seconds=5)
async def consult_abandoned(stage: Stage) -> Truth:
    """1001 holds the customer and asks 1002, then goes back to the customer: no transfer."""
    caller, desk = await customer_with_1001(stage)
    await desk.hold()
    consult = await stage.phones.dial("1001", "1002")
    target = await stage.phones.incoming("1002")
    await target.answer()
    await consult.confirmed()
    await stage.pass_time(0.6)
    await consult.hangup()
    await target.ended()
    await desk.unhold()
    await stage.pass_time(0.6)
    await caller.hangup()
    await desk.ended()
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[leg(TRUNK, "caller"), callee("1001", "answered")],
            talks=[[TRUNK, phone("1001")]],
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


@scenario("transfer/attended_by_keys_answered", "1001", "1002", ring_seconds=5)
async def attended_by_keys_answered(stage: Stage) -> Truth:
    """1001 presses *2 and 1002, talks to 1002 and hangs up: Asterisk connects the two."""
    caller, desk = await customer_with_1001(stage)
    await desk.dtmf("*2")
    await stage.ami.event("MusicOnHoldStart")
    await stage.pass_time(1.5)  # the prompt "transfer" plays before digits are taken
    await desk.dtmf("1002")
    target = await stage.phones.incoming("1002", 15)
    await stage.pass_time(0.4)
    await target.answer()
    await stage.pass_time(1.0)
    await desk.hangup()
    await stage.ami.event("AttendedTransfer")
    await stage.pass_time(1.0)
    await caller.hangup()
    await target.ended()
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[leg(TRUNK, "caller"), callee("1001", "answered"), callee("1002", "answered")],
            talks=[
                [TRUNK, phone("1001")],
                [phone("1001"), phone("1002")],
                [TRUNK, phone("1002")],
            ],
            transfers=[transferred("attended", [phone("1002")], "answered")],
        )
    ]


@scenario("transfer/pickup", "1001", "1002", ring_seconds=6)
async def pickup(stage: Stage) -> Truth:
    """1001 rings; 1002 dials *8 and takes the call."""
    caller = await stage.phones.call_in(CUSTOMER, Did.PHONE, name=NAME)
    desk = await stage.phones.incoming("1001")
    await caller.ringing()
    await stage.pass_time(0.6)
    picker = await stage.phones.dial("1002", "*8")
    await desk.ended()
    await picker.confirmed()
    await caller.confirmed()
    await stage.pass_time(1.0)
    await caller.hangup()
    await picker.ended()
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[
                leg(TRUNK, "caller"),
                callee("1001", "answered_elsewhere"),
                leg(phone("1002"), "callee", answered=True, result="answered"),
            ],
            talks=[[TRUNK, phone("1002")]],
            transfers=[transferred("pickup", [phone("1002")], "answered", phone("1002"))],
        )
    ]


@scenario("transfer/blind_to_queue_answered", "1001", "1002", queue_seconds=10)
async def blind_to_queue_answered(stage: Stage) -> Truth:
    """1001 transfers the customer blindly into the queue support; 1002 answers there."""
    caller, desk = await customer_with_1001(stage)
    await desk.transfer("6001")
    await desk.ended()
    target = await stage.phones.incoming("1002")
    await stage.pass_time(0.5)
    await target.answer()
    await stage.pass_time(1.0)
    await caller.hangup()
    await target.ended()
    return [
        inbound(
            Did.PHONE,
            "answered",
            queues=["support"],
            talks=[[TRUNK, phone("1001")], [TRUNK, phone("1002")]],
            transfers=[transferred("blind", [phone("1002")], "answered")],
        )
    ]


@scenario("transfer/queue_call_blind_answered", "1001", "1004", queue_seconds=10)
async def queue_call_blind_answered(stage: Stage) -> Truth:
    """1001 takes a queue call and transfers the customer blindly to 1004, who answers."""
    caller = await stage.phones.call_in(CUSTOMER, Did.SUPPORT, name=NAME)
    desk = await stage.phones.incoming("1001")
    await desk.answer()
    await stage.pass_time(0.8)
    await desk.transfer("1004")
    await desk.ended()
    target = await stage.phones.incoming("1004")
    await target.answer()
    await stage.pass_time(1.0)
    await caller.hangup()
    await target.ended()
    return [
        inbound(
            Did.SUPPORT,
            "answered",
            queues=["support"],
            legs=[leg(TRUNK, "caller"), callee("1001", "answered"), callee("1004", "answered")],
            talks=[[TRUNK, phone("1001")], [TRUNK, phone("1004")]],
            transfers=[transferred("blind", [phone("1004")], "answered")],
        )
    ]


@scenario("transfer/forwarded_302_answered", "1001", "1002", ring_seconds=5)
async def forwarded_302_answered(stage: Stage) -> Truth:
    """1001 forwards the call to 1002 (302 Moved Temporarily), who answers."""
    await stage.phones.on_call("1001", 0)
    caller = await stage.phones.call_in(CUSTOMER, Did.PHONE, name=NAME)
    desk = await stage.phones.incoming("1001")
    await desk.redirect("1002")
    target = await stage.phones.incoming("1002")
    await stage.pass_time(0.5)
    await target.answer()
    await stage.pass_time(1.0)
    await caller.hangup()
    await target.ended()
    return [
        inbound(
            Did.PHONE,
            "answered",
            talks=[[TRUNK, phone("1002")]],
            transfers=[transferred("forward", [phone("1002")], "answered")],
        )
    ]


@scenario("transfer/parked_and_retrieved", "1001", "1002", ring_seconds=5)
async def parked_and_retrieved(stage: Stage) -> Truth:
    """1001 parks the customer (blind REFER to 700); 1002 dials the space and takes them."""
    caller, desk = await customer_with_1001(stage)
    await desk.transfer("700")
    await desk.ended()
    parked = await stage.ami.event("ParkedCall")
    await stage.pass_time(0.6)
    retriever = await stage.phones.dial("1002", parked["ParkingSpace"])
    await retriever.confirmed()
    await stage.ami.event("UnParkedCall")
    await stage.pass_time(1.0)
    await caller.hangup()
    await retriever.ended()
    return [
        inbound(
            Did.PHONE,
            "answered",
            talks=[[TRUNK, phone("1001")], [TRUNK, phone("1002")]],
            transfers=[transferred("park", [phone("1002")], "answered")],
        )
    ]
