"""What supervisors see: queues with who waits, agents and what they do, the day's figures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crm_core.memory import MemoryStore
from crm_core.model import (
    Direction,
    Match,
    MatchResult,
    Medium,
    Outcome,
    Party,
    PartyKind,
    Touch,
)
from crm_core.notices import AgentChanged, LiveAgent, LiveQueue, QueueChanged
from crm_core.phone import PhoneRules
from crm_core.ports import NewTouch, Store
from cti.ami.events import (
    AmiEvent,
    DeviceStateChange,
    QueueMember,
    QueueParams,
    SnapshotBegun,
    SnapshotEnded,
)
from cti.live import LiveBoard
from cti.queues import QueueBoard
from cti.tracker import EndpointRules
from tests.cti.pbx import Pbx
from tests.cti.stories import DID, answered, given_up, over, ringing
from tests.cti.switchboard import Switchboard, until

NOON = datetime(2026, 11, 24, 12, 0).astimezone()
MIDNIGHT = NOON.replace(hour=0) + timedelta(days=1)


class Clock:
    """Our own clock."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at.timestamp()

    def __call__(self) -> float:
        """What time it is."""
        return self.at


class Wall:
    """The supervisor's wall: a board between the switchboard and the screens."""

    def __init__(self, desk: Switchboard, clock: Clock, queues: tuple[str, ...] = ()) -> None:
        self.desk = desk
        self.clock = clock
        self.board = LiveBoard(
            board=QueueBoard("pbx", EndpointRules()),
            service=desk.service,
            store=desk.store,
            publisher=desk.screens,
            directory=desk.directory,
            rules=PhoneRules(),
            queues=queues,
            now=clock,
        )
        announced = desk._announced
        self._seen = 0

        def follow(change: Any) -> None:
            self.board.follow(change)
            announced(change)

        desk.service._announced = follow

    async def hears(self, *events: AmiEvent) -> None:
        """Let the PBX send this; returns when it is on the wall."""
        for event in events:
            self.desk.takes(event)
            self.board.take(event)
            await self.desk.quiet()
        await self.told()

    async def told(self) -> None:
        """Wait until everything is on the wall."""
        await until(lambda: not (self.board._changed_queues or self.board._changed_phones))

    def queue(self, name: str = "support") -> LiveQueue:
        """The queue as it was told last."""
        return next(
            n.queue
            for n in reversed(self.desk.screens.notices)
            if isinstance(n, QueueChanged) and n.queue.name == name
        )

    def agent(self, login: str) -> LiveAgent:
        """The agent as told last."""
        return next(
            n.agent
            for n in reversed(self.desk.screens.notices)
            if isinstance(n, AgentChanged) and self.desk.login(n.agent.agent) == login
        )

    def names(self) -> set[str]:
        """The queues that were told since the last look."""
        new = self.desk.screens.notices[self._seen :]
        self._seen = len(self.desk.screens.notices)
        return {n.queue.name for n in new if isinstance(n, QueueChanged)}


@asynccontextmanager
async def wall(
    store: Store | None = None, clock: Clock | None = None, queues: tuple[str, ...] = ()
) -> AsyncIterator[Wall]:
    """A wall that tells at once."""
    async with Switchboard(store) as desk, asyncio.TaskGroup() as tasks:
        made = Wall(desk, clock or Clock(), queues)
        running = tasks.create_task(made.board.run())
        yield made
        running.cancel()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cti.live.GATHER_S", 0.0)


@pytest.fixture
def pbx() -> Pbx:
    pbx = Pbx()
    pbx.clock.now = NOON.timestamp()
    return pbx


def member(number: str, queue: str = "support", **fields: Any) -> QueueMember:
    return QueueMember(
        kind="listed",
        queue=queue,
        interface=f"PJSIP/{number}",
        member=f"Phone {number}",
        status=1,
        **fields,
    )


def listed(*items: AmiEvent, queues: tuple[str, ...] = ("support",)) -> list[AmiEvent]:
    params = [QueueParams(queue=queue, strategy="ringall") for queue in queues]
    return [SnapshotBegun(), *params, *items, SnapshotEnded(complete=True)]


async def test_who_waits_is_told_by_name(pbx: Pbx) -> None:
    async with wall() as board:
        await board.hears(*listed(member("1001")))
        a, c = pbx.trunk(), pbx.trunk("905339998877", "WIRELESS")
        await board.hears(a.calls(DID), a.joins("support"))
        pbx.clock.after(10)
        await board.hears(c.calls(DID), c.joins("support", 2))
        first, second = board.queue().entries
        assert (first.name, first.position, first.call) == ("Zoë Ergin", 1, "pbx:100.0")
        assert first.party.address == "+905321112233"
        assert first.since == NOON.astimezone(UTC)
        assert (second.name, second.party.name, second.position) == ("", "WIRELESS", 2)
        await board.hears(a.asks_to_hang_up(), a.leaves_queue("support"), a.hangs_up())
        assert [entry.call for entry in board.queue().entries] == ["pbx:100.1"]


