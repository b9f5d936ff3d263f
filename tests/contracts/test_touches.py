"""What every store promises about the history."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from secrets import token_hex

import pytest

from crm_core.errors import NotFound
from crm_core.model import (
    Candidate,
    ContactId,
    ContactPoint,
    Direction,
    Match,
    MatchResult,
    Medium,
    Outcome,
    Party,
    PartyKind,
    PointKind,
    Touch,
    TouchId,
    UserId,
)
from crm_core.ports import ContactDraft, NewTouch, Store
from crm_core.touches import match_party
from tests.contracts.conftest import NOW

NUMBER = "+905321234567"
CALLER = Party(
    kind=PartyKind.PHONE, address=NUMBER, raw="05321234567", name='Zoë "<b>" Ёлкин', region="TR"
)


def known(contact: int, *, owner: int | None = None) -> Match:
    return Match(
        result=MatchResult.KNOWN,
        party=NUMBER,
        candidates=(
            Candidate(
                contact=ContactId(contact),
                name="Ayşe",
                owner=None if owner is None else UserId(owner),
            ),
        ),
        reasons=("exact number, direct line",),
    )


UNKNOWN = Match(result=MatchResult.UNKNOWN, party=NUMBER, reasons=("no contact has this number",))


def new(
    key: str,
    *,
    at: datetime = NOW,
    match: Match = UNKNOWN,
    medium: Medium = Medium.PHONE,
    outcome: Outcome = Outcome.IN_PROGRESS,
    agent: UserId | None = None,
    team: str = "",
) -> NewTouch:
    return NewTouch(
        key=key,
        medium=medium,
        direction=Direction.INBOUND,
        outcome=outcome,
        at=at,
        party=CALLER,
        match=match,
        agent=agent,
        team=team,
        subject="+902121112233",
        details={"queues": ["support"], "n": 1, "nested": {"ü": None}},
    )


async def put(store: Store, *touches: NewTouch) -> list[Touch]:
    async with store.begin() as uow:
        results = [(await uow.touches.open(touch))[0] for touch in touches]
        await uow.commit()
    return results


async def test_a_touch_comes_back_as_it_was_given(store: Store) -> None:
    [opened] = await put(store, new("call:1", match=known(7), team="sales"))
    async with store.begin() as uow:
        assert await uow.touches.get(opened.id) == opened
        assert await uow.touches.by_key("call:1") == opened
        assert await uow.touches.get(TouchId(999)) is None
        assert await uow.touches.by_key("call:2") is None
    assert opened.party == CALLER
    assert opened.match == known(7)
    assert opened.details == {"queues": ["support"], "n": 1, "nested": {"ü": None}}
    assert (opened.subject, opened.team) == ("+902121112233", "sales")
    assert (opened.at, opened.ended_at, opened.talk_s) == (NOW, None, None)


async def test_opening_again_returns_the_first(store: Store) -> None:
    [first] = await put(store, new("call:1"))
    async with store.begin() as uow:
        again, created = await uow.touches.open(
            replace(new("call:1"), subject="other", direction=Direction.OUTBOUND)
        )
        await uow.commit()
    assert (again, created) == (first, False)


async def test_times_of_other_zones_become_utc(store: Store) -> None:
    istanbul = timezone(timedelta(hours=3))
    [opened] = await put(store, new("call:1", at=NOW.astimezone(istanbul)))
    assert opened.at == NOW
    assert opened.at.utcoffset() == timedelta(0)


async def test_changing_fields(store: Store) -> None:
    async with store.begin() as uow:
        agent = await uow.users.add(login="deniz", name="Deniz Kaya", role="agent")
        await uow.commit()
    [opened] = await put(store, new("call:1"))
    async with store.begin() as uow:
        answered = await uow.touches.change(opened.id, agent=agent.id, team="support")
        ended = await uow.touches.change(
            opened.id,
            outcome=Outcome.ANSWERED,
            ended_at=NOW + timedelta(seconds=60),
            ring_s=3.25,
            wait_s=3.25,
            talk_s=50.5,
            hold_s=0.0,
            match=known(7),
            party=replace(CALLER, name="Ayşe"),
            details={"legs": []},
        )
        assert await uow.touches.change(opened.id) == ended, "no field changes nothing"
        await uow.commit()
    assert (answered.agent, answered.agent_name) == (agent.id, "Deniz Kaya")
    async with store.begin() as uow:
        found = await uow.touches.get(opened.id)
        of_contact = await uow.touches.of_contact(ContactId(7))
    assert found == ended
    assert (ended.outcome, ended.team, ended.agent_name) == (
        Outcome.ANSWERED,
        "support",
        "Deniz Kaya",
    )
    assert (ended.ring_s, ended.talk_s, ended.hold_s) == (3.25, 50.5, 0.0)
    assert (ended.match, ended.party.name, ended.details) == (known(7), "Ayşe", {"legs": []})
    assert of_contact == [ended]


async def test_the_agents_name_is_kept_as_it_was(store: Store) -> None:
    async with store.begin() as uow:
        agent = await uow.users.add(login="deniz", name="Deniz", role="agent")
        with_agent, _ = await uow.touches.open(new("call:1", agent=agent.id))
        stranger, _ = await uow.touches.open(new("call:2", agent=UserId(99)))
        renamed = await uow.touches.change(stranger.id, agent=agent.id, agent_name="D. Kaya")
        nobody = await uow.touches.change(with_agent.id, agent=None)
        await uow.commit()
    assert (with_agent.agent_name, stranger.agent_name) == ("Deniz", "")
    assert (renamed.agent_name, nobody.agent_name) == ("D. Kaya", "")


async def test_changes_that_cannot_be(store: Store) -> None:
    [opened] = await put(store, new("call:1"))
    async with store.begin() as uow:
        with pytest.raises(NotFound):
            await uow.touches.change(TouchId(999), outcome=Outcome.BUSY)
        with pytest.raises(NotFound):
            await uow.touches.change(TouchId(999))
        for wrong in ({"colour": "red"}, {"id": 2}, {"key": "other"}):
            with pytest.raises(TypeError):
                await uow.touches.change(opened.id, **wrong)


async def test_the_last_touches_of_a_contact(store: Store) -> None:
    await put(
        store,
        *(new(f"call:{i}", at=NOW + timedelta(minutes=i), match=known(7)) for i in range(8)),
        new("call:other", at=NOW + timedelta(days=1), match=known(8)),
        new("call:unknown", at=NOW + timedelta(days=1)),
    )
    async with store.begin() as uow:
        touches = await uow.touches.of_contact(ContactId(7))
        assert len(await uow.touches.of_contact(ContactId(7), limit=100)) == 8
        assert await uow.touches.of_contact(ContactId(9)) == []
    assert [touch.key for touch in touches] == [f"call:{i}" for i in (7, 6, 5, 4, 3)]


async def test_a_touch_that_turns_out_to_be_somebody_else_moves(store: Store) -> None:
    [opened] = await put(store, new("call:1", match=known(7)))
    async with store.begin() as uow:
        await uow.touches.change(opened.id, match=known(8))
        await uow.commit()
    async with store.begin() as uow:
        assert await uow.touches.of_contact(ContactId(7)) == []
        assert len(await uow.touches.of_contact(ContactId(8))) == 1


async def test_an_ambiguous_touch_belongs_to_nobody(store: Store) -> None:
    both = Match(
        result=MatchResult.AMBIGUOUS,
        party=NUMBER,
        candidates=known(7).candidates + known(8).candidates,
    )
    await put(store, new("call:1", match=both))
    async with store.begin() as uow:
        assert await uow.touches.of_contact(ContactId(7)) == []


async def test_pages_go_through_the_history_newest_first(store: Store) -> None:
    """Seven touches, three of them at the very same moment."""
    await put(store, *(new(f"call:{i}", at=NOW + timedelta(seconds=min(i, 4))) for i in range(7)))
    seen: list[str] = []
    after = None
    for _ in range(4):
        async with store.begin() as uow:
            page, after = await uow.touches.page(after=after, limit=2)
        seen += [touch.key for touch in page]
        if len(seen) == 2:
            await put(store, new("call:newer", at=NOW + timedelta(days=1)))
    assert seen == [f"call:{i}" for i in (6, 5, 4, 3, 2, 1, 0)]
    assert after is None


async def test_pages_by_contact_agent_and_medium(store: Store) -> None:
    async with store.begin() as uow:
        agent = await uow.users.add(login="deniz", name="Deniz", role="agent")
        await uow.commit()
    await put(
        store,
        new("a", match=known(7)),
        new("b", agent=agent.id),
        new("c", medium=Medium.EMAIL, outcome=Outcome.RECEIVED, match=known(7)),
    )
    async with store.begin() as uow:

        async def keys(**wanted: object) -> list[str]:
            page, _ = await uow.touches.page(**wanted)  # type: ignore[arg-type]
            return sorted(touch.key for touch in page)

        assert await keys(contact=7) == ["a", "c"]
        assert await keys(agent=agent.id) == ["b"]
        assert await keys(medium=Medium.EMAIL) == ["c"]
        assert await keys(contact=7, medium=Medium.PHONE) == ["a"]


async def test_an_agent_sees_their_own_their_customers_and_their_teams(store: Store) -> None:
    async with store.begin() as uow:
        me = await uow.users.add(login="me", name="Me", role="agent", team="sales")
        other = await uow.users.add(login="other", name="Other", role="agent")
        mine, _ = await uow.contacts.upsert(ContactDraft(name="My customer", owner="me"))
        await uow.commit()
    await put(
        store,
        new("mine", agent=me.id, team="support"),
        new("my customer's", match=known(mine), agent=other.id),
        new("my team's", agent=other.id, team="sales"),
        new("another's", agent=other.id, team="support"),
        new("nobody's"),
    )
    async with store.begin() as uow:

        async def keys(**wanted: object) -> set[str]:
            page, _ = await uow.touches.page(**wanted)  # type: ignore[arg-type]
            return {touch.key for touch in page}

        assert await keys(visible_to=me.id, teams=["sales"]) == {
            "mine",
            "my customer's",
            "my team's",
        }
        assert await keys(visible_to=me.id) == {"mine", "my customer's"}
        assert await keys(teams=["support"]) == {"mine", "another's"}
        assert await keys(teams=[]) == set()
        assert len(await keys()) == 5


async def test_pages_of_what_an_agent_sees_hold_each_touch_once(store: Store) -> None:
    """A touch may be theirs, their customer's and their team's at once."""
    async with store.begin() as uow:
        me = await uow.users.add(login="me", name="Me", role="agent", team="sales")
        mine, _ = await uow.contacts.upsert(ContactDraft(name="My customer", owner="me"))
        await uow.commit()
    ways: list[dict[str, object]] = [
        {"agent": me.id},
        {"match": known(mine)},
        {"team": "sales"},
        {"agent": me.id, "match": known(mine), "team": "sales"},
        {},
    ]
    for index in range(15):
        at = NOW + timedelta(seconds=index // 2)  # two at a time begin at once
        await put(store, new(f"{index}", at=at, **ways[index % 5]))  # type: ignore[arg-type]
    seen: list[str] = []
    after: str | None = None
    async with store.begin() as uow:
        while True:
            page, after = await uow.touches.page(
                visible_to=me.id, teams=["sales", "support"], limit=5, after=after
            )
            seen += [touch.key for touch in page]
            if after is None:
                break
    assert seen == [str(index) for index in reversed(range(15)) if index % 5 != 4]


async def test_touches_merged_into_others_are_in_no_list(store: Store) -> None:
    """A consult call that became part of another call is shown there alone."""
    await put(
        store,
        new("call", match=known(7), agent=UserId(1), team="sales"),
        new("consult", match=known(7), agent=UserId(1), team="sales", outcome=Outcome.MERGED),
    )
    async with store.begin() as uow:
        pages = [
            await uow.touches.page(),
            await uow.touches.page(contact=ContactId(7)),
            await uow.touches.page(agent=UserId(1)),
            await uow.touches.page(medium=Medium.PHONE),
            await uow.touches.page(visible_to=UserId(1), teams=["sales"]),
        ]
        last = await uow.touches.of_contact(ContactId(7))
        kept = await uow.touches.by_key("consult")
    assert [[touch.key for touch in page] for page, _ in pages] == [["call"]] * 5
    assert [touch.key for touch in last] == ["call"]
    assert kept is not None


async def test_unfinished_touches_of_one_pbx(store: Store) -> None:
    await put(
        store,
        new("call:main-2", at=NOW + timedelta(seconds=1)),
        new("call:main-1"),
        new("call:main-3", outcome=Outcome.ANSWERED),
        new("call:Main-4"),
        new("call:m_in-5"),
    )
    async with store.begin() as uow:
        found = await uow.touches.unfinished(key_prefix="call:main-")
        odd = await uow.touches.unfinished(key_prefix="call:m_in")
    assert [touch.key for touch in found] == ["call:main-1", "call:main-2"]
    assert [touch.key for touch in odd] == ["call:m_in-5"]


async def test_hostile_text_is_stored(store: Store) -> None:
    hostile = "Zoë \x00\"<script>' OR 1=1; --\ud800\u202e" + token_hex(5_000)
    clean = hostile.replace("\x00", "").replace("\ud800", "\ufffd")
    touch = replace(
        new("mail:" + hostile, medium=Medium.EMAIL),
        subject=hostile,
        party=replace(CALLER, address=hostile, raw=hostile, name=hostile),
        match=replace(UNKNOWN, party=hostile),
        details={hostile: [hostile, {"x": hostile}]},
    )
    [opened] = await put(store, touch)
    assert (opened.subject, opened.party.name) == (clean, clean)
    async with store.begin() as uow:
        assert await uow.touches.get(opened.id) == opened
        again, created = await uow.touches.open(touch)
        assert (again, created) == (opened, False)
        changed = await uow.touches.change(opened.id, subject=hostile, details={"y": hostile})
    assert (changed.subject, changed.details) == (clean, {"y": clean})


async def test_match_and_recent_touches_in_one_go(store: Store) -> None:
    async with store.begin() as uow:
        ayse, _ = await uow.contacts.upsert(
            ContactDraft(name="Ayşe", points=(ContactPoint(kind=PointKind.PHONE, value=NUMBER),))
        )
        await uow.commit()
    await put(
        store,
        *(new(f"call:{i}", at=NOW + timedelta(minutes=i), match=known(ayse)) for i in range(6)),
    )
    async with store.begin() as uow:
        match, recent = await match_party(uow, CALLER)
        own, none = await match_party(uow, CALLER, own={NUMBER})
        stranger, nothing = await match_party(uow, replace(CALLER, address="+905320000000"))
        withheld, _ = await match_party(uow, Party(kind=PartyKind.WITHHELD, address=""))
    assert match.contact is not None
    assert match.contact.contact == ayse
    assert [touch.key for touch in recent] == [f"call:{i}" for i in (5, 4, 3, 2, 1)]
    assert (own.result, none) == (MatchResult.OWN, [])
    assert (stranger.result, nothing) == (MatchResult.UNKNOWN, [])
    assert withheld.result is MatchResult.WITHHELD
