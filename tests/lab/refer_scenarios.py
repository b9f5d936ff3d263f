"""Stories with transfers that a phone asks for (REFER): to groups, queues, outside, in vain."""

from __future__ import annotations

from typing import Any

from tests.lab.asterisk import Did
from tests.lab.phones import PhoneCall
from tests.lab.processes import LabError
from tests.lab.scenarios import CUSTOMER, NAME, OUTSIDE, inbound
from tests.lab.stage import TRUNK, Stage, Truth, callee, leg, more_phones, phone, scenario
from tests.lab.transfer_scenarios import CONSULT, customer_with_1001, transferred

WITH_1001 = [TRUNK, phone("1001")]
"""The customer talks to 1001."""


async def talked(stage: Stage, caller: PhoneCall, other: PhoneCall) -> None:
    """Play: the two talk for a second, then the customer hangs up."""
    await stage.pass_time(1.0)
    await caller.hangup()
    await other.ended()


def outside_leg(result: str) -> dict[str, Any]:
    """Describe a number of the outside world that was called."""
    return leg(TRUNK, "callee", rang=True, answered=result == "answered", result=result)


@scenario("transfer/blind_to_group_answered", "1001", "1002", "1003", ring_seconds=5)
async def blind_to_group_answered(stage: Stage) -> Truth:
    """1001 transfers the customer blindly to a ring group; 1003 answers, 1002 rang too."""
    caller, desk = await customer_with_1001(stage)
    await desk.transfer("6100")
    other = await stage.phones.incoming("1002")
    target = await stage.phones.incoming("1003")
    await stage.pass_time(0.5)
    await target.answer()
    await other.ended()
    await talked(stage, caller, target)
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[
                leg(TRUNK, "caller"),
                callee("1001", "answered"),
                callee("1002", "answered_elsewhere"),
                callee("1003", "answered"),
            ],
            talks=[WITH_1001, [TRUNK, phone("1003")]],
            transfers=[transferred("blind", [phone("1003")], "answered")],
        )
    ]


@scenario("transfer/blind_to_outside_answered", "1001", ring_seconds=5)
async def blind_to_outside_answered(stage: Stage) -> Truth:
    """1001 transfers the customer blindly to a mobile, which answers."""
    await stage.phones.outside(OUTSIDE)
    caller, desk = await customer_with_1001(stage)
    await desk.transfer(OUTSIDE)
    mobile = await stage.phones.incoming(OUTSIDE)
    await stage.pass_time(0.5)
    await mobile.answer()
    await talked(stage, caller, mobile)
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[leg(TRUNK, "caller"), callee("1001", "answered"), outside_leg("answered")],
            talks=[WITH_1001, [TRUNK, TRUNK]],
            transfers=[transferred("blind", [TRUNK], "answered")],
        )
    ]


@scenario("transfer/blind_busy", "1001", "1002", ring_seconds=5)
async def blind_busy(stage: Stage) -> Truth:
    """1001 transfers the customer blindly to 1002, who is busy: the customer is cut off."""
    caller, desk = await customer_with_1001(stage)
    await desk.transfer("1002")
    target = await stage.phones.incoming("1002")
    await target.reject(486)
    await caller.ended()
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[leg(TRUNK, "caller"), callee("1001", "answered"), callee("1002", "busy")],
            talks=[WITH_1001],
            transfers=[transferred("blind", [phone("1002")], "failed")],
        )
    ]


@scenario("transfer/blind_caller_gives_up", "1001", "1002", ring_seconds=6)
async def blind_caller_gives_up(stage: Stage) -> Truth:
    """1001 transfers the customer blindly to 1002; the customer hangs up while it rings."""
    caller, desk = await customer_with_1001(stage)
    await desk.transfer("1002")
    target = await stage.phones.incoming("1002")
    await stage.pass_time(0.8)
    await caller.hangup()
    await target.ended()
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[leg(TRUNK, "caller"), callee("1001", "answered"), callee("1002", "cancelled")],
            talks=[WITH_1001],
            transfers=[transferred("blind", [phone("1002")], "abandoned")],
        )
    ]


