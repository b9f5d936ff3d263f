"""From events of a PBX to touches in the history and cards on screens."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crm_core.db.schema import migrate
from crm_core.db.store import open_store
from crm_core.directory import Directory
from crm_core.errors import StoreUnavailable
from crm_core.memory import MemoryStore, MemoryUnitOfWork
from crm_core.model import (
    Candidate,
    ContactId,
    Direction,
    Match,
    MatchResult,
    Outcome,
    PartyKind,
    TouchId,
)
from crm_core.notices import (
    CallChanged,
    PopShown,
    PopState,
    PopUpdated,
    PopWithdrawn,
    TouchLogged,
)
from crm_core.ports import Store
from cti.ami.events import ChannelState, LinkLost, SnapshotBegun, SnapshotEnded
from cti.ami.traces import read_trace
from cti.service import CallService
from tests.cti.pbx import Pbx
from tests.cti.stories import DID, RECORDED, TRACES, answered, given_up, over, ringing
from tests.cti.switchboard import DEADLINE_S, Switchboard, fill, until

ZOE = "known Zoë Ergin"


@pytest.fixture
def pbx() -> Pbx:
    return Pbx()


# --- one call -------------------------------------------------------------------------------------


async def test_a_customer_calls_and_is_answered(pbx: Pbx) -> None:
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    async with Switchboard() as board:
        await board.hears(a.calls(DID))
        pbx.clock.after(1)
        await board.hears(*ringing(a, b))
        board.expect(f"ayse: card ringing {ZOE}")
        pbx.clock.after(2)
        await board.hears(*answered(a, b))
        board.expect(f"ayse: card is now connected {ZOE}")
        assert (await board.touch()).outcome is Outcome.IN_PROGRESS
        pbx.clock.after(30)
        await board.hears(*over(a, b))
        board.expect(f"ayse: card is now ended {ZOE}", "touch inbound answered by ayse, told ayse")
        touch = await board.touch()
        assert (touch.agent_name, touch.team) == ("Ayşe Yılmaz", "support")
        assert (touch.ring_s, touch.wait_s, touch.talk_s, touch.hold_s) == (2.0, 3.0, 30.0, 0.0)
        assert touch.at.timestamp() == 1000.0
        assert touch.ended_at is not None
        assert touch.ended_at.timestamp() == 1033.0
        assert touch.details["talks"] == [[a.name, b.name]]
        assert touch.subject == "+902125550101"
        shown = next(n.pop for n in board.screens.notices if isinstance(n, PopShown))
        assert (shown.id, shown.touch, shown.dialed) == ("pbx:100.0/1", touch.id, "+902125550101")
        assert shown.ringing_at is not None
        assert shown.ringing_at.timestamp() == 1001.0


async def test_a_call_is_followed_live_by_supervisors(pbx: Pbx) -> None:
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    async with Switchboard() as board:
        await board.hears(a.calls(DID), *ringing(a, b))
        live = [n.call for n in board.screens.notices if isinstance(n, CallChanged)]
        assert [call.state for call in live] == ["started", "ringing"]
        await board.hears(*answered(a, b), b.hold(), b.unhold(), *over(a, b))
        live = [n.call for n in board.screens.notices if isinstance(n, CallChanged)][2:]
        assert [(call.state, len(call.participants)) for call in live] == [
            ("talking", 1),
            ("held", 1),
            ("talking", 1),
            ("talking", 1),
            ("talking", 0),
            ("ended", 0),
        ]
        assert live[0].participants[0].name == "Ayşe Yılmaz"


async def test_colleagues_see_who_answered_instead(pbx: Pbx) -> None:
    a = pbx.trunk()
    b, c = pbx.phone("1001", of=a), pbx.phone("1002", of=a)
    async with Switchboard() as board:
        await board.hears(a.calls(DID), *ringing(a, b), *ringing(a, c))
        board.expect(f"ayse: card ringing {ZOE}", f"jonas: card ringing {ZOE}")
        await board.hears(*answered(a, c), a.dial_ends(b, "CANCEL"), b.hangs_up(26))
        board.expect(
            f"jonas: card is now connected {ZOE}",
            "ayse: card withdrawn answered_elsewhere by Jonas Weber",
        )
        await board.hears(*over(a, c))
        board.expect(
            f"jonas: card is now ended {ZOE}",
            "touch inbound answered by jonas, told ayse jonas",
        )


async def test_a_phone_without_a_user_is_named_by_its_number(pbx: Pbx) -> None:
    a = pbx.trunk()
    b, c = pbx.phone("1001", of=a), pbx.phone("1099", of=a)
    async with Switchboard() as board:
        await board.hears(a.calls(DID), *ringing(a, b), *ringing(a, c))
        board.expect(f"ayse: card ringing {ZOE}")
        await board.hears(*answered(a, c), a.dial_ends(b, "CANCEL"), b.hangs_up(26))
        board.expect("ayse: card withdrawn answered_elsewhere by 1099")
        await board.hears(*over(a, c))


async def test_a_missed_call_belongs_to_the_team_whose_phones_rang(pbx: Pbx) -> None:
    a = pbx.trunk()
    phones = [pbx.phone(number, of=a) for number in ("1003", "1001", "1002")]
    async with Switchboard() as board:
        await board.hears(a.calls(DID), *(e for phone in phones for e in ringing(a, phone)))
        board.lines()
        await board.hears(*given_up(a, *phones))
        assert board.lines()[-1] == "touch inbound no_answer by -, told ayse jonas olga"
        touch = await board.touch()
        assert (touch.agent, touch.team) == (None, "support")  # two of the three


async def test_a_missed_call_has_its_team_also_after_an_outage(pbx: Pbx) -> None:
    """Ring and end are logged in one transaction then."""
    a = pbx.trunk()
    b = pbx.phone("1003", of=a)
    async with Switchboard() as board:
        board.takes(a.calls(DID), *ringing(a, b), *given_up(a, b))
        await board.quiet()
        # Nobody is shown a ring that is over.
        board.expect("touch inbound no_answer by -, told olga")
        assert (await board.touch()).team == "sales"


async def test_an_agent_with_two_phones_has_one_card(pbx: Pbx) -> None:
    a = pbx.trunk()
    desk, mobile = pbx.phone("1001", of=a), pbx.phone("1011", of=a)
    async with Switchboard() as board:
        await board.hears(a.calls(DID), *ringing(a, desk), *ringing(a, mobile))
        board.expect(f"ayse: card ringing {ZOE}")
        await board.hears(*answered(a, mobile), a.dial_ends(desk, "CANCEL"), desk.hangs_up(26))
        board.expect(f"ayse: card is now connected {ZOE}")
        await board.hears(*over(mobile, a))
        board.expect(f"ayse: card is now ended {ZOE}", "touch inbound answered by ayse, told ayse")


async def test_one_phone_of_two_gives_up(pbx: Pbx) -> None:
    """The card goes with the last phone that rings."""
    a = pbx.trunk()
    desk, mobile = pbx.phone("1001", of=a), pbx.phone("1011", of=a)
    async with Switchboard() as board:
        await board.hears(a.calls(DID), *ringing(a, desk), *ringing(a, mobile))
        board.lines()
        await board.hears(a.dial_ends(mobile, "BUSY"), mobile.hangs_up(17))
        board.expect()
        await board.hears(*given_up(a, desk))
        board.expect("ayse: card withdrawn abandoned", "touch inbound no_answer by -, told ayse")


async def test_a_phone_without_times_ends_all_the_same(pbx: Pbx) -> None:
    """Asterisk tells no times unless it is asked to (`timestampevents`)."""
    pbx.clock.now = None
    a = pbx.trunk()
    desk, mobile = pbx.phone("1001", of=a), pbx.phone("1011", of=a)
    async with Switchboard() as board:
        await board.hears(a.calls(DID), *ringing(a, desk), *ringing(a, mobile))
        await board.hears(a.dial_ends(mobile, "BUSY"), mobile.hangs_up(17))
        await board.hears(*answered(a, desk))
        board.lines()
        await board.hears(*over(a, desk))
        assert board.lines()[-2:] == [
            f"ayse: card is now ended {ZOE}",
            "touch inbound answered by ayse, told ayse",
        ]
        touch = await board.touch()
        assert touch.talk_s is None
        assert touch.ended_at is not None


async def test_two_calls_of_one_agent_have_a_card_each(pbx: Pbx) -> None:
    a, c = pbx.trunk(), pbx.trunk("905559998877", "Kaya")
    b, d = pbx.phone("1001", of=a), pbx.phone("1001", of=c)
    async with Switchboard() as board:
        await board.hears(a.calls(DID), *ringing(a, b), *answered(a, b))
        await board.hears(c.calls(DID), *ringing(c, d))
        board.lines()
        await board.hears(b.hold(), *answered(c, d, "b2"))
        board.expect(
            f"ayse: card is now held {ZOE}", "ayse: card is now connected known Kaya Demir"
        )
        await board.hears(*over(c, d, "b2"), b.unhold(), *over(a, b))
        board.expect(
            "ayse: card is now ended known Kaya Demir",
            "touch inbound answered by ayse, told ayse",
            f"ayse: card is now connected {ZOE}",
            f"ayse: card is now ended {ZOE}",
            "touch inbound answered by ayse, told ayse",
        )
        assert [touch.outcome for touch in await board.touches()] == [Outcome.ANSWERED] * 2


async def test_a_colleague_calls(pbx: Pbx) -> None:
    a = pbx.phone("1001")
    b = pbx.phone("1002", of=a)
    async with Switchboard() as board:
        await board.hears(a.calls("1002"), *ringing(a, b))
        board.expect("jonas: card ringing internal 1001")
        await board.hears(*answered(a, b), *over(a, b))
        board.expect(
            "jonas: card is now connected internal 1001",
            "jonas: card is now ended internal 1001",
            "touch internal answered by jonas, told ayse jonas",
        )
        assert (await board.touch()).party.kind is PartyKind.INTERNAL


async def test_an_agent_dials_a_customer(pbx: Pbx) -> None:
    a = pbx.phone("1001")
    b = pbx.channel("PJSIP/trunk", of=a)
    async with Switchboard() as board:
        await board.hears(a.calls("905559998877"))
        board.expect("ayse: card ringing known Kaya Demir")
        await board.hears(*ringing(a, b), *answered(a, b), *over(b, a))
        board.expect(
            "ayse: card is now connected known Kaya Demir",
            "ayse: card is now ended known Kaya Demir",
            "touch outbound answered by ayse, told ayse",
        )
        touch = await board.touch()
        assert (touch.direction, touch.team) == (Direction.OUTBOUND, "support")
        assert touch.subject == "+905559998877"


@pytest.mark.parametrize(
    ("trace", "reason", "outcome"),
    [
        ("outbound/busy", "busy", "busy"),
        ("outbound/no_answer", "no_answer", "no_answer"),
        # The agent gave up: nobody abandoned anything.
        ("outbound/cancelled", "ended", "no_answer"),
    ],
)
async def test_an_agent_dials_in_vain(trace: str, reason: str, outcome: str) -> None:
    async with Switchboard() as board:
        await board.hears(*read_trace(TRACES / f"{trace}.ami"))
        board.expect(
            "ayse: card ringing known Kaya Demir",
            f"ayse: card withdrawn {reason}",
            f"touch outbound {outcome} by ayse, told ayse",
        )


async def test_click_to_call_shows_the_customer_once_the_number_is_dialled() -> None:
    """Asterisk calls the agent's phone first: until then it looks like an internal call."""
    async with Switchboard() as board:
        await board.hears(*read_trace(TRACES / "click_to_call/answered.ami"))
        board.expect(
            "ayse: card ringing known Kaya Demir",
            "ayse: card is now connected known Kaya Demir",
            "ayse: card is now ended known Kaya Demir",
            "touch outbound answered by ayse, told ayse",
        )
        touch = await board.touch()
        assert touch.direction is Direction.OUTBOUND
        assert (touch.party.address, touch.subject) == ("+905559998877", "+905559998877")
        assert (touch.agent_name, touch.team) == ("Ayşe Yılmaz", "support")


