"""Calls end unseen, and are looked for in what the PBX wrote down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from crm_core.directory import Directory
from crm_core.memory import MemoryStore
from crm_core.model import Outcome, Touch
from crm_core.notices import TouchLogged
from crm_core.phone import PhoneRules
from cti.ami.events import AmiEvent, FullyBooted, LinkLost, SnapshotBegun, SnapshotEnded
from cti.errors import RecordsUnavailable
from cti.model import CallChange, Gap
from cti.recovery.reconstruct import Reconstruction
from cti.recovery.records import CdrRow, QueueRow, Records
from cti.recovery.search import Search, Unsettled
from cti.service import CallService
from cti.tracker import CallTracker, EndpointRules
from tests.cti.pbx import Channel, Pbx
from tests.cti.stories import DID, answered, over, ringing
from tests.cti.switchboard import DEADLINE_S, Screens, fill

LOST = LinkLost(reason="reset")
BEGUN = SnapshotBegun()


class Archive:
    """Records that come one look after the other; the last ones stay."""

    def __init__(self, *looks: Records | RecordsUnavailable) -> None:
        self.looks = list(looks)
        self.asked: list[float] = []

    async def since(self, at: float) -> Records:
        """The next look."""
        self.asked.append(at)
        now = self.looks[0] if len(self.looks) == 1 else self.looks.pop(0)
        if isinstance(now, RecordsUnavailable):
            raise now
        return now


class Run:
    """One run of the daemon's call service, with a search beside it."""

    def __init__(self, store: MemoryStore, archive: Archive, wait_s: float) -> None:
        self.store = store
        self.screens = Screens()
        self.directory = Directory()
        self.service = CallService(
            pbx="pbx",
            tracker=CallTracker("pbx"),
            store=store,
            publisher=self.screens,
            directory=self.directory,
            rules=PhoneRules(),
            announced=self._announced,
            unsettled=self._look_for,
        )
        self._told = 0
        self._news = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self.search = Search(
            pbx="pbx",
            sources=[archive],
            endpoints=EndpointRules(),
            ledger=self.service.unseen,
            wait_s=wait_s,
            first_s=0.01,
        )

    def _announced(self, change: CallChange) -> None:
        del change
        self._told += 1
        self._news.set()

    def _look_for(self, unsettled: Unsettled) -> None:
        self.search.look_for(unsettled)
        self._settled.set()

    def hears(self, *events: AmiEvent) -> None:
        """Let the PBX send this."""
        for event in events:
            if isinstance(event, SnapshotEnded):
                self._settled.clear()
            self.service.take(event, time.monotonic_ns())

    async def quiet(self) -> None:
        """Wait until all is logged, and nothing is looked for any more."""
        async with asyncio.timeout(DEADLINE_S):
            while self._told < self.service.metrics.changes:
                self._news.clear()
                await self._news.wait()
            await self._settled.wait()
            await self.search.idle()

    async def touches(self) -> list[Touch]:
        """The history, oldest first."""
        async with self.store.begin() as uow:
            page, _ = await uow.touches.page(limit=50)
        return page[::-1]

    async def touch(self) -> Touch:
        """The only touch, once all is quiet."""
        await self.quiet()
        [touch] = await self.touches()
        return touch

    @property
    def logged(self) -> list[str]:
        """The outcomes that the screens were told."""
        notices = self.screens.notices
        return [n.touch.outcome.value for n in notices if isinstance(n, TouchLogged)]


@asynccontextmanager
async def running(
    archive: Archive, store: MemoryStore | None = None, *, wait_s: float = 0.3
) -> AsyncIterator[Run]:
    fresh = store is None
    run = Run(store or MemoryStore(), archive, wait_s)
    if fresh:
        await fill(run.store)
    async with run.store.begin() as uow:
        run.directory.replace(await uow.users.all())
    async with asyncio.TaskGroup() as tasks:
        searching = tasks.create_task(run.search.run())
        serving = tasks.create_task(run.service.run())
        yield run
        run.service.close()
        async with asyncio.timeout(DEADLINE_S):
            await serving
        searching.cancel()


