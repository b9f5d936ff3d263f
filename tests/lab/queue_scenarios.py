"""More stories of queues: pauses, empty queues, announcements, wrap-up, several queues."""

from __future__ import annotations

from typing import Any

from tests.lab.asterisk import Did
from tests.lab.refer_scenarios import talked
from tests.lab.scenarios import CUSTOMER, NAME, OTHER_CUSTOMER, inbound
from tests.lab.stage import TRUNK, Stage, Truth, callee, leg, phone, scenario


@scenario("queue/no_answer_pauses_member_other_answers", "1005", "1006", queue_seconds=15)
async def no_answer_pauses_member(stage: Stage) -> Truth:
    """1005 does not answer and is paused by the queue; 1006 is next and answers."""
    caller = await stage.phones.call_in(CUSTOMER, Did.CAREFUL, name=NAME)
    first = await stage.phones.incoming("1005")
    stage.mark("rings")
    await first.ended()
    await stage.ami.event("QueueMemberPause")
    second = await stage.phones.incoming("1006")
    await stage.pass_time(0.5)
    await second.answer()
    stage.mark("answered")
    await talked(stage, caller, second)
    stage.mark("over")
    return [
        inbound(
            Did.CAREFUL,
            "answered",
            queues=["careful"],
            legs=[leg(TRUNK, "caller"), callee("1005", "no_answer"), callee("1006", "answered")],
            talks=[[TRUNK, phone("1006")]],
            wait_s=stage.between("rings", "answered"),
            talk_s=stage.between("answered", "over"),
        )
    ]


async def reception_answers(stage: Stage, did: str, queues: list[str], **more: Any) -> Truth:
    """Play: the dialplan rings 1008, who answers."""
    caller = await stage.phones.call_in(CUSTOMER, did, name=NAME)
    if queues:
        await stage.ami.event("QueueCallerJoin")
        await stage.pass_time(1.0)
        await stage.ami.send(
            "Action: QueuePause", "ActionID: lab-pause", "Interface: PJSIP/1007", "Paused: true"
        )
    reception = await stage.phones.incoming("1008", 15)
    await stage.pass_time(0.4)
    await reception.answer()
    stage.mark("answered")
    await talked(stage, caller, reception)
    stage.mark("over")
    return [
        inbound(
            did,
            "answered",
            queues=queues,
            talks=[[TRUNK, phone("1008")]],
            talk_s=stage.between("answered", "over"),
            **more,
        )
    ]


@scenario("queue/leaves_when_empty_other_answers", "1007", "1008", queue_seconds=20)
async def leaves_when_empty(stage: Stage) -> Truth:
    """The last agent takes a pause: the waiting customer leaves the queue and 1008 answers."""
    await stage.phones.on_call("1007", 0)
    return await reception_answers(
        stage,
        Did.CLOSING,
        ["closing"],
        legs=[
            leg(TRUNK, "caller"),
            *[leg(phone("1007"), "callee", answered=False)],
            callee("1008", "answered"),
        ],
    )


@scenario("queue/join_empty_other_answers", "1008", queue_seconds=20)
async def join_empty(stage: Stage) -> Truth:
    """Nobody serves the queue: the customer does not get in, and 1008 answers."""
    return await reception_answers(
        stage, Did.STRICT, [], legs=[leg(TRUNK, "caller"), callee("1008", "answered")]
    )


@scenario("queue/agent_hangs_up_in_announcement", "1007", queue_seconds=30)
async def agent_hangs_up_in_announcement(stage: Stage) -> Truth:
    """1007 picks up and hangs up during the announcement; the next time 1007 talks."""
    caller = await stage.phones.call_in(CUSTOMER, Did.ANNOUNCED, name=NAME)
    dumped = await stage.phones.incoming("1007")
    await stage.pass_time(0.4)
    await dumped.answer()
    await stage.pass_time(0.5)
    await dumped.hangup()
    await stage.ami.event("AgentDump")
    desk = await stage.phones.incoming("1007", 15)
    await stage.pass_time(0.4)
    await desk.answer()
    await stage.ami.event("AgentConnect", 15)
    stage.mark("answered")
    await talked(stage, caller, desk)
    stage.mark("over")
    return [
        inbound(
            Did.ANNOUNCED,
            "answered",
            queues=["announced"],
            legs=[
                leg(TRUNK, "caller"),
                leg(phone("1007"), "callee", rang=True, answered=False),
                callee("1007", "answered"),
            ],
            talks=[[TRUNK, phone("1007")]],
            talk_s=stage.between("answered", "over"),
        )
    ]