async def test_a_hidden_number_does_not_stay_in_the_history(pbx: Pbx) -> None:
    """The network knows it, the caller does not want us to: that is told a moment later."""
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    async with Switchboard() as board:
        await board.hears(a.calls(DID), a.known_as(a.number, "Zoë", "prohib_passed_screen"))
        await board.hears(*ringing(a, b), *answered(a, b), *over(a, b))
        assert board.lines()[0] == "ayse: card ringing withheld -"
        touch = await board.touch()
        assert (touch.party.kind, touch.match.result) == (PartyKind.WITHHELD, MatchResult.WITHHELD)
        assert "5321112233" not in repr(touch)


# --- calls that go on to others -------------------------------------------------------------------


async def test_an_attended_transfer_is_one_touch_of_the_last_who_talked() -> None:
    async with Switchboard() as board:
        await board.hears(*read_trace(TRACES / "transfer/attended_answered.ami"))
        board.expect(
            f"ayse: card ringing {ZOE}",
            f"ayse: card is now connected {ZOE}",
            f"ayse: card is now held {ZOE}",
            "jonas: card ringing internal 1001",
            "jonas: card is now connected internal 1001",
            f"ayse: card is now connected {ZOE}",
            f"ayse: card is now connected {ZOE}",  # the merged call, told again
            "jonas: card withdrawn transferred",
            f"jonas: card connected {ZOE}",
            f"ayse: card is now ended {ZOE}",
            f"jonas: card is now ended {ZOE}",
            "touch inbound answered by jonas, told ayse jonas",
        )
        touch = await board.touch()
        assert touch.agent_name == "Jonas Weber"
        async with board.store.begin() as uow:
            merged = await uow.touches.get(TouchId(touch.id + 1))
        assert merged is not None
        assert merged.outcome is Outcome.MERGED
        assert merged.details == {"merged_into": touch.key.removeprefix("call:")}