def row(a: Channel, b: Channel | None = None, **fields: Any) -> CdrRow:
    """The row of a call from 1000 s to 1030 s that was answered after 5 s."""
    made: dict[str, Any] = {
        "start": 1000.0,
        "answer": 1005.0,
        "end": 1030.0,
        "disposition": "ANSWERED",
    }
    return CdrRow(
        uniqueid=a.uniqueid,
        linkedid=a.linkedid,
        channel=a.name,
        dstchannel="" if b is None else b.name,
        src=a.number,
        dst=DID,
        lastapp="Dial",
        **(made | fields),
    )


def seen_again(pbx: Pbx) -> list[AmiEvent]:
    """The link was away until a minute after the start."""
    pbx.clock.now = 1060.0
    booted = FullyBooted(at=1060.0, uptime_s=600)
    return [LOST, booted, BEGUN, SnapshotEnded(at=1060.0)]


@pytest.fixture
def pbx() -> Pbx:
    return Pbx()


@pytest.fixture
def call(pbx: Pbx) -> tuple[Channel, Channel]:
    a = pbx.trunk()
    return a, pbx.phone("1001", of=a)


async def test_a_call_that_was_answered_and_ended_in_the_gap(
    pbx: Pbx, call: tuple[Channel, Channel]
) -> None:
    a, b = call
    async with running(Archive(Records(cdr=(row(a, b),)))) as run:
        run.hears(a.calls(DID), *ringing(a, b), *seen_again(pbx))
        touch = await run.touch()
        assert run.logged == ["answered"]
    assert (touch.outcome, touch.talk_s, touch.wait_s) == (Outcome.ANSWERED, 25.0, 5.0)
    assert touch.agent_name == "Ayşe Yılmaz"
    assert touch.ended_at is not None
    assert touch.ended_at.timestamp() == 1030.0
    assert touch.details["reconstructed"] == {"source": "cdr"}
    assert touch.details["gap"] == "link_lost"
    assert touch.details["outcome"] == "answered"
    assert touch.details["talks"] == [[a.name, b.name]]
    assert touch.details["linkedids"] == [a.linkedid]


async def test_a_talk_that_we_saw_begin_and_not_end(
    pbx: Pbx, call: tuple[Channel, Channel]
) -> None:
    """Its end comes from the records; its beginning we knew."""
    a, b = call
    async with running(Archive(Records(cdr=(row(a, b),)))) as run:
        run.hears(a.calls(DID))
        pbx.clock.after(2)
        run.hears(*ringing(a, b))
        pbx.clock.after(3)
        run.hears(*answered(a, b), *seen_again(pbx))
        touch = await run.touch()
    assert (touch.outcome, touch.talk_s, touch.wait_s) == (Outcome.ANSWERED, 25.0, 5.0)
    assert touch.ring_s == 3.0


async def test_records_that_come_late_are_waited_for(
    pbx: Pbx, call: tuple[Channel, Channel]
) -> None:
    """The rows of a ring group: first those of the phones that rang in vain."""
    a, b = call
    c = pbx.phone("1002", of=a)
    vain = row(a, c, answer=None, end=1005.0, disposition="NO ANSWER")
    archive = Archive(
        RecordsUnavailable("Master.csv: No such file"),
        Records(),
        Records(cdr=(vain,)),
        Records(cdr=(vain, row(a, b))),
    )
    async with running(archive, wait_s=0.7) as run:
        run.hears(a.calls(DID), *ringing(a, b), *ringing(a, c), *seen_again(pbx))
        touch = await run.touch()
        assert run.logged == ["answered"]
    assert touch.outcome is Outcome.ANSWERED
    assert len(archive.asked) >= 5


