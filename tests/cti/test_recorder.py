"""The flight recorder: what is written, what is lost, and how much room it takes."""

from __future__ import annotations

import asyncio
import gzip
import os
import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cti.ami.events import Newchannel
from cti.ami.source import AmiSource
from cti.ami.traces import read_trace
from cti.flight.recorder import FlightRecorder, recording
from cti.flight.shelf import Shelf, segments_in
from cti.flight.trace import messages_of_call
from cti.settings import RecorderSettings
from tests.cti.ami.settings import SECRET, pbx_settings
from tests.servers.ami import BANNER, AmiServer, channel, event

MIB = 1024 * 1024


class Clock:
    """The time of day, as the test says."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, 21, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        """What time it is."""
        return self.now


def shelf_in(
    directory: Path, *, days: float = 7, max_bytes: int = 64 * MIB, clock: Clock | None = None
) -> Shelf:
    return Shelf(directory, keep=timedelta(days=days), max_bytes=max_bytes, clock=clock or Clock())


def new_channel(number: int) -> bytes:
    return event("Newchannel", **channel(uniqueid=f"1700000000.{number}"))


def recorded(directory: Path) -> bytes:
    """All that is recorded, as `zcat *.ami.gz` prints it."""
    return b"".join(gzip.decompress(one.path.read_bytes()) for one in segments_in(directory))


def without_marks(raw: bytes) -> bytes:
    messages = raw.split(b"\r\n\r\n")
    return b"\r\n\r\n".join(one for one in messages if b"SantralRecorder" not in one)


def marks(raw: bytes) -> list[str]:
    """What the recorder itself noted: `session`, or `gap` and how much is missing."""
    found = []
    for one in raw.decode().split("\r\n\r\n"):
        if one.startswith("Event: SantralRecorder"):
            fields = dict(line.split(": ") for line in one.split("\r\n"))
            found.append(" ".join((fields["Mark"], fields.get("Dropped", ""))).strip())
    return found


def run_once(recorder: FlightRecorder, *, last: bool = False) -> None:
    """Let the thread's work be done now, in this thread."""
    recorder._drain()
    recorder._on_shelf(recorder._shelf.close if last else recorder._shelf.flush)


# --- what is written ------------------------------------------------------------------------------


def test_everything_that_came_is_recorded_however_tcp_cut_it(tmp_path: Path) -> None:
    sent = BANNER + b"".join(map(new_channel, range(500)))
    chance = random.Random(1)
    with FlightRecorder(shelf_in(tmp_path), flush_s=0.001) as recorder:
        write = recorder.begin()
        at = 0
        while at < len(sent):
            size = chance.randint(1, 3000)
            write(sent[at : at + size])
            at += size
    raw = recorded(tmp_path)
    assert marks(raw) == ["session"]
    assert without_marks(raw) == sent
    events = list(read_trace(segments_in(tmp_path)[0].path))
    assert sum(isinstance(one, Newchannel) for one in events) == 500
    assert recorder.dropped == recorder.failures == 0


def test_only_we_may_read_it(tmp_path: Path) -> None:
    directory = tmp_path / "flight" / "main"
    with FlightRecorder(shelf_in(directory)) as recorder:
        recorder.begin()(new_channel(1))
    files = list(directory.iterdir())
    assert [path.stat().st_mode & 0o777 for path in files] == [0o600, 0o600]
    assert directory.stat().st_mode & 0o777 == 0o700


def test_each_member_begins_with_a_whole_message(tmp_path: Path) -> None:
    shelf = shelf_in(tmp_path)
    shelf.write(b"".join(map(new_channel, range(8000))))
    shelf.close()
    (segment,) = segments_in(tmp_path)
    members = [member for member, _ in segment.members(lambda _line: True)]
    assert len(members) > 3
    messages = [message for member in members for message in member.messages()]
    assert [message + b"\r\n\r\n" for message in messages] == list(map(new_channel, range(8000)))


def test_a_new_connection_is_marked_and_the_cut_message_before_it_dropped(tmp_path: Path) -> None:
    recorder = FlightRecorder(shelf_in(tmp_path))
    recorder.begin()(new_channel(1) + b"Event: Newchan")
    recorder.begin()(BANNER + new_channel(2))
    run_once(recorder, last=True)
    raw = recorded(tmp_path)
    assert marks(raw) == ["session", "session"]
    assert without_marks(raw) == new_channel(1) + BANNER + new_channel(2)