async def test_a_caller_who_hides_the_number_is_not_named(pbx: Pbx) -> None:
    async with wall() as board:
        a = pbx.trunk()
        await board.hears(
            a.calls(DID), a.known_as(a.number, "Zoë", "prohib_not_screened"), a.joins("support")
        )
        (entry,) = board.queue().entries
        assert entry.party.kind is PartyKind.WITHHELD
        assert "5321112233" not in repr(entry)
        assert not entry.name


async def test_the_board_does_not_wait_for_the_database(pbx: Pbx) -> None:
    """Who waits is seen also while no call can be logged, by number alone."""
    store = MemoryStore()
    async with wall(store) as board:
        a = pbx.trunk()
        store.unavailable = True
        for event in (a.calls(DID), a.joins("support")):
            board.desk.takes(event)
            board.board.take(event)
        await board.told()
        (entry,) = board.queue().entries
        assert (entry.party.address, entry.name) == ("+905321112233", "")
        store.unavailable = False
        await board.desk.quiet()
        await board.told()
        assert board.queue().entries[0].name == "Zoë Ergin"


async def test_members_are_people_where_we_know_them(pbx: Pbx) -> None:
    async with wall() as board:
        since = int(pbx.clock.after(-60).now or 0)
        paused: dict[str, Any] = {
            "paused": True,
            "paused_reason": "lunch",
            "last_pause": float(since),
        }
        await board.hears(
            *listed(member("1001", calls_taken=4), member("1002", **paused), member("1999"))
        )
        ayse, jonas, nobody = board.queue().members
        assert (ayse.name, ayse.agent, ayse.state, ayse.calls_taken) == (
            "Ayşe Yılmaz", 1, "idle", 4,
        )  # fmt: skip
        assert (jonas.name, jonas.state, jonas.reason) == ("Jonas Weber", "paused", "lunch")
        assert jonas.since == datetime.fromtimestamp(since, UTC)
        assert (nobody.name, nobody.agent) == ("Phone 1999", None)


async def test_an_agent_is_what_the_busiest_phone_is() -> None:
    async with wall() as board:
        await board.hears(
            *listed(member("1001"), member("1001", "sales"), queues=("support", "sales"))
        )
        assert (board.agent("ayse").state, board.agent("ayse").queues) == (
            "available",
            ("sales", "support"),
        )
        assert board.agent("jonas").state == "offline"
        for state, told in (
            ("RINGING", "ringing"),
            ("INUSE", "talking"),
            ("ONHOLD", "held"),
            ("UNAVAILABLE", "available"),  # the phone on the desk is still there
        ):
            await board.hears(DeviceStateChange(device="PJSIP/1011", state=state))
            assert board.agent("ayse").state == told
        assert board.agent("ayse").team == "support"


async def test_an_agent_has_the_call_they_talk_in(pbx: Pbx) -> None:
    async with wall() as board:
        a, c = pbx.trunk(), pbx.trunk("905559998877")
        b, d = pbx.phone("1001", of=a), pbx.phone("1001", of=c)
        await board.hears(a.calls(DID), *ringing(a, b))
        assert board.agent("ayse").call == "pbx:100.0"
        await board.hears(c.calls(DID), *ringing(c, d), *answered(c, d, "b2"))
        assert board.agent("ayse").call == "pbx:100.1"
        await board.hears(*over(c, d, "b2"))
        assert board.agent("ayse").call == "pbx:100.0"
        await board.hears(*given_up(a, b))
        assert board.agent("ayse").call == ""


async def test_only_the_queues_to_show_are_told() -> None:
    async with wall(queues=("support",)) as board:
        await board.hears(*listed(member("1001"), member("1002", "fax"), queues=("support", "fax")))
        assert board.names() == {"support"}


async def test_a_queue_that_is_gone_is_told_empty() -> None:
    async with wall() as board:
        await board.hears(*listed(member("1001")))
        await board.hears(SnapshotBegun(), QueueParams(queue="other"), SnapshotEnded(complete=True))
        assert board.queue().members == ()


async def test_users_who_come_and_go() -> None:
    async with wall() as board:
        users = board.desk.directory.all()
        board.desk.directory.replace(users[1:])
        await board.hears(*listed(member("1001")))
        assert board.queue().members[0].name == "Phone 1001"
        board.desk.directory.replace(users)
        await board.told()
        assert board.queue().members[0].name == "Ayşe Yılmaz"
        assert board.agent("ayse").state == "available"
        board.desk.directory.replace([replace(users[0], phones=()), *users[1:]])
        await board.told()
        assert (board.agent("ayse").state, board.agent("ayse").queues) == ("offline", ())