async def test_a_call_of_which_nothing_is_written_is_unknown_in_the_end(
    pbx: Pbx, call: tuple[Channel, Channel]
) -> None:
    a, b = call
    async with running(Archive(Records()), wait_s=0.05) as run:
        run.hears(a.calls(DID), *ringing(a, b), *seen_again(pbx))
        touch = await run.touch()
        assert run.logged == ["unknown"]
        assert run.search.metrics.unknown == 1
    assert (touch.outcome, touch.talk_s, touch.wait_s) == (Outcome.UNKNOWN, None, None)
    assert touch.details["gap"] == "link_lost"
    assert "reconstructed" not in touch.details


async def test_that_people_talked_stays_known_without_any_record(
    pbx: Pbx, call: tuple[Channel, Channel]
) -> None:
    a, b = call
    async with running(Archive(Records()), wait_s=0.05) as run:
        run.hears(a.calls(DID), *ringing(a, b), *answered(a, b), *seen_again(pbx))
        touch = await run.touch()
    assert (touch.outcome, touch.talk_s) == (Outcome.ANSWERED, None)


async def test_a_call_that_goes_on_is_not_looked_for(
    pbx: Pbx, call: tuple[Channel, Channel]
) -> None:
    """Though a row of it, of a colleague who transferred it, is written already."""
    a, b = call
    async with running(Archive(Records(cdr=(row(a, b),)))) as run:
        run.hears(a.calls(DID), *ringing(a, b), *answered(a, b), LOST, BEGUN)
        run.hears(a.listed("Dial", "b1"), b.listed("AppDial", "b1"), SnapshotEnded(at=1010.0))
        await run.quiet()
        [touch] = await run.touches()
        assert touch.outcome is Outcome.IN_PROGRESS
        pbx.clock.now = 1070.0
        run.hears(*over(a, b))
        touch = await run.touch()
    assert touch.outcome is Outcome.ANSWERED
    assert "reconstructed" not in touch.details
    assert touch.details["gap"] == "link_lost"


async def test_a_call_that_began_and_ended_in_the_gap_gets_a_touch(pbx: Pbx) -> None:
    a, b = pbx.trunk(), pbx.trunk("905559998877")
    seen = pbx.phone("1001", of=a)
    unseen = pbx.phone("1002", of=b)
    times: dict[str, Any] = {
        "start": 1040.0,
        "answer": None,
        "end": 1050.0,
        "disposition": "NO ANSWER",
    }
    archive = Archive(Records(cdr=(row(b, unseen, **times),)))
    async with running(archive) as run:
        run.hears(BEGUN, SnapshotEnded(at=999.0))
        run.hears(a.calls(DID), *ringing(a, seen), *answered(a, seen), *over(a, seen))
        run.hears(*seen_again(pbx))
        await run.quiet()
        first, second = await run.touches()
        assert run.logged == ["answered", "no_answer"]
        # Another gap, and the same file: nothing is logged twice.
        pbx.clock.now = 1120.0
        run.hears(LOST, BEGUN, SnapshotEnded(at=1120.0))
        await run.quiet()
        assert await run.touches() == [first, second]
    assert "reconstructed" not in first.details
    assert second.details["reconstructed"] == {"source": "cdr"}
    assert second.details["gap"] == "link_lost"
    assert second.match.contact is not None
    assert second.match.contact.name == "Kaya Demir"
    assert (second.outcome, second.wait_s, second.talk_s) == (Outcome.NO_ANSWER, 10.0, 0.0)
    assert (second.team, second.subject) == ("support", "+902125550101")
    assert second.at.timestamp() == 1040.0