async def test_a_source_is_recorded_and_its_secret_is_not(tmp_path: Path) -> None:
    heard = asyncio.Event()
    async with AmiServer() as pbx, recording(RecorderSettings(), tmp_path) as record:
        assert record is not None

        def listen() -> Callable[[bytes], None]:
            write = record()

            def hear(chunk: bytes) -> None:
                write(chunk)
                if b"\r\nUniqueid: " in chunk:
                    heard.set()

            return hear

        source = AmiSource(pbx_settings(pbx.port), recording=listen)
        async with asyncio.TaskGroup() as tasks, asyncio.timeout(5):
            running = tasks.create_task(source.run())
            session = await pbx.accepted()
            session.reply(await session.expect("Login"), "Success")
            session.event("FullyBooted")
            session.send(new_channel(1))
            await heard.wait()
            running.cancel()
    raw = recorded(tmp_path)
    assert b"FullyBooted" in raw
    assert SECRET.encode() not in raw
    assert messages_of_call(tmp_path, "1700000000.1", pbx="test")


async def test_a_recorder_that_is_switched_off_writes_nothing(tmp_path: Path) -> None:
    async with recording(RecorderSettings(enabled=False), tmp_path / "flight") as record:
        assert record is None
    assert not segments_in(tmp_path / "flight")


async def test_the_thread_ends_with_the_block(tmp_path: Path) -> None:
    async with recording(RecorderSettings(), tmp_path):
        assert any(thread.name == "flight recorder" for thread in threading.enumerate())
    assert not any(thread.name == "flight recorder" for thread in threading.enumerate())


# --- crashes and damages --------------------------------------------------------------------------


def test_after_a_crash_everything_that_was_flushed_is_found(tmp_path: Path) -> None:
    recorder = FlightRecorder(shelf_in(tmp_path))
    write = recorder.begin()
    for number in range(4000):  # more than one member
        write(new_channel(number))
        if number % 100 == 99:
            run_once(recorder)
    # Nothing is closed: a copy is what a crash would leave.
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for segment in segments_in(tmp_path):
        (crashed / segment.path.name).write_bytes(segment.path.read_bytes())
        (crashed / segment.index.name).write_bytes(segment.index.read_bytes()[:-20])
    run_once(recorder, last=True)
    for number in (0, 1234, 3999):
        (found,) = messages_of_call(crashed, f"1700000000.{number}", pbx="main")
        assert found + b"\r\n\r\n" == new_channel(number)


def test_a_file_that_is_cut_anywhere_gives_what_stands_before_the_cut(tmp_path: Path) -> None:
    shelf = shelf_in(tmp_path)
    for number in range(40):
        shelf.write(new_channel(number))
        shelf.flush()
    shelf.close()
    (segment,) = segments_in(tmp_path)
    whole = segment.path.read_bytes()
    segment.index.unlink()
    last = 0
    for size in range(0, len(whole) + 1, 7):
        segment.path.write_bytes(whole[:size])
        [(member, _)] = segment.members(lambda _line: True)
        messages = list(member.messages())
        assert [one + b"\r\n\r\n" for one in messages] == [
            new_channel(number) for number in range(len(messages))
        ]
        assert len(messages) >= last
        last = len(messages)
    assert last >= 39


