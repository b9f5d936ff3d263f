"""The stories that are recorded: each plays real calls and returns what truly happened."""

from __future__ import annotations

from typing import Any

from tests.lab.asterisk import AGENTS, Did
from tests.lab.phones import PhoneCall
from tests.lab.sipp import HOSTILE_NAME, SippCall
from tests.lab.stage import TRUNK, Stage, Truth, callee, leg, phone, scenario

CUSTOMER = "905321112233"
NAME = "Zoë Şükrü Ёлкин"
OTHER_CUSTOMER = "905334445566"
OUTSIDE = "905559998877"


def inbound(dialed: str, outcome: str, **more: Any) -> dict[str, Any]:
    """Return the truth that all calls of our usual customer share."""
    return {
        "direction": "inbound",
        "outcome": outcome,
        "ended": True,
        "caller": {"number": CUSTOMER, "name": NAME},
        "dialed": dialed,
        "queues": [],
        "talks": [],
        **more,
    }


async def simple_answered(stage: Stage, *, hanger: str, **call_in: Any) -> dict[str, Any]:
    """Play: the customer calls 1001, who answers; ``hanger`` hangs up."""
    caller = await stage.phones.call_in(CUSTOMER, Did.PHONE, **call_in)
    desk = await stage.phones.incoming("1001")
    stage.mark("rings")
    await stage.pass_time(0.8)
    await desk.answer()
    stage.mark("answered")
    await stage.pass_time(1.2)
    first, second = (caller, desk) if hanger == "caller" else (desk, caller)
    await first.hangup()
    stage.mark("over")
    await second.ended()
    return inbound(
        Did.PHONE,
        "answered",
        legs=[leg(TRUNK, "caller"), callee("1001", "answered")],
        talks=[[TRUNK, phone("1001")]],
        wait_s=stage.between("rings", "answered"),
        talk_s=stage.between("answered", "over"),
        hold_s=0.0,
    )


@scenario("inbound/answered", "1001")
async def inbound_answered(stage: Stage) -> Truth:
    """A customer calls a direct line; the agent answers; the customer hangs up."""
    return [await simple_answered(stage, hanger="caller", name=NAME)]


@scenario("inbound/callee_hangs_up", "1001")
async def inbound_callee_hangs_up(stage: Stage) -> Truth:
    """A customer calls a direct line; the agent answers and hangs up first."""
    return [await simple_answered(stage, hanger="callee", name=NAME)]


@scenario("inbound/withheld_answered", "1001")
async def inbound_withheld_answered(stage: Stage) -> Truth:
    """A caller who hides the number is answered."""
    call = await simple_answered(stage, hanger="caller", withheld=True)
    return [{**call, "caller": {"number": "", "name": ""}, "withheld": True}]


@scenario("inbound/withheld_asserted_answered", "1001")
async def inbound_withheld_asserted_answered(stage: Stage) -> Truth:
    """A caller hides the number, the provider tells it to the PBX: the stream shows it as any."""
    call = await simple_answered(stage, hanger="caller", withheld=True, asserted=True)
    return [{**call, "caller": {"number": CUSTOMER, "name": ""}, "withheld": True}]


@scenario("inbound/hostile_name_answered", "1001")
async def inbound_hostile_name_answered(stage: Stage) -> Truth:
    """A caller whose display name holds quotes, markup and three scripts is answered."""
    async with SippCall(
        stage.asterisk, Did.PHONE, number=CUSTOMER, name=HOSTILE_NAME, talk_seconds=1.2
    ) as caller:
        desk = await stage.phones.incoming("1001")
        stage.mark("rings")
        await stage.pass_time(0.8)
        await desk.answer()
        stage.mark("answered")
        await desk.ended()
        stage.mark("over")
        await caller.ended()
    return [
        inbound(
            Did.PHONE,
            "answered",
            caller={"number": CUSTOMER, "name": HOSTILE_NAME},
            legs=[leg(TRUNK, "caller"), callee("1001", "answered")],
            talks=[[TRUNK, phone("1001")]],
            wait_s=stage.between("rings", "answered"),
            talk_s=stage.between("answered", "over"),
        )
    ]


