"""The hub without sockets: what is retained, who gets what, and what is bounded."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter

from agent_ui.health import Health
from agent_ui.hub import REPLACED, SIGNED_OUT, TOO_SLOW, PopHub, PushSession
from agent_ui.messages import Ack, Resume, ServerMessage
from agent_ui.settings import PushLimits
from crm_core.model import User
from crm_core.notices import (
    AgentChanged,
    CallChanged,
    LinkChanged,
    Noticed,
    PopShown,
    PopState,
    PopUpdated,
    PopWithdrawn,
    QueueChanged,
    TouchLogged,
    WithdrawReason,
)

from .scene import (
    AT,
    AYSE,
    BORIS,
    CALLER,
    CARLA,
    HOSTILE,
    SVETLANA,
    Clock,
    agent,
    call,
    pop,
    queue,
    touch,
)

SERVER_MESSAGE: TypeAdapter[Any] = TypeAdapter(ServerMessage)


async def got(session: PushSession) -> list[Any]:
    """Every frame in the outbox, checked against the protocol."""
    frames = []
    while session._outbox:
        text, _ = await session.take()
        frames.append(SERVER_MESSAGE.validate_json(text))
    return frames


async def kinds(session: PushSession) -> list[str]:
    return [frame.type for frame in await got(session)]


async def watching(hub: PopHub, user: User) -> PushSession:
    """A browser that has its snapshot already."""
    session = hub.connect(user, sign_in=user.login.encode())
    hub.start(session)
    assert await kinds(session) == ["hello", "snapshot"]
    return session


async def test_a_card_reaches_its_agent_alone() -> None:
    hub = PopHub()
    ayse, carla, boss = [await watching(hub, user) for user in (AYSE, CARLA, SVETLANA)]
    hub.publish(PopShown(pop=pop(AYSE)))
    [frame] = await got(ayse)
    assert frame.type == "pop"
    assert frame.pop.match.candidates[0].name == "Deniz Yıldız"
    assert frame.seq == 3
    assert await got(carla) == []
    assert await got(boss) == []


async def test_all_browsers_of_an_agent_get_the_card() -> None:
    hub = PopHub()
    desk, phone = [await watching(hub, AYSE) for _ in range(2)]
    hub.publish(PopShown(pop=pop()))
    assert await kinds(desk) == await kinds(phone) == ["pop"]


async def test_who_connects_while_it_rings_gets_the_card_in_the_snapshot() -> None:
    hub = PopHub()
    hub.publish(PopShown(pop=pop()))
    hub.publish(CallChanged(call=call(AYSE)))
    hub.publish(QueueChanged(queue=queue(AYSE)))
    hub.publish(AgentChanged(agent=agent(AYSE)))
    hub.publish(LinkChanged(name="ami:main", up=True, since=AT))
    session = hub.connect(AYSE, sign_in=b"a")
    hub.start(session)
    hello, snapshot = await got(session)
    assert hello.user.login == "ayse"
    assert [body.id for body in snapshot.pops] == ["call-1/1"]
    assert [body.id for body in snapshot.calls] == ["call-1"]
    assert [body.id for body in snapshot.queues] == ["main/support"]
    assert [body.id for body in snapshot.agents] == [1]
    assert [body.name for body in snapshot.links] == ["ami:main"]
    other = hub.snapshot(BORIS)
    assert (other.pops, other.calls, other.queues, other.agents) == ((), (), (), ())


async def test_nothing_comes_between_hello_and_snapshot() -> None:
    hub = PopHub()
    session = hub.connect(AYSE, sign_in=b"a")
    hub.publish(PopShown(pop=pop()))
    assert await kinds(session) == ["hello"]
    hub.start(session)
    hub.start(session)  # once is enough
    [snapshot] = await got(session)
    assert len(snapshot.pops) == 1
    assert snapshot.seq == 2


async def test_a_withdrawn_card_is_gone_with_its_reason() -> None:
    hub = PopHub()
    ayse = await watching(hub, AYSE)
    hub.publish(PopShown(pop=pop()))
    hub.publish(
        PopWithdrawn(
            id="call-1/1", agent=AYSE.id, reason=WithdrawReason.ANSWERED_ELSEWHERE, by="Carla"
        )
    )
    _, withdrawn = await got(ayse)
    assert (withdrawn.reason, withdrawn.by) == ("answered_elsewhere", "Carla")
    assert hub.snapshot(AYSE).pops == ()


async def test_the_card_of_an_ended_call_stays_until_the_next_call() -> None:
    hub = PopHub()
    hub.publish(PopShown(pop=pop(id_="one")))
    hub.publish(PopUpdated(pop=pop(id_="one", state=PopState.ENDED)))
    assert [body.id for body in hub.snapshot(AYSE).pops] == ["one"]
    hub.publish(PopShown(pop=pop(id_="two")))
    assert [body.id for body in hub.snapshot(AYSE).pops] == ["two"]


async def test_the_card_of_an_ended_call_does_not_stay_for_ever() -> None:
    clock = Clock()
    hub = PopHub(PushLimits(ended_pop_s=300), clock=clock)
    hub.publish(PopShown(pop=pop()))
    hub.publish(PopUpdated(pop=pop(state=PopState.ENDED)))
    clock.now += 299
    assert len(hub.snapshot(AYSE).pops) == 1
    clock.now += 2
    assert hub.snapshot(AYSE).pops == ()


async def test_a_call_that_goes_on_to_others_ends_for_who_left_it() -> None:
    hub = PopHub()
    ayse, boris = [await watching(hub, user) for user in (AYSE, BORIS)]
    hub.publish(CallChanged(call=call(AYSE, state="talking")))
    hub.publish(CallChanged(call=replace(call(BORIS, state="talking"), dialed="secret")))
    first, last = await got(ayse)
    assert (first.call.state, last.call.state) == ("talking", "ended")
    assert last.call.dialed != "secret"
    assert [participant.agent for participant in last.call.participants] == [AYSE.id]
    [taken] = await got(boris)
    assert taken.call.state == "talking"


async def test_an_ended_call_is_off_the_list() -> None:
    hub = PopHub()
    hub.publish(CallChanged(call=call(AYSE)))
    hub.publish(CallChanged(call=call(AYSE, state="ended")))
    assert hub.snapshot(SVETLANA).calls == ()


async def test_who_leaves_a_queue_gets_a_snapshot_without_it() -> None:
    hub = PopHub()
    ayse = await watching(hub, AYSE)
    hub.publish(QueueChanged(queue=queue(AYSE)))
    hub.publish(QueueChanged(queue=queue(BORIS)))
    joined, left = await got(ayse)
    assert joined.type == "queue"
    assert left.type == "snapshot"
    assert left.queues == ()


async def test_the_team_of_a_member_comes_from_the_agents() -> None:
    hub = PopHub()
    hub.publish(AgentChanged(agent=agent(CARLA)))
    ayse = await watching(hub, AYSE)
    hub.publish(QueueChanged(queue=queue(CARLA)))
    assert await kinds(ayse) == ["queue"]


async def test_touches_reach_the_team_and_overseers() -> None:
    hub = PopHub()
    sessions = [await watching(hub, user) for user in (AYSE, CARLA, BORIS, SVETLANA)]
    hub.publish(TouchLogged(touch=touch(agent=AYSE), agents=(AYSE.id,)))
    assert [await kinds(session) for session in sessions] == [
        ["touch"],
        ["touch"],
        [],
        ["touch"],
    ]


async def test_why_a_link_is_down_is_for_overseers() -> None:
    health = Health()
    hub = PopHub(health=health)
    ayse, boss = [await watching(hub, user) for user in (AYSE, SVETLANA)]
    hub.publish(LinkChanged(name="ami:main", up=False, since=AT, message="10.0.0.5 refused"))
    [for_agent], [for_boss] = await got(ayse), await got(boss)
    assert (for_agent.link.message, for_boss.link.message) == ("", "10.0.0.5 refused")
    assert [(check.name, check.up) for check in await health.checks()] == [("ami:main", False)]


async def test_a_hostile_name_goes_through_as_text() -> None:
    hub = PopHub()
    ayse = await watching(hub, AYSE)
    hub.publish(PopShown(pop=replace(pop(), party=replace(CALLER, name=HOSTILE))))
    [frame] = await got(ayse)
    assert frame.pop.party.name.startswith('Zoë "<script>alert(1)</script>" O\'Brien Şükrü Ёлкин')
    assert "\x00" not in frame.pop.party.name


async def test_a_notice_that_cannot_be_said_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub = PopHub()
    ayse = await watching(hub, AYSE)
    hub.publish(CallChanged(call=call(AYSE, state="exploded")))
    hub.publish(PopShown(pop=pop()))
    assert await kinds(ayse) == ["pop"]
    assert hub.snapshot(AYSE).calls == ()
    assert hub.metrics.notices_failed == 1
    assert "could not publish a CallChanged" in caplog.text


async def test_a_browser_that_does_not_read_is_cut_off_and_others_are_not() -> None:
    hub = PopHub(PushLimits(outbox_frames=16))
    slow, quick = [await watching(hub, AYSE) for _ in range(2)]
    for number in range(40):
        hub.publish(Noticed(code=str(number)))
        assert len(await got(quick)) == 1
    assert slow.verdict is not None
    assert slow.verdict.code == TOO_SLOW
    assert slow.closing.is_set()
    assert quick.verdict is None
    assert hub.metrics.evicted == 1


async def test_the_outbox_is_bounded_by_bytes_too() -> None:
    hub = PopHub(PushLimits(outbox_bytes=2**16))
    ayse = await watching(hub, AYSE)
    for _ in range(20):
        hub.publish(Noticed(code="long", values={"text": "x" * 10_000}))
    assert ayse.verdict is not None
    assert ayse._outbox_bytes <= 2**16


async def test_who_comes_back_in_time_gets_what_was_missed() -> None:
    hub = PopHub()
    before = await watching(hub, AYSE)
    hub.publish(PopShown(pop=pop()))
    [seen] = await got(before)
    hub.publish(Noticed(code="lost on the way"))
    hub.disconnect(before)
    hub.publish(PopUpdated(pop=pop(state=PopState.CONNECTED)))
    after = hub.connect(AYSE, sign_in=b"ayse")
    hub.start(after, Resume(session=before.id, seq=seen.seq))
    hub.publish(Noticed(code="later"))
    frames = await got(after)
    assert [frame.type for frame in frames] == [
        "hello",
        "resumed",
        "notice",
        "pop_update",
        "notice",
    ]
    assert [frame.seq for frame in frames] == [1, 2, 3, 4, 5]
    assert hub.metrics.resumed == 1


async def test_a_half_open_socket_is_replaced_when_its_browser_comes_back() -> None:
    hub = PopHub()
    before = await watching(hub, AYSE)
    after = hub.connect(AYSE, sign_in=b"ayse")
    hub.start(after, Resume(session=before.id, seq=before.seq))
    assert await kinds(after) == ["hello", "resumed"]
    assert before.verdict is not None
    assert before.verdict.code == REPLACED
    hub.disconnect(before)
    assert hub.connected == 1


@pytest.mark.parametrize("how", ["too many frames", "too long ago", "from the future", "unknown"])
async def test_who_comes_back_too_late_gets_a_snapshot(how: str) -> None:
    clock = Clock()
    hub = PopHub(PushLimits(resume_frames=20, resume_s=120), clock=clock)
    before = await watching(hub, AYSE)
    name, seq = before.id, before.seq
    hub.disconnect(before)
    for _ in range(30 if how == "too many frames" else 1):
        hub.publish(Noticed(code="missed"))
    if how == "too long ago":
        clock.now += 121
    if how == "from the future":
        seq += 1000
    if how == "unknown":
        name = "made up"
    after = hub.connect(AYSE, sign_in=b"ayse")
    hub.start(after, Resume(session=name, seq=seq))
    assert await kinds(after) == ["hello", "snapshot"]
    assert hub.metrics.resume_misses == 1


async def test_nobody_resumes_the_session_of_another() -> None:
    hub = PopHub()
    before = await watching(hub, AYSE)
    seq = before.seq
    hub.disconnect(before)
    hub.publish(PopShown(pop=pop()))
    thief = hub.connect(BORIS, sign_in=b"boris")
    hub.start(thief, Resume(session=before.id, seq=seq))
    assert await kinds(thief) == ["hello", "snapshot"]
    owner = hub.connect(AYSE, sign_in=b"ayse")
    hub.start(owner, Resume(session=before.id, seq=seq))
    assert await kinds(owner) == ["hello", "resumed", "pop"]


async def test_parked_sessions_are_forgotten() -> None:
    clock = Clock()
    hub = PopHub(PushLimits(sockets_per_user=3), clock=clock)
    for _ in range(10):
        hub.disconnect(await watching(hub, AYSE))
    assert len(hub._parked) == 3
    clock.now += 121
    hub.publish(Noticed(code="x"))
    assert hub._parked == {}


async def test_a_user_has_only_so_many_sockets() -> None:
    hub = PopHub(PushLimits(sockets_per_user=2))
    first, second, third = [await watching(hub, AYSE) for _ in range(3)]
    assert first.verdict is not None
    assert first.verdict.code == REPLACED
    assert second.verdict is third.verdict is None
    assert hub.connected == 2


async def test_signing_out_closes_every_socket_of_the_sign_in_and_forgets_it() -> None:
    hub = PopHub()
    parked, open_, other = [await watching(hub, user) for user in (AYSE, AYSE, BORIS)]
    hub.disconnect(parked)
    hub.end_sign_in(b"ayse")
    assert open_.verdict is not None
    assert open_.verdict.code == SIGNED_OUT
    assert other.verdict is None
    after = hub.connect(AYSE, sign_in=b"new")
    hub.start(after, Resume(session=parked.id, seq=parked.seq))
    assert await kinds(after) == ["hello", "snapshot"]


async def test_acks_are_measured_once_and_only_for_own_cards() -> None:
    clock = Clock()
    hub = PopHub(clock=clock)
    ayse, boris = [await watching(hub, user) for user in (AYSE, BORIS)]
    hub.publish(PopShown(pop=pop()))
    clock.now += 0.04
    ack = Ack(id="call-1/1", shown_at=AT + timedelta(seconds=0.5))
    hub.acknowledge(boris, ack)
    assert hub.metrics.acks == 0
    hub.acknowledge(ayse, ack)
    hub.acknowledge(ayse, ack)
    hub.acknowledge(ayse, Ack(id="never shown", shown_at=AT))
    assert hub.metrics.acks == 1
    assert hub.metrics.shown_to_acked.total == pytest.approx(0.04)
    assert hub.metrics.ringing_to_shown.total == pytest.approx(0.5)


async def test_a_body_is_serialised_once_for_all() -> None:
    hub = PopHub()
    sessions = [await watching(hub, SVETLANA) for _ in range(3)]
    hub.publish(Noticed(code="for all"))
    tails = {id(session._outbox[0][1]) for session in sessions}
    assert len(tails) == 1
