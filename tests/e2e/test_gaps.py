"""The link is cut, Santral is killed, Asterisk is restarted: one touch a call, and the right one.

On the real Asterisk, whose own records say what was right.
"""

from __future__ import annotations

import asyncio
import csv
import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest
import pytest_asyncio

from crm_core.db.store import open_store
from crm_core.model import Outcome, Touch
from tests.e2e.conftest import people
from tests.e2e.daemon import DEADLINE, Daemon, Line
from tests.lab.asterisk import Asterisk, Did
from tests.lab.fixtures import available
from tests.lab.phones import PhoneCall, Phones
from tests.lab.processes import LabError, Server, accepts_tcp

pytestmark = [
    pytest.mark.asterisk,
    pytest.mark.timeout(60),
    pytest.mark.asyncio(loop_scope="module"),
]

CALLER = "905321112233"
CDR_CONF = """\
[general]
enable = yes
unanswered = yes
[csv]
loguniqueid = yes
newcdrcolumns = yes
"""


class RecordingPbx(Asterisk):
    """An Asterisk that writes the linkedid into its CDRs, and that can be restarted."""

    def _write_configuration(self) -> None:
        super()._write_configuration()
        (self.directory / "etc/cdr.conf").write_text(CDR_CONF)

    @property
    def master_csv(self) -> Path:
        """Where its CDRs are."""
        return self.directory / "log/cdr-csv/Master.csv"

    @property
    def queue_log(self) -> Path:
        """Where its queues' history is."""
        return self.directory / "log/queue_log"

    def rows(self, linkedid: str) -> list[list[str]]:
        """Its CDRs of a call."""
        if not self.master_csv.exists():
            return []
        with self.master_csv.open(encoding="utf-8", newline="") as file:
            return [row for row in csv.reader(file) if row[-2] == linkedid]

    def crash(self) -> None:
        """End it as a crash does: no hangup, no CDR."""
        assert self._server is not None
        os.kill(self._server.pid, signal.SIGKILL)
        self._server.stop()

    def start_again(self) -> None:
        """Start it with the files that it had, and wait until it is ready."""
        self._server = Server(
            f"Asterisk {self.release}",
            [
                *("chroot", self.root, "/usr/sbin/asterisk", "-f", "-U", "asterisk"),
                *("-C", self._inside / "etc/asterisk.conf"),
            ],
            output=self.directory / "log/console",
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp", "LC_ALL": "C.UTF-8"},
        )
        self._server.wait_until(lambda: accepts_tcp(self.ami_port), seconds=30)
        self._wait_fully_booted(seconds=30)


class Wire:
    """The network between Santral and the PBX: it can be cut, and mended."""

    def __init__(self, to: int) -> None:
        self._to = to
        self.port = 0
        self._server: asyncio.Server | None = None
        self._running: set[asyncio.Task[Any]] = set()

    async def mend(self) -> Self:
        """Let connections through, at the same port as before."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def cut(self) -> None:
        """Break all connections, and refuse new ones."""
        assert self._server is not None
        self._server.close()
        for task in list(self._running):
            task.cancel()
        await self._server.wait_closed()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            await self._join(reader, writer)
        except asyncio.CancelledError:
            pass  # the wire was cut
        finally:
            writer.close()
            self._running.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            return  # the PBX is down
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_copy(reader, back))
                tasks.create_task(_copy(there, writer))
        except* OSError:
            pass  # one end closed the connection
        finally:
            back.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    raise ConnectionResetError


@dataclass(frozen=True, slots=True)
class Desk:
    """A running installation, with hands on everything that may break."""

    pbx: RecordingPbx
    wire: Wire
    phones: Phones
    daemon: Daemon
    database: str

    async def touches(self) -> list[Touch]:
        """The history, oldest first, read from the database itself."""
        store = open_store(self.database)
        try:
            async with store.begin() as uow:
                found, _ = await uow.touches.page(limit=50)
                return found[::-1]
        finally:
            await store.close()

    async def said_since(self, mark: int, action: str) -> Line:
        """Wait for a log line after the first `mark` lines."""
        return await self.daemon.said(
            action, lambda line: any(line is other for other in self.daemon.lines[mark:])
        )

    async def back(self) -> None:
        """Mend the wire and wait until the PBX is seen again."""
        mark = len(self.daemon.lines)
        await self.wire.mend()
        await self.said_since(mark, "pbx_up")

    async def settled(self, count: int) -> list[Touch]:
        """Wait until there are so many touches, none of them in progress."""
        found: list[Touch] = []
        async with asyncio.timeout(DEADLINE):
            while len(found) != count or any(t.outcome is Outcome.IN_PROGRESS for t in found):
                await asyncio.sleep(0.1)  # another process writes them
                found = await self.touches()
        return found


def settings(pbx: RecordingPbx, wire: Wire, database: str, *, records: bool) -> str:
    recovery = f"""