async def test_santral_was_killed_and_is_started_after_the_call(
    pbx: Pbx, call: tuple[Channel, Channel]
) -> None:
    """And another call came and went while it was away."""
    a, b = call
    c = pbx.trunk("905559998877")
    store = MemoryStore()
    await fill(store)
    async with running(Archive(Records()), store) as run:
        run.hears(a.calls(DID), *ringing(a, b))
        await run.quiet()
    times: dict[str, Any] = {"start": 1040.0, "end": 1055.0, "answer": 1040.0}
    queued = QueueRow(
        at=1055.0,
        callid=c.uniqueid,
        queue="support",
        agent="NONE",
        event="ABANDON",
        args=("1", "1", "15"),
    )
    archive = Archive(Records(cdr=(row(a, b), row(c, **times)), queue=(queued,)))
    async with running(archive, store) as run:
        run.hears(FullyBooted(at=1060.0, uptime_s=600), BEGUN, SnapshotEnded(at=1060.0))
        await run.quiet()
        first, second = await run.touches()
        assert sorted(run.logged) == ["abandoned", "answered"]
    assert (first.outcome, first.talk_s, first.wait_s) == (Outcome.ANSWERED, 25.0, 5.0)
    assert (first.agent_name, first.subject) == ("Ayşe Yılmaz", "+902125550101")
    assert first.details["gap"] == "not_running"
    assert (second.outcome, second.wait_s, second.subject) == (Outcome.ABANDONED, 15.0, "support")
    assert second.details["reconstructed"] == {"source": "cdr+queue_log"}
    assert second.details["gap"] == "not_running"


async def test_two_touches_turn_out_to_be_of_one_call(pbx: Pbx) -> None:
    """An agent consulted a colleague when the link broke, and handed the customer on."""
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    c = pbx.phone("1001")
    d = pbx.phone("1002", of=c)
    rows = (
        row(a, b, end=1020.0),
        row(c, d, start=1010.0, answer=1012.0, end=1020.0),
        row(a, d, start=1020.0, answer=1020.0, end=1040.0),
    )
    async with running(Archive(Records(cdr=rows))) as run:
        run.hears(a.calls(DID), *ringing(a, b), *answered(a, b))
        run.hears(c.calls("1002"), *ringing(c, d), *seen_again(pbx))
        touch = await run.touch()
        assert run.logged == ["answered"]
    assert touch.key == f"call:pbx:{a.linkedid}"
    assert touch.agent_name == "Jonas Weber"
    assert touch.talk_s == 35.0


async def test_a_first_run_looks_for_nothing_that_was_before_it(pbx: Pbx) -> None:
    a = pbx.trunk()
    async with running(Archive(Records(cdr=(row(a),)))) as run:
        run.hears(FullyBooted(at=1060.0, uptime_s=600), BEGUN, SnapshotEnded(at=1060.0))
        await run.quiet()
        assert await run.touches() == []


async def test_a_number_that_was_withheld_is_not_taken_from_the_records(pbx: Pbx) -> None:
    a = pbx.trunk(number="anonymous")
    b = pbx.phone("1001", of=a)
    store = MemoryStore()
    await fill(store)
    async with running(Archive(Records()), store) as run:
        run.hears(a.calls(DID), *ringing(a, b))
        await run.quiet()
    a.number = "905321112233"
    async with running(Archive(Records(cdr=(row(a, b),))), store) as run:
        run.hears(FullyBooted(at=1060.0, uptime_s=600), BEGUN, SnapshotEnded(at=1060.0))
        touch = await run.touch()
    assert touch.outcome is Outcome.ANSWERED
    assert "905321112233" not in str(touch)


async def test_a_call_that_cannot_be_written_is_said_and_keeps_nobody_waiting(
    pbx: Pbx, call: tuple[Channel, Channel], caplog: pytest.LogCaptureFixture
) -> None:
    a, b = call
    c = pbx.trunk("905559998877")
    times: dict[str, Any] = {"start": 1001.0}
    async with running(Archive(Records(cdr=(row(c, **times), row(a, b))))) as run:
        write = run.service.unseen.reconstructed

        async def fails_once(
            found: Reconstruction, touches: Sequence[Touch], missed_in: Gap
        ) -> bool:
            if found.call.id.endswith(a.uniqueid):
                raise RuntimeError
            return await write(found, touches, missed_in)

        run.service.unseen.reconstructed = fails_once  # type: ignore[method-assign]
        run.hears(BEGUN, SnapshotEnded(at=999.0), a.calls(DID), *seen_again(pbx))
        await run.quiet()
        assert len(await run.touches()) == 2
    assert "could not be written" in caplog.text