@scenario("inbound/caller_cancels", "1001")
async def inbound_caller_cancels(stage: Stage) -> Truth:
    """The customer gives up while the phone rings."""
    caller = await stage.phones.call_in(CUSTOMER, Did.PHONE, name=NAME)
    desk = await stage.phones.incoming("1001")
    stage.mark("rings")
    await caller.ringing()
    await stage.pass_time(1.0)
    await caller.hangup()
    stage.mark("over")
    await desk.ended()
    return [
        inbound(
            Did.PHONE,
            "no_answer",
            legs=[leg(TRUNK, "caller", answered=False), callee("1001", "cancelled")],
            wait_s=stage.between("rings", "over"),
            talk_s=0.0,
        )
    ]


@scenario("inbound/no_answer", "1001")
async def inbound_no_answer(stage: Stage) -> Truth:
    """The phone rings until the dialplan gives up and hangs up on the customer."""
    caller = await stage.phones.call_in(CUSTOMER, Did.PHONE, name=NAME)
    desk = await stage.phones.incoming("1001")
    stage.mark("rings")
    await caller.ended()
    stage.mark("over")
    await desk.ended()
    return [
        inbound(
            Did.PHONE,
            "no_answer",
            legs=[leg(TRUNK, "caller", answered=False), callee("1001", "no_answer")],
            wait_s=stage.between("rings", "over"),
            talk_s=0.0,
        )
    ]


async def refused(stage: Stage, code: int, outcome: str, result: str) -> Truth:
    """Play: the phone refuses with a SIP code."""
    caller = await stage.phones.call_in(CUSTOMER, Did.PHONE, name=NAME)
    desk = await stage.phones.incoming("1001")
    stage.mark("rings")
    await stage.pass_time(0.6)
    await desk.reject(code)
    await caller.ended()
    stage.mark("over")
    return [
        inbound(
            Did.PHONE,
            outcome,
            legs=[leg(TRUNK, "caller", answered=False), callee("1001", result)],
            wait_s=stage.between("rings", "over"),
            talk_s=0.0,
        )
    ]


@scenario("inbound/busy", "1001")
async def inbound_busy(stage: Stage) -> Truth:
    """The phone rings, then says busy (486)."""
    return await refused(stage, 486, "busy", "busy")


@scenario("inbound/rejected", "1001")
async def inbound_rejected(stage: Stage) -> Truth:
    """The agent declines the ringing call (603)."""
    (call,) = await refused(stage, 603, "", "rejected")
    del call["outcome"]  # of a call that its only callee declined: for the tracker to define
    return [call]


@scenario("inbound/unreachable")
async def inbound_unreachable(stage: Stage) -> Truth:
    """The customer calls a phone that is not registered."""
    caller = await stage.phones.call_in(CUSTOMER, Did.PHONE, name=NAME)
    await caller.ended()
    return [inbound(Did.PHONE, "failed", legs=[leg(TRUNK, "caller", answered=False)], talk_s=0.0)]


@scenario("inbound/hold_and_resume", "1001")
async def inbound_hold_and_resume(stage: Stage) -> Truth:
    """The agent answers, puts the customer on hold and takes them back."""
    caller = await stage.phones.call_in(CUSTOMER, Did.PHONE, name=NAME)
    desk = await stage.phones.incoming("1001")
    stage.mark("rings")
    await desk.answer()
    stage.mark("answered")
    await stage.pass_time(0.6)
    await desk.hold()
    stage.mark("held")
    await stage.pass_time(1.2)
    await desk.unhold()
    stage.mark("resumed")
    await stage.pass_time(0.6)
    await caller.hangup()
    stage.mark("over")
    await desk.ended()
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[leg(TRUNK, "caller"), callee("1001", "answered")],
            talks=[[TRUNK, phone("1001")]],
            wait_s=stage.between("rings", "answered"),
            hold_s=stage.between("held", "resumed"),
            seconds={"answered_to_end": stage.between("answered", "over")},
        )
    ]