async def test_a_blonde_transfer_rings_on_with_the_customer() -> None:
    async with Switchboard() as board:
        await board.hears(*read_trace(TRACES / "transfer/blonde_answered.ami"))
        lines = board.lines()
        at = lines.index("jonas: card withdrawn transferred")
        assert lines[at : at + 2] == [
            "jonas: card withdrawn transferred",
            f"jonas: card ringing {ZOE}",
        ]
        shown = [n.pop for n in board.screens.notices if isinstance(n, PopShown)][-1]
        assert shown.ringing_at is not None
        assert lines[-3:] == [
            f"jonas: card is now connected {ZOE}",
            f"jonas: card is now ended {ZOE}",
            "touch inbound answered by jonas, told ayse jonas",
        ]


async def test_a_consult_that_leads_nowhere_is_a_call_of_its_own() -> None:
    async with Switchboard() as board:
        await board.hears(*read_trace(TRACES / "transfer/consult_abandoned.ami"))
        told = [line for line in board.lines() if line.startswith("touch")]
        assert told == [
            "touch internal answered by jonas, told ayse jonas",
            "touch inbound answered by ayse, told ayse",
        ]


async def test_a_forwarded_call_is_withdrawn_as_forwarded() -> None:
    async with Switchboard() as board:
        await board.hears(*read_trace(TRACES / "transfer/forwarded_302_answered.ami"))
        assert not [line for line in board.lines() if "withdrawn busy" in line]