# --- figures of the day ---------------------------------------------------------------------------


async def played(board: Wall, pbx: Pbx, *, answer: bool) -> None:
    """A call to the queue, answered or abandoned."""
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    await board.hears(a.calls(DID), a.joins("support"), *ringing(a, b))
    if answer:
        await board.hears(*answered(a, b), a.leaves_queue("support"), *over(a, b))
    else:
        await board.hears(
            a.asks_to_hang_up(), a.abandons("support"), a.leaves_queue("support"),
            b.hangs_up(0), a.hangs_up(),
        )  # fmt: skip


def figures(board: Wall) -> tuple[int, int]:
    return board.queue().answered_today, board.queue().abandoned_today


async def test_calls_of_the_day_are_counted_also_after_a_restart(pbx: Pbx) -> None:
    store = MemoryStore()
    async with wall(store) as board:
        await played(board, pbx, answer=True)
        await played(board, pbx, answer=True)
        await played(board, pbx, answer=False)
        assert figures(board) == (2, 1)
    async with wall(store) as board:
        await board.hears(*listed(member("1001")))
        await until(lambda: figures(board) == (2, 1))
        await played(board, pbx, answer=True)
        assert figures(board) == (3, 1)


async def test_a_call_whose_time_in_the_queue_was_over_is_missed_and_not_abandoned(
    pbx: Pbx,
) -> None:
    store = MemoryStore()
    async with wall(store) as board:
        a = pbx.trunk()
        b = pbx.phone("1001", of=a)
        await board.hears(
            a.calls(DID), a.joins("support"), *ringing(a, b),
            a.dial_ends(b, "NOANSWER"), b.hangs_up(0),
            a.abandons("support"), a.leaves_queue("support"), a.runs("Hangup"), a.hangs_up(),
        )  # fmt: skip
        assert figures(board) == (0, 0)
        assert board.queue().unanswered_today == 1
    async with wall(store) as board:
        await board.hears(*listed(member("1001")))
        await until(lambda: board.queue().unanswered_today == 1)
        assert figures(board) == (0, 0)


async def test_a_new_day_begins_at_zero_even_when_nobody_calls(
    pbx: Pbx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cti.live.DAY_S", 0.01)
    clock = Clock()
    async with wall(clock=clock) as board:
        await played(board, pbx, answer=True)
        assert figures(board) == (1, 0)
        clock.at = MIDNIGHT.timestamp() + 1
        await until(lambda: figures(board) == (0, 0))
        assert not board.board._results


async def old_touch(store: Store, key: str, at: datetime, ended: datetime | None) -> Touch:
    """A call of the history."""
    party = Party(kind=PartyKind.PHONE, address="+905321112233")
    async with store.begin() as uow:
        touch, _ = await uow.touches.open(
            NewTouch(
                key=key,
                medium=Medium.PHONE,
                direction=Direction.INBOUND,
                outcome=Outcome.ANSWERED,
                at=at,
                ended_at=ended,
                party=party,
                match=Match(result=MatchResult.UNKNOWN, party=party.address),
                details={"queues": ["support"]},
            )
        )
        await uow.commit()
    return touch


async def test_what_ended_today_counts_today() -> None:
    store = MemoryStore()
    midnight = NOON.replace(hour=0)
    for key, began, ended in (
        ("call:pbx:1", -600, 30),  # over midnight
        ("call:pbx:2", -600, -300),  # yesterday
        ("call:pbx:3", 3600, 3700),
        ("call:pbx:4", 86_400, None),  # from a clock that was ahead
        ("call:other:5", 3600, 3700),
        ("mail:6", 3600, None),
        ("call:pbx:7", -90_000, -80_000),
    ):
        at = midnight + timedelta(seconds=began)
        end = None if ended is None else midnight + timedelta(seconds=ended)
        await old_touch(store, key, at, end)
    async with wall(store) as board:
        await board.hears(*listed(member("1001")))
        await until(lambda: figures(board) == (2, 0))


async def test_figures_wait_for_the_database_alone() -> None:
    store = MemoryStore()
    async with wall(store) as board:
        pass
    await old_touch(store, "call:pbx:1", NOON, NOON)
    async with Switchboard(store) as desk, asyncio.TaskGroup() as tasks:
        board = Wall(desk, Clock())
        store.unavailable = True
        began = time.monotonic()
        running = tasks.create_task(board.board.run())
        for event in listed(member("1001")):
            board.board.take(event)
        await board.told()
        assert figures(board) == (0, 0)
        store.unavailable = False
        await until(lambda: figures(board) == (1, 0))
        assert time.monotonic() - began < 5
        running.cancel()