@scenario("inbound/voicemail_left", "1001", ring_seconds=2)
async def inbound_voicemail_left(stage: Stage) -> Truth:
    """Nobody answers; the customer leaves a message in the voicemail."""
    caller = await stage.phones.call_in(CUSTOMER, Did.VOICEMAIL, name=NAME)
    desk = await stage.phones.incoming("1001")
    await desk.ended()
    await caller.confirmed()
    await stage.pass_time(2.0)
    await caller.hangup()
    return [
        inbound(
            Did.VOICEMAIL,
            "voicemail",
            legs=[leg(TRUNK, "caller"), callee("1001", "no_answer")],
        )
    ]


@scenario("inbound/second_call_while_talking", "1001")
async def inbound_second_call_while_talking(stage: Stage) -> Truth:
    """While the agent talks, another customer calls the same phone and gives up."""
    caller = await stage.phones.call_in(CUSTOMER, Did.PHONE, name=NAME)
    desk = await stage.phones.incoming("1001")
    await desk.answer()
    other = await stage.phones.call_in(OTHER_CUSTOMER, Did.PHONE, name="Jane Roe")
    knock = await stage.phones.incoming("1001")
    await other.ringing()
    await stage.pass_time(0.8)
    await other.hangup()
    await knock.ended()
    await caller.hangup()
    await desk.ended()
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[leg(TRUNK, "caller"), callee("1001", "answered")],
            talks=[[TRUNK, phone("1001")]],
        ),
        inbound(
            Did.PHONE,
            "no_answer",
            caller={"number": OTHER_CUSTOMER, "name": "Jane Roe"},
            legs=[leg(TRUNK, "caller", answered=False), callee("1001", "cancelled")],
        ),
    ]


@scenario("inbound/early_media_answered", "1001")
async def inbound_early_media_answered(stage: Stage) -> Truth:
    """The phone never says that it rings (183 only), then the agent answers."""
    await stage.phones.on_call("1001", 183)
    return [await simple_answered(stage, hanger="caller", name=NAME)]


@scenario("inbound/announcement_only")
async def inbound_announcement_only(stage: Stage) -> Truth:
    """An announcement plays to the end; no phone is asked and the PBX hangs up."""
    caller = await stage.phones.call_in(CUSTOMER, Did.ANNOUNCEMENT, name=NAME)
    await caller.confirmed()
    await caller.ended()
    call = inbound(Did.ANNOUNCEMENT, "", legs=[leg(TRUNK, "caller")], talk_s=0.0)
    del call["outcome"]  # nobody was asked: for the tracker to define
    return [call]


@scenario("ring_group/second_answers", "1001", "1002")
async def ring_group_second_answers(stage: Stage) -> Truth:
    """Two phones ring; 1002 answers."""
    caller = await stage.phones.call_in(CUSTOMER, Did.RING_GROUP, name=NAME)
    first = await stage.phones.incoming("1001")
    second = await stage.phones.incoming("1002")
    stage.mark("rings")
    await stage.pass_time(0.8)
    await second.answer()
    stage.mark("answered")
    await first.ended()
    await stage.pass_time(1.0)
    await caller.hangup()
    stage.mark("over")
    await second.ended()
    return [
        inbound(
            Did.RING_GROUP,
            "answered",
            legs=[
                leg(TRUNK, "caller"),
                callee("1001", "answered_elsewhere"),
                callee("1002", "answered"),
            ],
            talks=[[TRUNK, phone("1002")]],
            wait_s=stage.between("rings", "answered"),
            talk_s=stage.between("answered", "over"),
        )
    ]