# --- who it is ------------------------------------------------------------------------------------

ALI = Match(
    result=MatchResult.KNOWN,
    party="+905322223344",
    candidates=(Candidate(contact=ContactId(3), name="Ali Veli"),),
    reasons=("chosen by Ayşe",),
)


async def choose(board: Switchboard) -> None:
    """An agent says that it is Ali, as the API does."""
    async with board.store.begin() as uow:
        touch = await uow.touches.change(TouchId(1), match=ALI)
        await uow.commit()
    board.service.match_chosen(touch, ())


async def test_a_choice_outlives_what_the_call_still_tells(pbx: Pbx) -> None:
    a = pbx.trunk("05322223344")
    b = pbx.phone("1001", of=a)
    async with Switchboard() as board:
        await board.hears(a.calls(DID))
        await board.hears(b.new(), a.dials(b))
        await choose(board)
        await board.hears(a.known_as("905322223344", "ALI VELI"), b.rings())
        board.expect("ayse: card ringing known Ali Veli")
        await board.hears(*answered(a, b), *over(a, b))
        assert board.lines()[0] == "ayse: card is now connected known Ali Veli"
        touch = await board.touch()
        assert touch.match == ALI
        assert touch.party.name == "ALI VELI"


async def test_a_choice_while_the_card_is_up(pbx: Pbx) -> None:
    a = pbx.trunk("05322223344")
    b = pbx.phone("1001", of=a)
    async with Switchboard() as board:
        await board.hears(a.calls(DID), *ringing(a, b))
        board.expect("ayse: card ringing ambiguous +905322223344")
        await choose(board)
        await board.hears(*answered(a, b), b.hold())
        board.expect(
            "ayse: card is now connected known Ali Veli", "ayse: card is now held known Ali Veli"
        )
        await board.hears(*over(a, b))
        assert (await board.touch()).match == ALI


async def test_a_choice_during_a_transaction_is_not_lost(pbx: Pbx) -> None:
    """The transaction of the answer began before the choice and ends after it."""
    a = pbx.trunk("05322223344")
    b = pbx.phone("1001", of=a)
    store = GatedStore()
    async with Switchboard(store) as board:
        await board.hears(a.calls(DID), *ringing(a, b))
        board.lines()
        store.gate.clear()
        board.takes(*answered(a, b))
        async with asyncio.timeout(DEADLINE_S):
            await store.at_gate.wait()
        board.service.match_chosen(
            replace(next(iter(store.tables.touches.values())), match=ALI), ()
        )
        store.gate.set()
        await board.quiet()
        board.expect("ayse: card is now connected known Ali Veli")


async def test_another_number_is_another_customer(pbx: Pbx) -> None:
    """The dialplan looks the number up and corrects it: the choice was about the other one."""
    a = pbx.trunk("05322223344")
    async with Switchboard() as board:
        await board.hears(a.calls(DID))
        await choose(board)
        await board.hears(a.known_as("905321112233", "Zoë"))
        touch = await board.touch()
        assert touch.match.contact is not None
        assert touch.match.contact.name == "Zoë Ergin"
        assert touch.party.address == "+905321112233"


async def test_the_last_touches_of_a_known_customer_are_on_the_card(pbx: Pbx) -> None:
    async with Switchboard() as board:
        for _ in range(7):
            a = pbx.trunk()
            b = pbx.phone("1001", of=a)
            pbx.clock.after(60)
            await board.hears(a.calls(DID), *ringing(a, b), *answered(a, b), *over(a, b))
        shown = [n.pop for n in board.screens.notices if isinstance(n, PopShown)]
        assert [len(pop.recent) for pop in shown] == [0, 1, 2, 3, 4, 5, 5]
        assert [touch.id for touch in shown[-1].recent] == [6, 5, 4, 3, 2]