def test_behind_a_damage_the_next_member_is_read(tmp_path: Path) -> None:
    shelf = shelf_in(tmp_path)
    shelf.write(b"".join(map(new_channel, range(8000))))
    shelf.close()
    (segment,) = segments_in(tmp_path)
    raw = bytearray(segment.path.read_bytes())
    raw[len(raw) // 3] ^= 0xFF
    segment.path.write_bytes(raw)
    segment.index.unlink()
    assert messages_of_call(tmp_path, "1700000000.7999", pbx="main")


# --- more than can be written ---------------------------------------------------------------------


def test_a_reader_is_never_stopped_and_what_is_missing_is_marked(tmp_path: Path) -> None:
    recorder = FlightRecorder(shelf_in(tmp_path), buffer_bytes=10_000)
    write = recorder.begin()
    messages = [new_channel(number) for number in range(200)]
    for message in messages[:100]:
        write(message)  # nobody empties the buffer
    run_once(recorder)
    for message in messages[100:]:
        write(message)
        run_once(recorder)
    run_once(recorder, last=True)
    raw = recorded(tmp_path)
    kept = without_marks(raw)
    size = len(messages[0])
    first = 10_000 // size
    assert recorder.dropped > 0
    assert marks(raw) == ["session", f"gap {recorder.dropped}"]
    assert kept.startswith(b"".join(messages[:first]))
    # The message after the gap may have been cut by it, so it is left out too.
    assert kept == b"".join(messages[:first] + messages[101:])


def test_a_gap_at_the_end_is_marked_when_the_recorder_closes(tmp_path: Path) -> None:
    recorder = FlightRecorder(shelf_in(tmp_path), buffer_bytes=1000)
    write = recorder.begin()
    for number in range(10):
        write(new_channel(number))
    recorder.start()
    recorder.close()
    assert marks(recorded(tmp_path)) == ["session", f"gap {recorder.dropped}"]


def test_a_message_without_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    recorder = FlightRecorder(shelf_in(tmp_path))
    write = recorder.begin()
    for _ in range(400):
        write(b"x" * 1024)
        run_once(recorder)
    assert len(recorder._tail) <= 1024
    write(b"\r\n\r\n" + new_channel(1))
    run_once(recorder, last=True)
    raw = recorded(tmp_path)
    assert without_marks(raw) == new_channel(1)
    assert marks(raw)[0] == "session"
    assert marks(raw)[1].startswith("gap")


# --- room on the disk -----------------------------------------------------------------------------


def noise(size: int, seed: int) -> bytes:
    """Messages that do not compress."""
    chance = random.Random(seed)
    return b"".join(
        event("UserEvent", Text=chance.randbytes(16_000).hex()) for _ in range(size // 32_000)
    )


def test_it_never_takes_more_than_it_may(tmp_path: Path) -> None:
    shelf = shelf_in(tmp_path, max_bytes=8 * MIB)
    most = 0
    for turn in range(70):
        shelf.write(noise(MIB // 4, turn))
        shelf.flush()
        most = max(most, sum(path.stat().st_size for path in tmp_path.iterdir()))
    shelf.close()
    assert 6 * MIB < most <= 8 * MIB
    latest = segments_in(tmp_path)[-1]
    assert noise(MIB // 4, 69)[-300:] in gzip.decompress(latest.path.read_bytes())


def test_what_is_older_than_the_days_goes_also_when_nothing_comes(tmp_path: Path) -> None:
    clock = Clock()
    shelf = shelf_in(tmp_path, days=2, clock=clock)
    for hour in range(60):
        shelf.write(new_channel(hour))
        shelf.flush()
        clock.now += timedelta(hours=1)
    kept = [segment.began for segment in segments_in(tmp_path)]
    assert clock.now - kept[0] <= timedelta(days=2, hours=2)
    assert len(kept) == 50
    clock.now += timedelta(days=3)
    shelf.flush()
    assert not list(tmp_path.iterdir())
    shelf.close()


def test_each_hour_has_a_file_of_its_own(tmp_path: Path) -> None:
    clock = Clock()
    shelf = shelf_in(tmp_path, clock=clock)
    for number in range(3):
        shelf.write(new_channel(number))
        clock.now += timedelta(minutes=29)
    shelf.close()
    assert [segment.began.hour for segment in segments_in(tmp_path)] == [21, 22]


def test_a_clock_that_goes_back_keeps_the_order(tmp_path: Path) -> None:
    clock = Clock()
    for number in range(3):
        shelf = shelf_in(tmp_path, clock=clock)  # a restart
        shelf.write(new_channel(number))
        shelf.close()
        clock.now -= timedelta(minutes=10)
    assert without_marks(recorded(tmp_path)) == b"".join(map(new_channel, range(3)))


def test_other_files_in_the_directory_are_left_alone(tmp_path: Path) -> None:
    for name in ("notes.ami.gz", "pseudonyms.key"):
        (tmp_path / name).write_text("mine")
    clock = Clock()
    shelf = shelf_in(tmp_path, clock=clock)
    shelf.write(new_channel(1))
    clock.now += timedelta(days=30)
    shelf.flush()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.ami.gz", "pseudonyms.key"]
    assert segments_in(tmp_path) == []


# --- a disk that says no --------------------------------------------------------------------------


class FullDisk(Shelf):
    """Writes until it is full."""

    full = True

    def write(self, messages: bytes) -> None:
        """Refuse while it is full."""
        if self.full:
            raise OSError(28, "No space left on device")
        super().write(messages)


def test_a_full_disk_costs_the_recording_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = FullDisk(tmp_path, keep=timedelta(days=1), max_bytes=16 * MIB)
    recorder = FlightRecorder(shelf)
    write = recorder.begin()
    for number in range(5):
        write(new_channel(number))
        run_once(recorder)
    assert (recorder.failures, len(caplog.records)) == (1, 1)  # not at every second
    shelf.full = False
    monkeypatch.setattr(recorder, "_retry_at", 0.0)
    write(new_channel(6))
    run_once(recorder, last=True)
    assert marks(recorded(tmp_path)) == [f"gap {recorder.dropped}"]
    assert without_marks(recorded(tmp_path)) == new_channel(6)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with FlightRecorder(shelf_in(tmp_path / "flight")) as recorder:
        recorder.begin()(new_channel(1))
    assert recorder.failures
    tmp_path.chmod(0o700)


def test_a_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "flight").write_text("")
    with FlightRecorder(shelf_in(tmp_path / "flight")) as recorder:
        recorder.begin()(new_channel(1))
    assert recorder.failures


def test_closing_twice_is_allowed(tmp_path: Path) -> None:
    with FlightRecorder(shelf_in(tmp_path)) as recorder:
        recorder.close()
    closing: Callable[[], None] = recorder.close
    closing()