@scenario("ring_group/nobody_answers", "1001", "1002")
async def ring_group_nobody_answers(stage: Stage) -> Truth:
    """Two phones ring until the dialplan gives up."""
    caller = await stage.phones.call_in(CUSTOMER, Did.RING_GROUP, name=NAME)
    first = await stage.phones.incoming("1001")
    second = await stage.phones.incoming("1002")
    stage.mark("rings")
    await caller.ended()
    stage.mark("over")
    await first.ended()
    await second.ended()
    return [
        inbound(
            Did.RING_GROUP,
            "no_answer",
            legs=[
                leg(TRUNK, "caller", answered=False),
                callee("1001", "no_answer"),
                callee("1002", "no_answer"),
            ],
            wait_s=stage.between("rings", "over"),
            talk_s=0.0,
        )
    ]


@scenario("ring_group/caller_cancels", "1001", "1002")
async def ring_group_caller_cancels(stage: Stage) -> Truth:
    """Two phones ring; the customer gives up."""
    caller = await stage.phones.call_in(CUSTOMER, Did.RING_GROUP, name=NAME)
    first = await stage.phones.incoming("1001")
    second = await stage.phones.incoming("1002")
    stage.mark("rings")
    await caller.ringing()
    await stage.pass_time(0.8)
    await caller.hangup()
    stage.mark("over")
    await first.ended()
    await second.ended()
    return [
        inbound(
            Did.RING_GROUP,
            "no_answer",
            legs=[
                leg(TRUNK, "caller", answered=False),
                callee("1001", "cancelled"),
                callee("1002", "cancelled"),
            ],
            wait_s=stage.between("rings", "over"),
            talk_s=0.0,
        )
    ]


@scenario("ring_group/one_rejects_other_answers", "1001", "1002")
async def ring_group_one_rejects_other_answers(stage: Stage) -> Truth:
    """Two phones ring; 1001 declines (603), then 1002 answers."""
    caller = await stage.phones.call_in(CUSTOMER, Did.RING_GROUP, name=NAME)
    first = await stage.phones.incoming("1001")
    second = await stage.phones.incoming("1002")
    stage.mark("rings")
    await stage.pass_time(0.4)
    await first.reject(603)
    await stage.pass_time(0.4)
    await second.answer()
    stage.mark("answered")
    await stage.pass_time(1.0)
    await caller.hangup()
    stage.mark("over")
    await second.ended()
    return [
        inbound(
            Did.RING_GROUP,
            "answered",
            legs=[
                leg(TRUNK, "caller"),
                callee("1001", "rejected"),
                callee("1002", "answered"),
            ],
            talks=[[TRUNK, phone("1002")]],
            wait_s=stage.between("rings", "answered"),
            talk_s=stage.between("answered", "over"),
        )
    ]


async def queue_answered(stage: Stage, did: str, queue: str, *, hanger: str) -> Truth:
    """Play: a queue rings 1001 and 1002; 1002 answers; ``hanger`` hangs up."""
    caller = await stage.phones.call_in(CUSTOMER, did, name=NAME)
    first = await stage.phones.incoming("1001")
    second = await stage.phones.incoming("1002")
    stage.mark("rings")
    await stage.pass_time(0.8)
    await second.answer()
    stage.mark("answered")
    await first.ended()
    await stage.pass_time(1.2)
    one, other = (caller, second) if hanger == "caller" else (second, caller)
    await one.hangup()
    stage.mark("over")
    await other.ended()
    return [
        inbound(
            did,
            "answered",
            queues=[queue],
            legs=[
                leg(TRUNK, "caller"),
                callee("1001", "answered_elsewhere"),
                callee("1002", "answered"),
            ],
            talks=[[TRUNK, phone("1002")]],
            wait_s=stage.between("rings", "answered"),
            talk_s=stage.between("answered", "over"),
        )
    ]


@scenario("queue/ringall_answered", "1001", "1002")
async def queue_ringall_answered(stage: Stage) -> Truth:
    """The queue rings 1001 and 1002 (1003 is not on the net); 1002 answers."""
    return await queue_answered(stage, Did.SUPPORT, "support", hanger="caller")


@scenario("queue/agent_hangs_up", "1001", "1002")
async def queue_agent_hangs_up(stage: Stage) -> Truth:
    """The queue rings 1001 and 1002; 1002 answers and hangs up first."""
    return await queue_answered(stage, Did.SUPPORT, "support", hanger="agent")