async def test_a_user_who_is_added_while_the_phone_rings_gets_the_card(pbx: Pbx) -> None:
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    async with Switchboard() as board:
        users = board.directory.all()
        board.directory.replace(users[1:])
        await board.hears(a.calls(DID), *ringing(a, b))
        board.expect()
        board.directory.replace(users)
        board.expect(f"ayse: card ringing {ZOE}")
        board.directory.replace([replace(users[0], language="tr"), *users[1:]])
        board.expect()  # once
        await board.hears(*answered(a, b))
        board.directory.replace(users[1:])
        board.directory.replace(users)
        board.expect(f"ayse: card is now connected {ZOE}")
        await board.hears(*over(a, b))


async def test_a_user_who_is_added_during_the_talk_is_its_agent(pbx: Pbx) -> None:
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    async with Switchboard() as board:
        users = board.directory.all()
        board.directory.replace([])
        await board.hears(a.calls(DID), *ringing(a, b), *answered(a, b))
        board.directory.replace(users)
        board.expect(f"ayse: card connected {ZOE}")
        await board.hears(*over(a, b))
        board.expect(f"ayse: card is now ended {ZOE}", "touch inbound answered by ayse, told ayse")


# --- the database is away -------------------------------------------------------------------------


class GatedStore(MemoryStore):
    """A store in memory whose commits wait for a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.at_gate = asyncio.Event()

    def begin(self) -> MemoryUnitOfWork:
        """A new unit of work."""
        return _GatedUnit(self)


class _GatedUnit(MemoryUnitOfWork):
    async def commit(self) -> None:
        store = self._store
        assert isinstance(store, GatedStore)
        store.at_gate.set()
        await store.gate.wait()
        await super().commit()


class FlakyStore(MemoryStore):
    """Answers the first so many commits as a database that goes away."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures

    async def ping(self) -> None:
        """Count down."""
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("the connection was reset")


async def test_cards_come_when_the_database_is_back(pbx: Pbx, monkeypatch: Any) -> None:
    monkeypatch.setattr("cti.service._RETRY_FIRST_S", 0.01)
    a, c = pbx.trunk(), pbx.trunk("905559998877")
    b, d = pbx.phone("1001", of=a), pbx.phone("1002", of=c)
    store = MemoryStore()
    async with Switchboard(store) as board:
        await board.hears(a.calls(DID), *ringing(a, b))
        board.expect(f"ayse: card ringing {ZOE}")
        store.unavailable = True
        board.takes(*answered(a, b))
        board.takes(c.calls(DID), *ringing(c, d))
        await until(lambda: board.service.metrics.repeated >= 3)
        board.expect()
        store.unavailable = False
        await board.quiet()
        board.expect(f"ayse: card is now connected {ZOE}", "jonas: card ringing known Kaya Demir")
        await board.hears(*over(a, b), *given_up(c, d))
        assert [touch.outcome for touch in await board.touches()] == [
            Outcome.ANSWERED,
            Outcome.NO_ANSWER,
        ]


@pytest.mark.parametrize("failures", range(1, 12))
async def test_a_database_that_goes_away_at_any_moment_doubles_nothing(
    failures: int, monkeypatch: Any
) -> None:
    monkeypatch.setattr("cti.service._RETRY_FIRST_S", 0.0)
    store = FlakyStore(0)
    async with Switchboard(store) as board:
        for number, event in enumerate(read_trace(TRACES / "transfer/attended_answered.ami")):
            if number % 7 == 0:
                store.failures = failures
            await board.hears(event)
        store.failures = 0
        touch = await board.touch()
        assert (touch.outcome, touch.agent_name) == (Outcome.ANSWERED, "Jonas Weber")
        assert len(store.tables.touches) == 2  # with the consult
        assert board.service.metrics.skipped == 0
        cards = [n.pop.id for n in board.screens.notices if isinstance(n, PopShown)]
        assert len(cards) == len(set(cards)) == 3
    assert board.service.metrics.repeated > 0


async def test_what_waits_for_the_database_is_bounded(pbx: Pbx, monkeypatch: Any) -> None:
    monkeypatch.setattr("cti.service._RETRY_FIRST_S", 0.01)
    monkeypatch.setattr("cti.service.MOST_WAITING", 20)
    store = MemoryStore()
    async with Switchboard(store) as board:
        await board.service.room()
        store.unavailable = True
        for _ in range(5):
            a = pbx.trunk()
            b = pbx.phone("1001", of=a)
            board.takes(a.calls(DID), *ringing(a, b), *answered(a, b), *over(a, b))
        waits = asyncio.ensure_future(board.service.room())  # noqa: TID251 - awaited below
        await until(lambda: board.service.metrics.repeated >= 2)
        assert not waits.done()
        store.unavailable = False
        await asyncio.wait_for(waits, DEADLINE_S)
        await board.quiet()
        assert len(await board.touches()) == 5