@scenario("transfer/blind_unknown_number_refused", "1001", ring_seconds=5)
async def blind_unknown_number_refused(stage: Stage) -> Truth:
    """1001 wants to transfer blindly to a number that does not exist, and keeps the customer."""
    caller, desk = await customer_with_1001(stage)
    try:
        await desk.transfer("1999")
    except LabError as refused:
        if "refused the transfer" not in str(refused):
            raise
    await stage.pass_time(0.6)
    await caller.hangup()
    await desk.ended()
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[leg(TRUNK, "caller"), callee("1001", "answered")],
            talks=[WITH_1001],
        )
    ]


async def blind_recalled(stage: Stage, how: str) -> Truth:
    """Play: 1001 transfers to 1002 in vain, and the dialplan gives the customer back to 1001."""
    caller, desk = await customer_with_1001(stage)
    await desk.transfer("71002")
    target = await stage.phones.incoming("1002")
    if how == "busy":
        await target.reject(486)
    else:
        await target.ended()
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
                callee("1002", how),
                callee("1001", "answered"),
            ],
            talks=[WITH_1001, WITH_1001],
            transfers=[transferred("blind", [phone("1002")], "failed")],
        )
    ]


@scenario("transfer/blind_busy_recalled", "1001", "1002", ring_seconds=4)
async def blind_busy_recalled(stage: Stage) -> Truth:
    """1001 transfers blindly to 1002, who is busy: 1001 rings again and takes the customer back."""
    return await blind_recalled(stage, "busy")


@scenario("transfer/blind_no_answer_recalled", "1001", "1002", ring_seconds=3)
async def blind_no_answer_recalled(stage: Stage) -> Truth:
    """1001 transfers blindly to 1002, who does not answer: 1001 rings again and answers."""
    return await blind_recalled(stage, "no_answer")


async def held_and_asked(stage: Stage, number: str) -> tuple[PhoneCall, PhoneCall, PhoneCall]:
    """Play: 1001 holds the customer and dials a number on a second call; return all three."""
    caller, desk = await customer_with_1001(stage)
    await desk.hold()
    return caller, desk, await stage.phones.dial("1001", number)


@scenario("transfer/attended_to_outside_answered", "1001", ring_seconds=5)
async def attended_to_outside_answered(stage: Stage) -> Truth:
    """1001 holds the customer, asks a mobile outside and connects the two."""
    await stage.phones.outside(OUTSIDE)
    caller, desk, consult = await held_and_asked(stage, OUTSIDE)
    mobile = await stage.phones.incoming(OUTSIDE)
    await stage.pass_time(0.4)
    await mobile.answer()
    await consult.confirmed()
    await stage.pass_time(0.8)
    await desk.attended(consult)
    await talked(stage, caller, mobile)
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[
                leg(TRUNK, "caller"),
                callee("1001", "answered"),
                leg(phone("1001"), "consult"),
                outside_leg("answered"),
            ],
            talks=[WITH_1001, [phone("1001"), TRUNK], [TRUNK, TRUNK]],
            transfers=[transferred("attended", [TRUNK], "answered")],
            consult={"caller": CONSULT, "dialed": OUTSIDE},
        )
    ]


@scenario("transfer/blonde_to_outside_answered", "1001", ring_seconds=6)
async def blonde_to_outside_answered(stage: Stage) -> Truth:
    """1001 lets go of the customer while a mobile outside rings; the mobile answers."""
    await stage.phones.outside(OUTSIDE)
    caller, desk, consult = await held_and_asked(stage, OUTSIDE)
    mobile = await stage.phones.incoming(OUTSIDE)
    await consult.ringing()
    await stage.pass_time(0.4)
    await desk.attended(consult)
    await stage.pass_time(0.5)
    await mobile.answer()
    await talked(stage, caller, mobile)
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[
                leg(TRUNK, "caller"),
                callee("1001", "answered"),
                leg(phone("1001"), "consult"),
                outside_leg("answered"),
            ],
            talks=[WITH_1001, [TRUNK, TRUNK]],
            transfers=[transferred("blonde", [TRUNK], "answered")],
            consult={"caller": CONSULT, "dialed": OUTSIDE},
        )
    ]