@scenario("queue/fpbx_local_answered", "1001", "1002")
async def queue_fpbx_local_answered(stage: Stage) -> Truth:
    """The queue rings 1001 and 1002 through Local members as FreePBX does; 1002 answers."""
    return await queue_answered(stage, Did.FPBX, "fpbx", hanger="caller")


async def queue_waits(
    stage: Stage,
    did: str,
    queue: str,
    outcome: str,
    *,
    members: tuple[str, ...] = (),
    result: str = "",
) -> Truth:
    """Play: members ring, nobody answers; the call ends as ``outcome`` says."""
    caller = await stage.phones.call_in(CUSTOMER, did, name=NAME)
    rung = [await stage.phones.incoming(member) for member in members]
    await caller.confirmed()
    stage.mark("queued")
    if outcome == "abandoned":
        await stage.pass_time(1.5)
        await caller.hangup()
    else:
        await caller.ended(20)
    stage.mark("over")
    for desk in rung:
        await desk.ended()
    return [
        inbound(
            did,
            outcome,
            queues=[queue],
            legs=[leg(TRUNK, "caller"), *(callee(member, result) for member in members)],
            wait_s=stage.between("queued", "over"),
            talk_s=0.0,
        )
    ]


@scenario("queue/ringall_abandoned", "1001", "1002")
async def queue_ringall_abandoned(stage: Stage) -> Truth:
    """The customer gives up while the queue rings 1001 and 1002."""
    return await queue_waits(
        stage, Did.SUPPORT, "support", "abandoned", members=("1001", "1002"), result="cancelled"
    )


@scenario("queue/fpbx_local_abandoned", "1001", "1002")
async def queue_fpbx_local_abandoned(stage: Stage) -> Truth:
    """The customer gives up while the queue rings Local members as FreePBX does."""
    return await queue_waits(
        stage, Did.FPBX, "fpbx", "abandoned", members=("1001", "1002"), result="cancelled"
    )


@scenario("queue/ringall_timed_out", "1001", "1002", queue_seconds=3)
async def queue_ringall_timed_out(stage: Stage) -> Truth:
    """The queue rings 1001 and 1002 until the queue's time is over; the dialplan hangs up."""
    return await queue_waits(
        stage, Did.SUPPORT, "support", "no_answer", members=("1001", "1002"), result="no_answer"
    )


@scenario("queue/ringall_nobody", queue_seconds=3)
async def queue_ringall_nobody(stage: Stage) -> Truth:
    """No member is on the net: the customer waits for nobody until the queue's time is over."""
    return await queue_waits(stage, Did.SUPPORT, "support", "no_answer")


@scenario("queue/ringall_nobody_abandoned", queue_seconds=10)
async def queue_ringall_nobody_abandoned(stage: Stage) -> Truth:
    """No member is on the net: the customer waits for nobody and gives up."""
    return await queue_waits(stage, Did.SUPPORT, "support", "abandoned")


@scenario("queue/rrmemory_first_no_answer_second_answers", "1003", "1004", queue_seconds=20)
async def queue_rrmemory(stage: Stage) -> Truth:
    """One member rings in vain for three seconds, the other is next and answers."""
    caller = await stage.phones.call_in(CUSTOMER, Did.SALES, name=NAME)
    await stage.phones.until(
        lambda: stage.phones.has_incoming("1003") or stage.phones.has_incoming("1004"),
        "the first member to ring",
    )
    stage.mark("rings")
    names = ("1003", "1004") if stage.phones.has_incoming("1003") else ("1004", "1003")
    first = await stage.phones.incoming(names[0])
    await first.ended()
    second = await stage.phones.incoming(names[1])
    await stage.pass_time(0.6)
    await second.answer()
    stage.mark("answered")
    await stage.pass_time(1.2)
    await caller.hangup()
    stage.mark("over")
    await second.ended()
    return [
        inbound(
            Did.SALES,
            "answered",
            queues=["sales"],
            legs=[
                leg(TRUNK, "caller"),
                callee(names[0], "no_answer"),
                callee(names[1], "answered"),
            ],
            talks=[[TRUNK, phone(names[1])]],
            wait_s=stage.between("rings", "answered"),
            talk_s=stage.between("answered", "over"),
        )
    ]