# --- defects of ours ------------------------------------------------------------------------------


class PoisonedStore(MemoryStore):
    """Fails, for good, when a touch with such a word in its key or details is written."""

    poison = "100.0"
    on_open = False

    def begin(self) -> MemoryUnitOfWork:
        """A new unit of work."""
        unit = super().begin()
        unit.touches = _PoisonedTouches(unit.touches, self)
        return unit


class _PoisonedTouches:
    def __init__(self, touches: Any, store: PoisonedStore) -> None:
        self._touches, self._store = touches, store

    async def open(self, new: Any) -> Any:
        if self._store.on_open and self._store.poison in new.key:
            raise RuntimeError("this cannot be written")
        return await self._touches.open(new)

    async def change(self, touch: Any, **fields: Any) -> Any:
        if self._store.poison in str(fields.get("details", "")):
            raise RuntimeError("this cannot be written")
        return await self._touches.change(touch, **fields)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._touches, name)


async def test_a_change_that_cannot_be_logged_holds_up_nobody(
    pbx: Pbx, caplog: pytest.LogCaptureFixture
) -> None:
    a, c = pbx.trunk(), pbx.trunk("905559998877")
    b, d = pbx.phone("1001", of=a), pbx.phone("1002", of=c)
    async with Switchboard(PoisonedStore()) as board:
        await board.hears(a.calls(DID), *ringing(a, b), *answered(a, b))
        await board.hears(c.calls(DID), *ringing(c, d))
        board.lines()
        # In one batch: the end that is poison, and a good call's answer.
        board.takes(*over(a, b), *answered(c, d, "b2"))
        await board.quiet()
        board.expect(
            f"ayse: card is now ended {ZOE}", "jonas: card is now connected known Kaya Demir"
        )
        await board.hears(*over(c, d, "b2"))
        assert [t.outcome for t in await board.touches()] == [
            Outcome.IN_PROGRESS,
            Outcome.ANSWERED,
        ]
        assert board.service.metrics.skipped == 1
        assert not board.service.calls()
        (line,) = [r for r in caplog.records if getattr(r, "action", "") == "call_change_skipped"]
        assert (line.levelno, line.exc_info is not None) == (logging.ERROR, True)
        assert "5321112233" not in line.getMessage()
        # The next complete picture of the PBX settles what was left.
        board.lines()
        await board.hears(SnapshotBegun(), SnapshotEnded(complete=True))
        await until(lambda: any(line.startswith("touch inbound") for line in board.lines()))
        assert Outcome.IN_PROGRESS not in [touch.outcome for touch in await board.touches()]


async def test_a_call_that_cannot_be_opened_is_said_once_in_full(
    pbx: Pbx, caplog: pytest.LogCaptureFixture
) -> None:
    a, c = pbx.trunk(), pbx.trunk("905559998877")
    b, d = pbx.phone("1001", of=a), pbx.phone("1002", of=c)
    store = PoisonedStore()
    store.on_open = True
    async with Switchboard(store) as board:
        await board.hears(a.calls(DID), *ringing(a, b), *answered(a, b), *over(a, b))
        board.expect()
        await board.hears(c.calls(DID), *ringing(c, d), *given_up(c, d))
        assert board.lines()[0] == "jonas: card ringing known Kaya Demir"
        assert len(await board.touches()) == 1
        lines = [r for r in caplog.records if getattr(r, "action", "") == "call_change_skipped"]
        assert len(lines) == board.service.metrics.skipped > 1
        assert [bool(line.exc_info) for line in lines] == [True] + [False] * (len(lines) - 1)
        assert _leftovers(board.service) == 0


async def test_a_change_that_cannot_be_told_holds_up_nobody(pbx: Pbx) -> None:
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    async with Switchboard() as board:
        board.fault = RuntimeError("the board has a defect")
        await board.hears(a.calls(DID), *ringing(a, b), *answered(a, b), *over(a, b))
        assert (await board.touch()).outcome is Outcome.ANSWERED
        assert board.service.metrics.skipped == len(board.told)
        assert _leftovers(board.service) == 0


@pytest.mark.parametrize("now", [1e17, 1e10, 0.0])
async def test_a_pbx_whose_clock_is_beyond_all_years(pbx: Pbx, now: float) -> None:
    pbx.clock.now = now
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    async with Switchboard() as board:
        await board.hears(a.calls(DID), *ringing(a, b), *answered(a, b), *over(a, b))
        assert (await board.touch()).outcome is Outcome.ANSWERED
        assert board.service.metrics.skipped == 0