@scenario("queue/caller_gives_up_in_announcement", "1007", queue_seconds=30)
async def caller_gives_up_in_announcement(stage: Stage) -> Truth:
    """1007 picks up; while 1007 hears the announcement the customer hangs up."""
    caller = await stage.phones.call_in(CUSTOMER, Did.ANNOUNCED, name=NAME)
    desk = await stage.phones.incoming("1007")
    await stage.pass_time(0.4)
    await desk.answer()
    await stage.pass_time(0.4)
    await caller.hangup()
    await desk.ended()
    return [
        inbound(
            Did.ANNOUNCED,
            "abandoned",
            queues=["announced"],
            legs=[leg(TRUNK, "caller"), leg(phone("1007"), "callee", rang=True, answered=False)],
            talk_s=0.0,
        )
    ]


@scenario("queue/timed_out_voicemail_left", "1001", queue_seconds=3)
async def timed_out_voicemail(stage: Stage) -> Truth:
    """The queue's time is over; the customer leaves a message in the voicemail."""
    caller = await stage.phones.call_in(CUSTOMER, Did.SUPPORT_OR_VOICEMAIL, name=NAME)
    desk = await stage.phones.incoming("1001")
    await desk.ended()
    await stage.pass_time(2.0)
    await caller.hangup()
    return [
        inbound(
            Did.SUPPORT_OR_VOICEMAIL,
            "voicemail",
            queues=["support"],
            legs=[leg(TRUNK, "caller"), callee("1001", "no_answer")],
            talk_s=0.0,
        )
    ]


@scenario("queue/wrap_up_makes_second_wait", "1007", queue_seconds=30)
async def wrap_up(stage: Stage) -> Truth:
    """After a call 1007 has three seconds for paperwork: the second customer waits for them."""
    first = await stage.phones.call_in(CUSTOMER, Did.WRAPPING, name=NAME)
    desk = await stage.phones.incoming("1007")
    await desk.answer()
    second = await stage.phones.call_in(OTHER_CUSTOMER, Did.WRAPPING, name="Jane Roe")
    await second.confirmed()
    stage.mark("second queued")
    await stage.pass_time(0.5)
    await talked(stage, first, desk)
    again = await stage.phones.incoming("1007", 15)
    await again.answer()
    stage.mark("second answered")
    await talked(stage, second, again)
    stage.mark("second over")
    legs = [leg(TRUNK, "caller"), callee("1007", "answered")]
    shared: dict[str, Any] = {"queues": ["wrapping"], "legs": legs}
    talks = [[TRUNK, phone("1007")]]
    return [
        inbound(Did.WRAPPING, "answered", **shared, talks=talks),
        inbound(
            Did.WRAPPING,
            "answered",
            **shared,
            talks=talks,
            caller={"number": OTHER_CUSTOMER, "name": "Jane Roe"},
            wait_s=stage.between("second queued", "second answered"),
            talk_s=stage.between("second answered", "second over"),
        ),
    ]