async def second_call_to_group(stage: Stage, *, blonde: bool) -> Truth:
    """Play: 1001 holds the customer, calls a ring group and connects the two."""
    async with more_phones(stage, "1003") as upstairs:
        caller, desk, consult = await held_and_asked(stage, "6100")
        other = await stage.phones.incoming("1002")
        target = await upstairs.incoming("1003")
        await consult.ringing()
        await stage.pass_time(0.4)
        if blonde:
            await desk.attended(consult)
            await stage.pass_time(0.5)
        await target.answer()
        await other.ended()
        if not blonde:
            await consult.confirmed()
            await stage.pass_time(0.8)
            await desk.attended(consult)
        await talked(stage, caller, target)
    asked = [] if blonde else [[phone("1001"), phone("1003")]]
    kind = "blonde" if blonde else "attended"
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[
                leg(TRUNK, "caller"),
                callee("1001", "answered"),
                leg(phone("1001"), "consult"),
                callee("1002", "answered_elsewhere"),
                callee("1003", "answered"),
            ],
            talks=[WITH_1001, *asked, [TRUNK, phone("1003")]],
            transfers=[transferred(kind, [phone("1003")], "answered")],
            consult={"caller": CONSULT, "dialed": "6100"},
        )
    ]


@scenario("transfer/attended_to_group_answered", "1001", "1002", ring_seconds=5)
async def attended_to_group_answered(stage: Stage) -> Truth:
    """1001 holds the customer, asks a ring group, where 1003 answers, and connects the two."""
    return await second_call_to_group(stage, blonde=False)


@scenario("transfer/blonde_to_group_answered", "1001", "1002", ring_seconds=6)
async def blonde_to_group_answered(stage: Stage) -> Truth:
    """1001 lets go of the customer while a ring group rings; 1003 answers."""
    return await second_call_to_group(stage, blonde=True)


@scenario("transfer/attended_to_queue_answered", "1001", "1002", queue_seconds=10)
async def attended_to_queue_answered(stage: Stage) -> Truth:
    """1001 holds the customer, calls the queue support, where 1002 answers, and connects both."""
    caller, desk, consult = await held_and_asked(stage, "6001")
    target = await stage.phones.incoming("1002")
    await stage.pass_time(0.4)
    await target.answer()
    await consult.confirmed()
    await stage.pass_time(0.8)
    await desk.attended(consult)
    await talked(stage, caller, target)
    return [
        inbound(
            Did.PHONE,
            "answered",
            queues=["support"],
            legs=[
                leg(TRUNK, "caller"),
                callee("1001", "answered"),
                leg(phone("1001"), "consult"),
                callee("1002", "answered"),
            ],
            talks=[WITH_1001, [phone("1001"), phone("1002")], [TRUNK, phone("1002")]],
            transfers=[transferred("attended", [phone("1002")], "answered")],
            consult={"caller": CONSULT, "dialed": "6001"},
        )
    ]


async def blonde_to_queue(stage: Stage, *, answered: bool) -> Truth:
    """Play: 1005 puts the customer into the queue support while nobody has answered there."""
    caller = await stage.phones.call_in(CUSTOMER, Did.OFFICE, name=NAME)
    desk = await stage.phones.incoming("1005")
    await desk.answer()
    await stage.pass_time(0.6)
    await desk.hold()
    consult = await stage.phones.dial("1005", "6001")
    target = await stage.phones.incoming("1002")
    await consult.confirmed()
    await stage.pass_time(0.4)
    await desk.attended(consult)
    await stage.pass_time(0.6)
    talks = [[TRUNK, phone("1005")]]
    if answered:
        await target.answer()
        talks.append([TRUNK, phone("1002")])
        await talked(stage, caller, target)
    else:
        await caller.hangup()
        await target.ended()
    result = "answered" if answered else "abandoned"
    return [
        inbound(
            Did.OFFICE,
            "answered",
            queues=["office", "support"],
            legs=[
                leg(TRUNK, "caller"),
                callee("1005", "answered"),
                leg(phone("1005"), "consult"),
                callee("1002", "answered" if answered else "cancelled"),
            ],
            talks=talks,
            transfers=[transferred("blonde", [phone("1002")], result, phone("1005"))],
        )
    ]