[pbx.recovery]
cdr_csv = "{pbx.master_csv}"
queue_log = "{pbx.queue_log}"
wait_s = 3
"""
    return f"""
teams = ["support"]
[database]
url = "{database}"
[web]
port = 0
[[pbx]]
name = "main"
port = {wire.port}
events_user = "cti-events"
events_secret = "{pbx.secret("cti-events")}"
[pbx.link]
retry_first_s = 0.1
retry_most_s = 0.5
{recovery if records else ""}
"""


@pytest.fixture(scope="module")
def pbx() -> Iterator[RecordingPbx]:
    with available():
        server = RecordingPbx(queue_seconds=20, ring_seconds=20)
    with server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def phones(pbx: RecordingPbx) -> AsyncIterator[Phones]:
    with available():
        telephones = Phones(pbx)
    async with telephones:
        await telephones.register("1001", "1002")
        yield telephones


Installs = Callable[..., Awaitable[Desk]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def install(
    pbx: RecordingPbx, phones: Phones, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installs]:
    """Makes installations with the same people; they are ended with the module."""
    made: list[Desk] = []
    first = tmp_path_factory.mktemp("people")
    await people(Daemon(first, f'teams = ["support"]\n[database]\nurl = "{_database(first)}"'))

    async def make(*, records: bool = True) -> Desk:
        directory = tmp_path_factory.mktemp("gaps")
        for file in first.glob("santral.sqlite3*"):
            shutil.copy(file, directory)
        wire = await Wire(pbx.ami_port).mend()
        daemon = Daemon(directory, settings(pbx, wire, _database(directory), records=records))
        desk = Desk(pbx, wire, phones, daemon, _database(directory))
        made.append(desk)
        await daemon.start()
        await daemon.said("pbx_up")
        return desk

    yield make
    assert set(await asyncio.gather(*(desk.daemon.stop() for desk in made))) == {0}
    for desk in made:
        await desk.wire.cut()


def _database(directory: Path) -> str:
    return f"sqlite:///{directory / 'santral.sqlite3'}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(install: Installs) -> Desk:
    """The installation of which the link is cut again and again."""
    return await install()


# --- the link is cut ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Story:
    """How far a call is when the link is cut, and what happens before it is mended."""

    did: str
    before: str
    """What the phone does before: `ring`, `answer`, `hold`; or nothing, for no call at all."""
    unseen: str
    """`answer` and hang up, `hangup` by the caller, `reject` by the phone, or nothing."""
    outcome: str
    source: str = "cdr"
    """Where it is recovered from; nothing for what we saw ourselves."""


STORIES = {
    "ringing, answered unseen": Story(Did.PHONE, "ring", "answer", "answered"),
    "ringing, given up unseen": Story(Did.PHONE, "ring", "hangup", "no_answer"),
    "ringing, rejected unseen": Story(Did.PHONE, "ring", "reject", "busy"),
    "queued, answered unseen": Story(Did.SUPPORT, "ring", "answer", "answered", "cdr+queue_log"),
    "queued, given up unseen": Story(Did.SUPPORT, "ring", "hangup", "abandoned", "cdr+queue_log"),
    "talking, ended unseen": Story(Did.PHONE, "answer", "hangup", "answered"),
    "on hold, ended unseen": Story(Did.PHONE, "hold", "hangup", "answered"),
    "talking, goes on": Story(Did.PHONE, "answer", "", "answered", ""),
    "ringing, goes on": Story(Did.PHONE, "ring", "", "answered", ""),
    "begun and answered unseen": Story(Did.PHONE, "", "answer", "answered"),
    "begun and given up unseen": Story(Did.PHONE, "", "hangup", "no_answer"),
}


@pytest.mark.parametrize("name", STORIES)
async def test_the_link_is_cut(desk: Desk, name: str) -> None:
    story = STORIES[name]
    known = len(await desk.touches())
    if not story.before:
        await desk.wire.cut()
    caller = await desk.phones.call_in(CALLER, story.did, name="Zoë")
    phone = await desk.phones.incoming("1001")
    other = await desk.phones.incoming("1002") if story.did == Did.SUPPORT else None
    # It rings; nothing is waited for here. A CDR's seconds are whole ones.
    await asyncio.sleep(2.1 if story.unseen == "answer" else 0.3)
    if story.before in ("answer", "hold"):
        await phone.answer()
        await asyncio.sleep(1)
    if story.before == "hold":
        await phone.hold()
    if story.before:
        await desk.wire.cut()
    await _unseen(story.unseen, caller, phone)
    await desk.back()
    if not story.unseen:
        if phone.media != "active":
            await phone.answer()
        await asyncio.sleep(1)
        await caller.hangup()
    await phone.ended()
    if other is not None:
        await other.ended()

    touch = (await desk.settled(known + 1))[-1]
    assert touch.outcome.value == story.outcome
    rows = desk.pbx.rows(touch.key.rpartition(":")[2])
    talked = [row for row in rows if row[14] == "ANSWERED" and row[6]]
    assert bool(talked) == (story.outcome == "answered")
    if talked:
        assert touch.agent_name == "Ece Yıldız"
        assert touch.talk_s is not None
        if story.did == Did.PHONE:
            assert touch.talk_s == pytest.approx(sum(int(row[13]) for row in talked), abs=1.1)
    assert touch.ended_at is not None
    assert touch.match.contact is not None
    assert touch.match.contact.external_id == "C-1"
    assert touch.details["gap"] == "link_lost"
    if story.source:
        assert touch.details["reconstructed"] == {"source": story.source}
    else:
        assert "reconstructed" not in touch.details


async def _unseen(what: str, caller: PhoneCall, phone: PhoneCall) -> None:
    """What happens while the link is cut."""
    match what:
        case "answer":
            await phone.answer()
            await asyncio.sleep(1.5)
            await caller.hangup()
        case "hangup":
            await caller.hangup()
        case "reject":
            await phone.reject()
        case _:
            await asyncio.sleep(1)


# --- Santral is killed, Asterisk is restarted -----------------------------------------------------


@pytest.mark.parametrize("records", [True, False], ids=["with records", "without"])
async def test_santral_is_killed_in_a_call_and_started_after_it(
    install: Installs, phones: Phones, records: bool
) -> None:
    """And one more call came and went while it was away."""
    desk = await install(records=records)
    caller = await phones.call_in(CALLER, Did.PHONE)
    phone = await phones.incoming("1001")
    await desk.daemon.said("call_started")
    await desk.daemon.said("pop_shown")
    await desk.daemon.kill()
    await asyncio.sleep(2.1)  # it rings
    await _unseen("answer", caller, phone)
    missed = await phones.call_in("905322223344", Did.SUPPORT)
    rung = [await phones.incoming("1001"), await phones.incoming("1002")]
    await missed.hangup()
    for one in rung:
        await one.ended()
    await desk.daemon.start()

    found = await desk.settled(2 if records else 1)
    if not records:
        assert found[0].outcome is Outcome.UNKNOWN
        assert found[0].details["gap"] == "not_running"
        return
    first, second = found
    assert (first.outcome.value, second.outcome.value) == ("answered", "abandoned")
    assert (first.agent_name, second.subject) == ("Ece Yıldız", "support")
    [row] = desk.pbx.rows(first.key.rpartition(":")[2])
    assert first.talk_s == pytest.approx(int(row[13]), abs=1.1)
    assert {t.details["gap"] for t in found} == {"not_running"}
    assert first.details["reconstructed"] == {"source": "cdr"}
    assert second.details["reconstructed"] == {"source": "cdr+queue_log"}


async def test_santral_is_killed_in_a_call_and_started_in_it(
    install: Installs, phones: Phones
) -> None:
    desk = await install()
    caller = await phones.call_in(CALLER, Did.PHONE)
    phone = await phones.incoming("1001")
    await desk.daemon.said("pop_shown")
    await desk.daemon.kill()
    await phone.answer()
    await desk.daemon.start()
    await desk.daemon.said("pbx_up")
    await caller.hangup()
    [touch] = await desk.settled(1)
    assert touch.outcome is Outcome.ANSWERED
    assert touch.agent_name == "Ece Yıldız"


async def test_asterisk_crashes_in_two_calls(install: Installs, phones: Phones) -> None:
    """It writes no CDR then: what we saw is all there is. One talked, one waited in a queue."""
    desk = await install()
    callers = [await phones.call_in(CALLER, Did.PHONE)]
    talking = await phones.incoming("1001")
    await talking.answer()
    await desk.daemon.said("call_answered")
    callers.append(await phones.call_in("905322223344", Did.SUPPORT))
    ringing = await phones.incoming("1002")
    await desk.daemon.said("pop_shown", lambda line: line["pop"].endswith("/2"))
    mark = len(desk.daemon.lines)
    desk.pbx.crash()
    desk.pbx.start_again()
    await desk.said_since(mark, "pbx_up")
    first, second = await desk.settled(2)
    assert (first.outcome, second.outcome) == (Outcome.ANSWERED, Outcome.UNKNOWN)
    for touch in (first, second):
        assert touch.details["gap"] == "pbx_restart"
        assert "reconstructed" not in touch.details
        assert touch.talk_s is None
    for call in (*callers, talking, ringing):
        with suppress(LabError):
            await call.hangup()
    await phones.register("1001", "1002")
