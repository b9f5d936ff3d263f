"""Stories of phones that send callers on, and of mobiles asked whether they take a call."""

from __future__ import annotations

from typing import Any

from tests.lab.asterisk import Did
from tests.lab.refer_scenarios import outside_leg, talked
from tests.lab.scenarios import CUSTOMER, NAME, OUTSIDE, inbound
from tests.lab.stage import TRUNK, Stage, Truth, callee, leg, more_phones, phone, scenario
from tests.lab.transfer_scenarios import transferred

BOTH_OUTSIDE = [TRUNK, TRUNK]
"""The customer talks to a mobile, through the same trunk."""


@scenario("forward/to_group_answered", "1001", "1002", "1003", ring_seconds=6)
async def forward_to_group(stage: Stage) -> Truth:
    """1001 sends callers on to a ring group (302); 1003 answers there."""
    await stage.phones.on_call("1001", 0)
    caller = await stage.phones.call_in(CUSTOMER, Did.PHONE, name=NAME)
    desk = await stage.phones.incoming("1001")
    await desk.redirect("6100")
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
                leg(phone("1001"), "callee", rang=False, answered=False),
                callee("1002", "answered_elsewhere"),
                callee("1003", "answered"),
            ],
            talks=[[TRUNK, phone("1003")]],
            transfers=[transferred("forward", [phone("1003")], "answered")],
        )
    ]


async def forward_to_mobile(stage: Stage, *, answered: bool) -> Truth:
    """Play: 1001 sends callers on to a mobile outside."""
    await stage.phones.on_call("1001", 0)
    await stage.phones.outside(OUTSIDE)
    caller = await stage.phones.call_in(CUSTOMER, Did.PHONE, name=NAME)
    desk = await stage.phones.incoming("1001")
    await desk.redirect(OUTSIDE)
    mobile = await stage.phones.incoming(OUTSIDE)
    await stage.pass_time(0.5)
    talks = []
    if answered:
        await mobile.answer()
        await talked(stage, caller, mobile)
        talks = [BOTH_OUTSIDE]
    else:
        await mobile.reject(486)
        await caller.ended()
    return [
        inbound(
            Did.PHONE,
            "answered" if answered else "busy",
            legs=[
                leg(TRUNK, "caller"),
                leg(phone("1001"), "callee", rang=False, answered=False),
                outside_leg("answered" if answered else "busy"),
            ],
            talks=talks,
            transfers=[transferred("forward", [TRUNK], "answered" if answered else "failed")],
        )
    ]


@scenario("forward/to_mobile_answered", "1001", ring_seconds=6)
async def forward_to_mobile_answered(stage: Stage) -> Truth:
    """1001 sends callers on to a mobile outside (302), which answers."""
    return await forward_to_mobile(stage, answered=True)


@scenario("forward/to_mobile_busy", "1001", ring_seconds=6)
async def forward_to_mobile_busy(stage: Stage) -> Truth:
    """1001 sends callers on to a mobile outside (302), which is busy."""
    return await forward_to_mobile(stage, answered=False)


@scenario("forward/queue_member_to_colleague_answered", "1001", "1004", queue_seconds=10)
async def forward_of_queue_member(stage: Stage) -> Truth:
    """The queue rings 1001, who sends callers on to 1004 (302), who answers."""
    await stage.phones.on_call("1001", 0)
    caller = await stage.phones.call_in(CUSTOMER, Did.SUPPORT, name=NAME)
    desk = await stage.phones.incoming("1001")
    await desk.redirect("1004")
    target = await stage.phones.incoming("1004")
    await stage.pass_time(0.5)
    await target.answer()
    await talked(stage, caller, target)
    return [
        inbound(
            Did.SUPPORT,
            "answered",
            queues=["support"],
            legs=[
                leg(TRUNK, "caller"),
                leg(phone("1001"), "callee", rang=False, answered=False),
                callee("1004", "answered"),
            ],
            talks=[[TRUNK, phone("1004")]],
            transfers=[transferred("forward", [phone("1004")], "answered")],
        )
    ]


def asked(answer: str) -> dict[str, Any]:
    """Describe the mobile that was picked up and asked whether it takes the call."""
    if answer == "takes":
        return outside_leg("answered")
    return leg(TRUNK, "callee", rang=True, answered=False)