@scenario("queue/linear_all_in_turn_timed_out", "1005", "1006", queue_seconds=7)
async def queue_linear_timed_out(stage: Stage) -> Truth:
    """Two members ring one after the other, for three seconds each, and nobody answers."""
    caller = await stage.phones.call_in(CUSTOMER, Did.OFFICE, name=NAME)
    stage.mark("queued")
    first = await stage.phones.incoming("1005")
    await first.ended()
    second = await stage.phones.incoming("1006")
    await second.ended()
    await caller.ended()
    stage.mark("over")
    return [
        inbound(
            Did.OFFICE,
            "no_answer",
            queues=["office"],
            legs=[
                leg(TRUNK, "caller"),
                callee("1005", "no_answer"),
                callee("1006", "no_answer"),
            ],
            wait_s=stage.between("queued", "over"),
            talk_s=0.0,
        )
    ]


@scenario("queue/leaves_by_key_other_answers", "1001", "1008", queue_seconds=20)
async def queue_leaves_by_key(stage: Stage) -> Truth:
    """The customer waits, presses 0 to leave the queue, and 1008 answers."""
    caller = await stage.phones.call_in(CUSTOMER, Did.SUPPORT_WITH_EXIT, name=NAME)
    desk = await stage.phones.incoming("1001")
    await caller.confirmed()
    stage.mark("queued")
    await stage.pass_time(1.0)
    await caller.dtmf("0")
    reception = await stage.phones.incoming("1008")
    await desk.ended()
    await stage.pass_time(0.5)
    await reception.answer()
    stage.mark("answered")
    await stage.pass_time(1.0)
    await caller.hangup()
    stage.mark("over")
    await reception.ended()
    return [
        inbound(
            Did.SUPPORT_WITH_EXIT,
            "answered",
            queues=["support"],
            legs=[leg(TRUNK, "caller"), callee("1001", "cancelled"), callee("1008", "answered")],
            talks=[[TRUNK, phone("1008")]],
            wait_s=stage.between("queued", "answered"),
            talk_s=stage.between("answered", "over"),
        )
    ]


@scenario("queue/member_busy_other_answers", "1003", "1004", queue_seconds=20)
async def queue_member_busy(stage: Stage) -> Truth:
    """The first member of the queue declines (486), the next one answers."""
    caller = await stage.phones.call_in(CUSTOMER, Did.SALES, name=NAME)
    await stage.phones.until(
        lambda: stage.phones.has_incoming("1003") or stage.phones.has_incoming("1004"),
        "the first member to ring",
    )
    stage.mark("rings")
    names = ("1003", "1004") if stage.phones.has_incoming("1003") else ("1004", "1003")
    first = await stage.phones.incoming(names[0])
    await first.reject(486)
    second = await stage.phones.incoming(names[1])
    await stage.pass_time(0.4)
    await second.answer()
    stage.mark("answered")
    await stage.pass_time(1.0)
    await caller.hangup()
    stage.mark("over")
    await second.ended()
    return [
        inbound(
            Did.SALES,
            "answered",
            queues=["sales"],
            legs=[leg(TRUNK, "caller"), callee(names[0], "busy"), callee(names[1], "answered")],
            talks=[[TRUNK, phone(names[1])]],
            wait_s=stage.between("rings", "answered"),
            talk_s=stage.between("answered", "over"),
        )
    ]