@scenario("queue/heavier_queue_first", "1006", queue_seconds=30)
async def heavier_queue_first(stage: Stage) -> Truth:
    """One agent serves two queues; of two who wait, the one in the heavier queue is first."""
    busy = await stage.phones.dial("1006", "8001")
    await busy.confirmed()
    plain = await stage.phones.call_in(CUSTOMER, Did.PLAIN, name=NAME)
    await plain.confirmed()
    stage.mark("plain queued")
    await stage.pass_time(0.5)
    vip = await stage.phones.call_in(OTHER_CUSTOMER, Did.VIP, name="Jane Roe")
    await vip.confirmed()
    stage.mark("vip queued")
    await stage.pass_time(0.5)
    await busy.hangup()
    desk = await stage.phones.incoming("1006", 15)
    await desk.answer()
    stage.mark("vip answered")
    await talked(stage, vip, desk)
    stage.mark("vip over")
    desk = await stage.phones.incoming("1006", 15)
    await desk.answer()
    stage.mark("plain answered")
    await talked(stage, plain, desk)
    stage.mark("plain over")
    talks = [[TRUNK, phone("1006")]]
    legs = [leg(TRUNK, "caller"), callee("1006", "answered")]
    return [
        {
            "direction": "internal",
            "ended": True,
            "dialed": "8001",
            "queues": [],
            "legs": [leg(phone("1006"), "caller")],
            "talks": [],
            "talk_s": 0.0,
        },
        inbound(
            Did.PLAIN,
            "answered",
            queues=["plain"],
            legs=legs,
            talks=talks,
            wait_s=stage.between("plain queued", "plain answered"),
            talk_s=stage.between("plain answered", "plain over"),
        ),
        inbound(
            Did.VIP,
            "answered",
            queues=["vip"],
            caller={"number": OTHER_CUSTOMER, "name": "Jane Roe"},
            legs=legs,
            talks=talks,
            wait_s=stage.between("vip queued", "vip answered"),
            talk_s=stage.between("vip answered", "vip over"),
        ),
    ]


@scenario("queue/member_comes_and_goes", "1004", queue_seconds=20)
async def member_comes_and_goes(stage: Stage) -> Truth:
    """A customer waits in a queue without members; 1004 is added to it, answers, is removed."""
    caller = await stage.phones.call_in(CUSTOMER, Did.FLOATING, name=NAME)
    await caller.confirmed()
    stage.mark("queued")
    await stage.pass_time(0.8)
    await stage.ami.send(
        "Action: QueueAdd",
        "ActionID: lab-add",
        "Queue: floating",
        "Interface: PJSIP/1004",
        "MemberName: Brian O'Neill",
        "Penalty: 2",
    )
    desk = await stage.phones.incoming("1004")
    await stage.pass_time(0.4)
    await desk.answer()
    stage.mark("answered")
    await talked(stage, caller, desk)
    stage.mark("over")
    await stage.ami.send(
        "Action: QueueRemove", "ActionID: lab-remove", "Queue: floating", "Interface: PJSIP/1004"
    )
    await stage.ami.event("QueueMemberRemoved")
    return [
        inbound(
            Did.FLOATING,
            "answered",
            queues=["floating"],
            legs=[leg(TRUNK, "caller"), callee("1004", "answered")],
            talks=[[TRUNK, phone("1004")]],
            wait_s=stage.between("queued", "answered"),
            talk_s=stage.between("answered", "over"),
        )
    ]


async def local_members(stage: Stage, *, answered: bool) -> Truth:
    """Play: a queue rings 1003 and 1004 through Local channels; 1004 answers, or nobody does."""
    caller = await stage.phones.call_in(CUSTOMER, Did.LOCALS, name=NAME)
    first = await stage.phones.incoming("1003")
    second = await stage.phones.incoming("1004")
    stage.mark("rings")
    await caller.confirmed()
    await stage.pass_time(0.8)
    if answered:
        await second.answer()
        stage.mark("answered")
        await first.ended()
        await talked(stage, caller, second)
        stage.mark("over")
    else:
        await caller.hangup()
        await first.ended()
        await second.ended()
    call = inbound(
        Did.LOCALS,
        "answered" if answered else "abandoned",
        queues=["locals"],
        legs=[
            leg(TRUNK, "caller"),
            callee("1003", "answered_elsewhere" if answered else "cancelled"),
            callee("1004", "answered" if answered else "cancelled"),
        ],
        talks=[[TRUNK, phone("1004")]] if answered else [],
    )
    if answered:
        call["wait_s"] = stage.between("rings", "answered")
        call["talk_s"] = stage.between("answered", "over")
    return [call]


@scenario("queue/local_optimized_answered", "1003", "1004", queue_seconds=10)
async def local_optimized_answered(stage: Stage) -> Truth:
    """Members behind Local channels without /n ring; 1004 answers, the Local channels go."""
    return await local_members(stage, answered=True)


@scenario("queue/local_optimized_abandoned", "1003", "1004", queue_seconds=10)
async def local_optimized_abandoned(stage: Stage) -> Truth:
    """Members behind Local channels without /n ring; the customer gives up."""
    return await local_members(stage, answered=False)