async def follow_me(stage: Stage, *, takes: bool) -> Truth:
    """Play: the mobile picks up and presses 1 (takes the call) or 2."""
    await stage.phones.outside(OUTSIDE)
    caller = await stage.phones.call_in(CUSTOMER, Did.FOLLOW_ME, name=NAME)
    mobile = await stage.phones.incoming(OUTSIDE)
    await stage.pass_time(0.5)
    await mobile.answer()
    await stage.pass_time(6.0)  # "you have a call": keys are not taken before its end
    await mobile.dtmf("1" if takes else "2")
    if takes:
        await stage.ami.event("MusicOnHoldStop", 20)
        await talked(stage, caller, mobile)
    else:
        await mobile.ended(20)
        await caller.ended(20)
    call = inbound(
        Did.FOLLOW_ME,
        "answered" if takes else "no_answer",
        legs=[leg(TRUNK, "caller"), asked("takes" if takes else "declines")],
        talks=[BOTH_OUTSIDE] if takes else [],
    )
    if not takes:
        call["talk_s"] = 0.0
    return [call]


@scenario("follow_me/mobile_takes_it", ring_seconds=8)
async def follow_me_taken(stage: Stage) -> Truth:
    """FollowMe calls the agent's mobile and asks; the mobile presses 1 and talks."""
    return await follow_me(stage, takes=True)


@scenario("follow_me/mobile_declines", ring_seconds=8)
async def follow_me_declined(stage: Stage) -> Truth:
    """FollowMe calls the agent's mobile and asks; the mobile presses 2."""
    return await follow_me(stage, takes=False)


async def desk_or_mobile(stage: Stage, key: str) -> Truth:
    """Play: desk phone and mobile ring, the mobile picks up, is asked and presses a key."""
    await stage.phones.outside(OUTSIDE)
    caller = await stage.phones.call_in(CUSTOMER, Did.DESK_OR_MOBILE, name=NAME)
    desk = await stage.phones.incoming("1001")
    mobile = await stage.phones.incoming(OUTSIDE)
    await stage.pass_time(0.5)
    await mobile.answer()
    await stage.pass_time(1.5)
    await mobile.dtmf(key)
    taken = key == "1"
    if taken:
        await desk.ended()
        await talked(stage, caller, mobile)
    else:
        await mobile.ended()
        await stage.pass_time(0.5)
        await desk.answer()
        await talked(stage, caller, desk)
    return [
        inbound(
            Did.DESK_OR_MOBILE,
            "answered",
            legs=[
                leg(TRUNK, "caller"),
                callee("1001", "answered_elsewhere" if taken else "answered"),
                asked("takes" if taken else "declines"),
            ],
            talks=[BOTH_OUTSIDE if taken else [TRUNK, phone("1001")]],
        )
    ]


@scenario("follow_me/desk_or_mobile_mobile_takes_it", "1001", ring_seconds=10)
async def desk_or_mobile_taken(stage: Stage) -> Truth:
    """Desk phone and mobile ring; the mobile picks up, hears a beep, presses 1 and talks."""
    return await desk_or_mobile(stage, "1")


@scenario("follow_me/desk_or_mobile_mobile_declines", "1001", ring_seconds=10)
async def desk_or_mobile_declined(stage: Stage) -> Truth:
    """The mobile picks up and presses 2; the desk phone still rings and is answered."""
    return await desk_or_mobile(stage, "2")


@scenario("ring_group/two_phones_of_one_extension", "1001", contacts=2, ring_seconds=6)
async def two_phones_of_one_extension(stage: Stage) -> Truth:
    """Two phones are registered as 1001; both ring, the second answers."""
    async with more_phones(stage, "1001") as home:
        caller = await stage.phones.call_in(CUSTOMER, Did.TWO_PHONES, name=NAME)
        first = await stage.phones.incoming("1001")
        second = await home.incoming("1001")
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
            Did.TWO_PHONES,
            "answered",
            legs=[
                leg(TRUNK, "caller"),
                callee("1001", "answered_elsewhere"),
                callee("1001", "answered"),
            ],
            talks=[[TRUNK, phone("1001")]],
            wait_s=stage.between("rings", "answered"),
            talk_s=stage.between("answered", "over"),
        )
    ]