@scenario("queue/two_callers_wait", "1001", queue_seconds=20)
async def queue_two_callers_wait(stage: Stage) -> Truth:
    """One agent, two customers: the second waits until the first has been served."""
    first = await stage.phones.call_in(CUSTOMER, Did.SUPPORT, name=NAME)
    desk = await stage.phones.incoming("1001")
    stage.mark("first rings")
    await stage.pass_time(0.5)
    await desk.answer()
    stage.mark("first answered")
    second = await stage.phones.call_in(OTHER_CUSTOMER, Did.SUPPORT, name="Jane Roe")
    await second.confirmed()
    stage.mark("second queued")
    await stage.pass_time(1.0)
    await first.hangup()
    stage.mark("first over")
    await desk.ended()
    again = await stage.phones.incoming("1001")
    await again.answer()
    stage.mark("second answered")
    await stage.pass_time(1.0)
    await second.hangup()
    stage.mark("second over")
    await again.ended()
    shared: dict[str, Any] = {
        "queues": ["support"],
        "legs": [leg(TRUNK, "caller"), callee("1001", "answered")],
        "talks": [[TRUNK, phone("1001")]],
    }
    return [
        inbound(
            Did.SUPPORT,
            "answered",
            **shared,
            wait_s=stage.between("first rings", "first answered"),
            talk_s=stage.between("first answered", "first over"),
        ),
        inbound(
            Did.SUPPORT,
            "answered",
            **shared,
            caller={"number": OTHER_CUSTOMER, "name": "Jane Roe"},
            wait_s=stage.between("second queued", "second answered"),
            talk_s=stage.between("second answered", "second over"),
        ),
    ]


def outbound(outcome: str, **more: Any) -> dict[str, Any]:
    """Return the truth that all calls of 1001 to the outside share."""
    return {
        "direction": "outbound",
        "outcome": outcome,
        "ended": True,
        "dialed": OUTSIDE,
        "queues": [],
        "talks": [],
        **more,
    }


@scenario("outbound/answered", "1001")
async def outbound_answered(stage: Stage) -> Truth:
    """An agent calls a customer, who answers; the agent hangs up."""
    await stage.phones.outside(OUTSIDE)
    desk = await stage.phones.dial("1001", OUTSIDE)
    customer = await stage.phones.incoming(OUTSIDE)
    stage.mark("rings")
    await stage.pass_time(0.8)
    await customer.answer()
    await desk.confirmed()
    stage.mark("answered")
    await stage.pass_time(1.2)
    await desk.hangup()
    stage.mark("over")
    await customer.ended()
    return [
        outbound(
            "answered",
            legs=[
                leg(phone("1001"), "caller"),
                leg(TRUNK, "callee", rang=True, answered=True, result="answered"),
            ],
            talks=[[phone("1001"), TRUNK]],
            wait_s=stage.between("rings", "answered"),
            talk_s=stage.between("answered", "over"),
        )
    ]


async def outbound_unanswered(stage: Stage, how: str, outcome: str, result: str) -> Truth:
    """Play: an agent calls a customer and does not reach them."""
    await stage.phones.outside(OUTSIDE)
    desk = await stage.phones.dial("1001", OUTSIDE)
    customer = await stage.phones.incoming(OUTSIDE)
    stage.mark("rings")
    await desk.ringing()
    if how == "busy":
        await stage.pass_time(0.5)
        await customer.reject(486)
    elif how == "cancelled":
        await stage.pass_time(0.8)
        await desk.hangup()
    await desk.ended()
    stage.mark("over")
    await customer.ended()
    return [
        outbound(
            outcome,
            legs=[
                leg(phone("1001"), "caller"),
                leg(TRUNK, "callee", rang=True, answered=False, result=result),
            ],
            wait_s=stage.between("rings", "over"),
            talk_s=0.0,
        )
    ]


@scenario("outbound/busy", "1001")
async def outbound_busy(stage: Stage) -> Truth:
    """An agent calls a customer whose line is busy."""
    return await outbound_unanswered(stage, "busy", "busy", "busy")


@scenario("outbound/no_answer", "1001")
async def outbound_no_answer(stage: Stage) -> Truth:
    """An agent calls a customer who does not answer."""
    return await outbound_unanswered(stage, "no_answer", "no_answer", "no_answer")


@scenario("outbound/cancelled", "1001")
async def outbound_cancelled(stage: Stage) -> Truth:
    """An agent calls a customer and gives up while it rings."""
    return await outbound_unanswered(stage, "cancelled", "no_answer", "cancelled")