def _leftovers(service: CallService) -> int:
    return len(service._live) + len(service._over) + len(service._faulty) + service.backlog


# --- restart --------------------------------------------------------------------------------------


async def test_a_restart_goes_on_with_the_call_that_is_still_there(pbx: Pbx) -> None:
    a, c = pbx.trunk("05322223344"), pbx.trunk("905559998877")
    b, d = pbx.phone("1001", of=a), pbx.phone("1002", of=c)
    store = MemoryStore()
    async with Switchboard(store) as board:
        await board.hears(a.calls(DID), *ringing(a, b), *answered(a, b))
        await board.hears(c.calls(DID), *ringing(c, d))
        await choose(board)
    async with Switchboard(store) as board:
        # While we were away the second caller hung up.
        await board.hears(
            SnapshotBegun(at=pbx.clock.after(20).now),
            a.listed("Dial", "b1", duration_s=20),
            b.listed("AppDial", "b1", duration_s=20),
            SnapshotEnded(complete=True),
        )
        await until(lambda: any(isinstance(n, TouchLogged) for n in board.screens.notices))
        lines = board.lines()
        assert lines == [
            "ayse: card connected known Ali Veli",
            "touch inbound unknown by -, told -",
        ]
        await board.hears(*over(a, b))
        first, second = await board.touches()
        assert (first.id, first.outcome, first.agent_name) == (1, Outcome.ANSWERED, "Ayşe Yılmaz")
        assert first.match == ALI
        assert first.details["partial"] is True
        assert (second.outcome, second.ended_at) == (Outcome.UNKNOWN, None)
        assert len(store.tables.touches) == 2


async def test_nothing_is_settled_by_a_picture_that_is_not_complete(pbx: Pbx) -> None:
    a = pbx.trunk()
    store = MemoryStore()
    async with Switchboard(store) as board:
        await board.hears(a.calls(DID))
    async with Switchboard(store) as board:
        await board.hears(SnapshotBegun(), SnapshotEnded(complete=False), a.up())
        assert (await board.touch()).outcome is Outcome.IN_PROGRESS


async def test_calls_of_another_pbx_are_left_alone(pbx: Pbx) -> None:
    a = pbx.trunk()
    store = MemoryStore()
    async with Switchboard(store, pbx="main") as board:
        await board.hears(a.calls(DID))
    async with Switchboard(store, pbx="main2") as board:
        await board.hears(SnapshotBegun(), SnapshotEnded(complete=True))
    async with store.begin() as uow:
        assert len(await uow.touches.unfinished(key_prefix="call:main:")) == 1


async def test_a_link_that_is_lost_and_back_is_one_touch(pbx: Pbx) -> None:
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    async with Switchboard() as board:
        await board.hears(a.calls(DID), *ringing(a, b), LinkLost(reason="reset"))
        b.state, a.state = ChannelState.UP, ChannelState.UP
        await board.hears(
            SnapshotBegun(),
            a.listed("Dial", "b1", duration_s=9),
            b.listed("AppDial", "b1", duration_s=9),
            SnapshotEnded(complete=True),
        )
        await board.hears(*over(a, b))
        board.expect(
            f"ayse: card ringing {ZOE}",
            f"ayse: card is now connected {ZOE}",
            f"ayse: card is now ended {ZOE}",
            "touch inbound answered by ayse, told ayse",
        )


async def test_a_call_that_ended_during_a_gap_is_unknown(pbx: Pbx) -> None:
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    async with Switchboard() as board:
        await board.hears(a.calls(DID), *ringing(a, b), LinkLost(reason="reset"))
        await board.hears(SnapshotBegun(), SnapshotEnded(complete=True))
        board.expect(
            f"ayse: card ringing {ZOE}",
            "ayse: card withdrawn unknown",
            "touch inbound unknown by -, told ayse",
        )
        touch = await board.touch()
        assert touch.ended_at is None
        assert not touch.talk_s


# --- every recorded call --------------------------------------------------------------------------


def truth(story: str) -> list[dict[str, Any]]:
    """What happened, known from having played it."""
    calls: list[dict[str, Any]] = json.loads((TRACES / f"{story}.json").read_text())["calls"]
    return calls


def agent_of(call: dict[str, Any]) -> str:
    """The phone that talked last with the far end, `""` if none did."""
    if "legs" in call and not any(leg["role"] != "caller" for leg in call["legs"]):
        return ""  # who enters a conference room called nobody, and who is there has a call, too
    for pair in reversed(call.get("talks", [])):
        phones = [end for end in pair if end.removeprefix("PJSIP/").isdecimal()]
        if call.get("direction") == "internal":
            return str(pair[1])
        if len(phones) == 1:
            return str(phones[0])
    return ""


