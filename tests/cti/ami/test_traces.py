"""Recordings are read in every form, and made."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import sys
from pathlib import Path

import pytest
from typing_extensions import Buffer

from cti.ami.events import AmiEvent, Hangup, Malformed, Newchannel
from cti.ami.framing import Framer, Message
from cti.ami.traces import read_trace, record_stream
from cti.errors import LoginRefused, PeerUnavailable
from tests.cti.ami.settings import SECRET, pbx_settings
from tests.servers.ami import BANNER, AmiServer, channel, message

STREAM = (
    BANNER
    + message({"Response": "Success", "Message": "Authentication accepted"})
    + message({"Event": "Newchannel", "Timestamp": "1700000000.5"} | channel())
    + message({"Event": "RTCPSent"})
    + message({"Event": "Hangup", "Timestamp": "1700000001.5"} | channel() | {"Cause": "16"})
)
KINDS = [Newchannel, Hangup]


def as_json(stream: bytes) -> bytes:
    messages = map(Message.parse, Framer(lenient=True).feed(stream))
    return b"".join(json.dumps(dict(m.fields)).encode() + b"\n" for m in messages)


def kinds(events: list[AmiEvent]) -> list[type[AmiEvent]]:
    return [type(event) for event in events]


@pytest.mark.parametrize(
    "content",
    [
        STREAM,
        STREAM.replace(b"\r\n", b"\n"),
        STREAM.removesuffix(b"\r\n"),
        STREAM + BANNER,
        as_json(STREAM),
        as_json(STREAM).replace(b"\n", b"\r\n\r\n"),
        b"\n\n" + as_json(STREAM),
        b"\xef\xbb\xbf" + as_json(STREAM),
        as_json(STREAM).removesuffix(b"\n"),
    ],
    ids=[
        "raw",
        "bare line feeds",
        "no empty line at the end",
        "followed by another banner",
        "JSON lines",
        "JSON lines with empty ones between",
        "JSON lines after empty ones",
        "JSON lines with a byte order mark",
        "JSON lines without a last line end",
    ],
)
def test_the_same_events_from_every_form(content: bytes, tmp_path: Path) -> None:
    plain, packed = tmp_path / "trace.ami", tmp_path / "trace.gz"
    plain.write_bytes(content)
    packed.write_bytes(gzip.compress(content))
    events = list(read_trace(plain))
    assert kinds(events) == KINDS
    assert [event.at for event in events] == [1700000000.5, 1700000001.5]
    assert list(read_trace(str(packed))) == events
    assert list(read_trace(io.BytesIO(content))) == events
    assert list(read_trace(io.BytesIO(gzip.compress(content)))) == events


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    for content in (STREAM, gzip.compress(STREAM)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        assert kinds(list(read_trace("-"))) == KINDS


def test_numbers_count_every_message_of_the_stream() -> None:
    assert [event.seq for event in read_trace(io.BytesIO(STREAM))] == [2, 4]


@pytest.mark.parametrize("content", [STREAM, as_json(STREAM)], ids=["raw", "JSON"])
def test_a_recording_cut_anywhere_never_raises(content: bytes) -> None:
    packed = gzip.compress(content)
    whole = list(read_trace(io.BytesIO(content)))
    for at in range(0, len(content), 3):
        events = list(read_trace(io.BytesIO(content[:at])))
        good = [event for event in events if not isinstance(event, Malformed)]
        # The last may lack headers that its kind can do without.
        assert good[:-1] == whole[: len(good)][:-1]
        assert kinds(good) == KINDS[: len(good)]
        list(read_trace(io.BytesIO(content[at:])))
    for at in range(len(packed)):
        list(read_trace(io.BytesIO(packed[:at])))


def test_what_is_not_json_is_malformed() -> None:
    lines = b'{"Event": "Nothing"}\n{oops\n[1]\n17\n' + b"[" * 100_000 + b"\n" + as_json(STREAM)
    events = list(read_trace(io.BytesIO(lines)))
    assert kinds(events) == [Malformed] * 4 + KINDS


def test_an_empty_file() -> None:
    assert list(read_trace(io.BytesIO(b""))) == []
    assert list(read_trace(io.BytesIO(b"\n \n"))) == []


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(read_trace(tmp_path / "none"))


class Tape(io.BytesIO):
    """A file that says when it holds what the test waits for."""

    def __init__(self, last: bytes) -> None:
        super().__init__()
        self.full = asyncio.Event()
        self._last = last

    def write(self, data: Buffer) -> int:
        """Write, and look whether this was it."""
        size = super().write(data)
        if self.getvalue().endswith(self._last):
            self.full.set()
        return size


async def test_a_recording_has_every_byte_the_pbx_sent_and_no_secret() -> None:
    tape = Tape(last=b"Event: Cut\r\nHal")
    events = message({"Event": "Newchannel"} | channel()) + message({"Event": "X"}) * 1000
    async with AmiServer() as pbx, asyncio.TaskGroup() as tasks:
        recording = tasks.create_task(record_stream(pbx_settings(pbx.port), tape, tape.full))
        session = await pbx.accepted()
        login = await session.accept_login()
        session.send(events + b"Event: Cut\r\nHal")
        async with asyncio.timeout(5):
            written = await recording
        assert await session.ended() == b""
    answer = {"Response": "Success", "ActionID": login["ActionID"]}
    answer["Message"] = "Authentication accepted"
    assert tape.getvalue() == BANNER + message(answer) + events + b"Event: Cut\r\nHal"
    assert written == len(tape.getvalue())
    assert SECRET.encode() not in tape.getvalue()


async def test_a_recording_into_a_file_by_name(tmp_path: Path) -> None:
    stop = asyncio.Event()
    stop.set()
    async with AmiServer() as pbx, asyncio.TaskGroup() as tasks:
        settings = pbx_settings(pbx.port)
        recording = tasks.create_task(record_stream(settings, tmp_path / "call.ami", stop))
        await (await pbx.accepted()).accept_login()
        assert await recording == len((tmp_path / "call.ami").read_bytes())
    assert (tmp_path / "call.ami").read_bytes().startswith(BANNER)


async def test_a_recording_ends_with_the_session() -> None:
    file = io.BytesIO()
    async with AmiServer() as pbx, asyncio.TaskGroup() as tasks:
        settings = pbx_settings(pbx.port)

        async def record() -> None:
            with pytest.raises(PeerUnavailable, match="closed by the PBX"):
                await record_stream(settings, file, asyncio.Event())

        tasks.create_task(record())
        session = await pbx.accepted()
        login = await session.accept_login()
        session.send(STREAM[len(BANNER) :])
        await session.close()
    answer = {"Response": "Success", "ActionID": login["ActionID"]}
    answer["Message"] = "Authentication accepted"
    assert file.getvalue() == BANNER + message(answer) + STREAM[len(BANNER) :]
    assert kinds(list(read_trace(io.BytesIO(file.getvalue())))) == KINDS


async def test_a_recorder_that_may_not_log_in() -> None:
    async with AmiServer() as pbx, asyncio.TaskGroup() as tasks:
        settings = pbx_settings(pbx.port)

        async def record() -> None:
            with pytest.raises(LoginRefused):
                await record_stream(settings, io.BytesIO(), asyncio.Event())

        tasks.create_task(record())
        session = await pbx.accepted()
        session.reply(await session.expect("Login"), "Error", Message="Authentication failed")


class FullDisk(io.BytesIO):
    """A file that takes the greeting, and no more."""

    def write(self, data: Buffer) -> int:
        """Write once."""
        if self.tell():
            raise OSError(28, "No space left on device")
        return super().write(data)


async def test_a_disk_that_is_full_ends_the_recording() -> None:
    async with AmiServer() as pbx, asyncio.TaskGroup() as tasks:
        settings = pbx_settings(pbx.port)

        async def record() -> None:
            with pytest.raises(OSError, match="No space left"):
                await record_stream(settings, FullDisk(), asyncio.Event())

        tasks.create_task(record())
        session = await pbx.accepted()
        await session.accept_login()