def internal(outcome: str, **more: Any) -> dict[str, Any]:
    """Return the truth that all calls of 1001 to 1002 share."""
    return {
        "direction": "internal",
        "outcome": outcome,
        "ended": True,
        "caller": {"number": "1001", "name": AGENTS["1001"]},
        "dialed": "1002",
        "queues": [],
        "talks": [],
        **more,
    }


@scenario("internal/answered", "1001", "1002")
async def internal_answered(stage: Stage) -> Truth:
    """One agent calls another, who answers."""
    desk = await stage.phones.dial("1001", "1002")
    other = await stage.phones.incoming("1002")
    stage.mark("rings")
    await stage.pass_time(0.6)
    await other.answer()
    stage.mark("answered")
    await stage.pass_time(1.0)
    await desk.hangup()
    stage.mark("over")
    await other.ended()
    return [
        internal(
            "answered",
            legs=[leg(phone("1001"), "caller"), callee("1002", "answered")],
            talks=[[phone("1001"), phone("1002")]],
            wait_s=stage.between("rings", "answered"),
            talk_s=stage.between("answered", "over"),
        )
    ]


@scenario("internal/no_answer", "1001", "1002")
async def internal_no_answer(stage: Stage) -> Truth:
    """One agent calls another, who does not answer."""
    desk = await stage.phones.dial("1001", "1002")
    other = await stage.phones.incoming("1002")
    stage.mark("rings")
    await desk.ended()
    stage.mark("over")
    await other.ended()
    return [
        internal(
            "no_answer",
            legs=[leg(phone("1001"), "caller", answered=False), callee("1002", "no_answer")],
            wait_s=stage.between("rings", "over"),
            talk_s=0.0,
        )
    ]


async def click_to_call(stage: Stage) -> PhoneCall:
    """Order a call from 1001 to the outside, as the product's call button does."""
    await stage.phones.outside(OUTSIDE)
    await stage.ami.send(
        "Action: Originate",
        "ActionID: lab-originate",
        "Channel: PJSIP/1001",
        "ChannelId: cti-lab-1",
        f"Exten: {OUTSIDE}",
        "Context: from-internal",
        "Priority: 1",
        f"CallerID: <{OUTSIDE}>",
        "Timeout: 10000",
        "Async: true",
    )
    return await stage.phones.incoming("1001")


@scenario("click_to_call/answered", "1001", ring_seconds=5)
async def click_to_call_answered(stage: Stage) -> Truth:
    """The button rings the agent's phone; the agent answers, then the customer."""
    desk = await click_to_call(stage)
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
            legs=[
                leg(phone("1001"), "caller"),
                leg(TRUNK, "callee", rang=True, answered=True, result="answered"),
            ],
            talks=[[phone("1001"), TRUNK]],
            talk_s=stage.between("answered", "over"),
        )
    ]


@scenario("click_to_call/customer_busy", "1001", ring_seconds=5)
async def click_to_call_customer_busy(stage: Stage) -> Truth:
    """The button rings the agent's phone; the agent answers, the customer is busy."""
    desk = await click_to_call(stage)
    await desk.answer()
    customer = await stage.phones.incoming(OUTSIDE)
    await stage.pass_time(0.4)
    await customer.reject(486)
    await desk.ended()
    return [
        outbound(
            "busy",
            legs=[
                leg(phone("1001"), "caller"),
                leg(TRUNK, "callee", rang=True, answered=False, result="busy"),
            ],
            talk_s=0.0,
        )
    ]


@scenario("click_to_call/agent_declines", "1001", ring_seconds=5)
async def click_to_call_agent_declines(stage: Stage) -> Truth:
    """The button rings the agent's phone, and the agent declines: nobody else is called."""
    desk = await click_to_call(stage)
    await stage.pass_time(0.4)
    await desk.reject(486)
    await stage.ami.event("OriginateResponse")
    return [{"ended": True, "queues": [], "talks": [], "talk_s": 0.0}]