async def check(board: Switchboard, story: str) -> None:
    """As many touches as there were calls, each with its end and its agent."""
    touches = await board.touches()
    calls = truth(story)
    assert len(touches) == len(calls)
    for touch, call in zip(touches, calls, strict=True):
        # A few were played to see what is told of them: nobody can say how such a call "ended".
        assert touch.outcome.value == call.get("outcome", touch.outcome.value)
        assert touch.direction.value == call.get("direction", touch.direction.value)
        expected = board.directory.at(board.service.pbx, agent_of(call))
        if touch.direction is Direction.OUTBOUND and expected is None:
            continue  # whoever dialled in vain is its agent
        assert touch.agent == (expected.id if expected else None), call
        for key in ("wait_s", "talk_s"):
            if key in call:
                assert getattr(touch, key) == pytest.approx(call[key], abs=0.6)


@pytest.mark.parametrize("story", RECORDED)
async def test_every_recorded_call_is_one_touch(story: str) -> None:
    async with Switchboard() as board:
        await board.hears(*read_trace(TRACES / f"{story}.ami"))
        await check(board, story)
        assert _leftovers(board.service) == 0
        _cards_are_well_told(board)


def _cards_are_well_told(board: Switchboard) -> None:
    """Each is shown before it changes, and taken back or ended last."""
    up: set[str] = set()
    for notice in board.screens.notices:
        match notice:
            case PopShown(pop=pop):
                assert pop.id not in up
                up.add(pop.id)
            case PopUpdated(pop=pop):
                assert pop.id in up
                if pop.state is PopState.ENDED:
                    up.remove(pop.id)
            case PopWithdrawn():
                up.remove(notice.id)
            case _:
                pass
    assert not up


@pytest.mark.parametrize("story", RECORDED)
async def test_a_recorded_call_that_comes_twice_is_one_touch(story: str) -> None:
    """The second time all at once, as after an outage of the database."""
    store = MemoryStore()
    async with Switchboard(store) as board:
        await board.hears(*read_trace(TRACES / f"{story}.ami"))
        before = store.tables.touches
    async with Switchboard(store) as board:
        board.takes(*read_trace(TRACES / f"{story}.ami"))
        await board.quiet()
        assert store.tables.touches == before
        assert board.service.metrics.skipped == 0


@asynccontextmanager
async def sqlite(directory: Path) -> AsyncIterator[Store]:
    """A migrated SQLite database."""
    url = f"sqlite:///{directory / 'santral.sqlite3'}"
    await migrate(url)
    store = open_store(url)
    try:
        yield store
    finally:
        await store.close()


async def test_every_recorded_call_is_one_touch_in_sqlite(tmp_path: Path) -> None:
    async with sqlite(tmp_path) as store:
        names = {story: f"t{number}" for number, story in enumerate(RECORDED)}
        users = await fill(store, names.values())
        directory = Directory()
        directory.replace(users)
        for story, pbx in names.items():
            async with Switchboard(store, pbx=pbx, directory=directory) as board:
                board.takes(*read_trace(TRACES / f"{story}.ami"))
                await board.quiet()
                assert board.service.metrics.skipped == 0
        async with store.begin() as uow:
            page, after = await uow.touches.page(limit=500)
            assert after is None
            assert not await uow.touches.unfinished(key_prefix="call:")
        for story, pbx in names.items():
            touches = [t for t in page if t.key.startswith(f"call:{pbx}:")][::-1]
            for touch, call in zip(touches, truth(story), strict=True):
                assert touch.outcome.value == call.get("outcome", touch.outcome.value), story


async def test_a_database_of_another_process_is_waited_for(
    tmp_path: Path, pbx: Pbx, monkeypatch: Any
) -> None:
    """SQLite taken away and put back: the calls of that time are logged once."""
    monkeypatch.setattr("cti.service._RETRY_FIRST_S", 0.02)
    async with sqlite(tmp_path) as store, Switchboard(store) as board:
        a = pbx.trunk()
        b = pbx.phone("1001", of=a)
        await board.hears(a.calls(DID), *ringing(a, b))
        async with sqlite_locked(tmp_path / "santral.sqlite3"):
            board.takes(*answered(a, b), *over(a, b))
            await until(lambda: board.service.metrics.repeated >= 1)
        await board.quiet()
        assert (await board.touch()).outcome is Outcome.ANSWERED


@asynccontextmanager
async def sqlite_locked(path: Path) -> AsyncIterator[None]:
    """Another process holds the write lock."""
    assert shutil.which("python3")
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('BEGIN IMMEDIATE'); "
        "print('locked', flush=True); sys.stdin.read()"
    )
    process = await asyncio.create_subprocess_exec(
        "python3",
        "-c",
        code,
        str(path),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        yield
    finally:
        process.stdin.close()
        await process.wait()