@scenario("transfer/blonde_to_queue_answered", "1005", "1002", queue_seconds=10)
async def blonde_to_queue_answered(stage: Stage) -> Truth:
    """1005 has a queue call, calls another queue, lets go before 1002 answers there."""
    return await blonde_to_queue(stage, answered=True)


@scenario("transfer/blonde_to_queue_caller_gives_up", "1005", "1002", queue_seconds=10)
async def blonde_to_queue_caller_gives_up(stage: Stage) -> Truth:
    """1005 lets go of the customer into another queue; the customer gives up waiting there."""
    return await blonde_to_queue(stage, answered=False)


async def consult_and_swap(stage: Stage) -> tuple[PhoneCall, PhoneCall, PhoneCall, PhoneCall]:
    """Play: 1001 asks 1002, goes back to the customer and to 1002 once more."""
    caller, desk, consult = await held_and_asked(stage, "1002")
    target = await stage.phones.incoming("1002")
    await target.answer()
    await consult.confirmed()
    await stage.pass_time(0.5)
    await consult.hold()
    await desk.unhold()
    await stage.pass_time(0.5)
    await desk.hold()
    await consult.unhold()
    await stage.pass_time(0.5)
    return caller, desk, consult, target


@scenario("transfer/swap_then_attended_answered", "1001", "1002", ring_seconds=5)
async def swap_then_attended(stage: Stage) -> Truth:
    """1001 goes back and forth between the customer and 1002, then connects the two."""
    caller, desk, consult, target = await consult_and_swap(stage)
    await desk.attended(consult)
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
            ],
            talks=[WITH_1001, [phone("1001"), phone("1002")], [TRUNK, phone("1002")]],
            transfers=[transferred("attended", [phone("1002")], "answered")],
            consult={"caller": CONSULT, "dialed": "1002"},
        )
    ]


@scenario("transfer/swap_then_consult_ended", "1001", "1002", ring_seconds=5)
async def swap_then_consult_ended(stage: Stage) -> Truth:
    """1001 goes back and forth between the customer and 1002, then ends the call to 1002."""
    caller, desk, consult, target = await consult_and_swap(stage)
    await consult.hangup()
    await target.ended()
    await desk.unhold()
    await stage.pass_time(0.5)
    await caller.hangup()
    await desk.ended()
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


@scenario("hold/by_customer", "1001")
async def hold_by_customer(stage: Stage) -> Truth:
    """The customer puts the agent on hold and comes back."""
    caller, desk = await customer_with_1001(stage)
    await caller.hold()
    stage.mark("held")
    await stage.pass_time(1.0)
    await caller.unhold()
    stage.mark("resumed")
    await stage.pass_time(0.5)
    await caller.hangup()
    await desk.ended()
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[leg(TRUNK, "caller"), callee("1001", "answered")],
            talks=[WITH_1001],
            transfers=[],
            hold_s=stage.between("held", "resumed"),
        )
    ]


@scenario("hold/both_at_once", "1001")
async def hold_both_at_once(stage: Stage) -> Truth:
    """Agent and customer put each other on hold; the two times overlap."""
    caller, desk = await customer_with_1001(stage)
    await desk.hold()
    stage.mark("agent holds")
    await stage.pass_time(0.6)
    await caller.hold()
    await stage.pass_time(0.6)
    await desk.unhold()
    await stage.pass_time(0.6)
    await caller.unhold()
    stage.mark("both back")
    await stage.pass_time(0.5)
    await caller.hangup()
    await desk.ended()
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[leg(TRUNK, "caller"), callee("1001", "answered")],
            talks=[WITH_1001],
            transfers=[],
            hold_s=stage.between("agent holds", "both back"),
        )
    ]


@scenario("hold/customer_hangs_up_on_hold", "1001")
async def hold_until_hangup(stage: Stage) -> Truth:
    """The agent puts the customer on hold; the customer does not wait and hangs up."""
    caller, desk = await customer_with_1001(stage)
    await desk.hold()
    stage.mark("held")
    await stage.pass_time(1.0)
    await caller.hangup()
    stage.mark("over")
    await desk.ended()
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[leg(TRUNK, "caller"), callee("1001", "answered")],
            talks=[WITH_1001],
            transfers=[],
            hold_s=stage.between("held", "over"),
        )
    ]
