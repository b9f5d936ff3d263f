"""Recorded streams: read through the same framing and codec as live ones, and written.

A recording is the bytes as they came (`santral record` writes such), or JSON lines, each an object
of headers; either may be compressed with gzip.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

from cti.ami.codec import decode, decode_headers
from cti.ami.events import AmiEvent, LinkLost, Malformed, SnapshotBegun, SnapshotEnded
from cti.ami.framing import Framer
from cti.ami.link import open_connection
from cti.ami.protocol import AmiConnection
from cti.settings import PbxSettings

_CHUNK: Final = 64 * 1024
_GZIP: Final = b"\x1f\x8b"
_MARK: Final = b"Event: SantralRecorder\r\n"
_NEW_SESSION: Final = b"\r\nMark: session"
_LISTED: Final = b"Event: CoreShowChannelsComplete\r\n"


def read_trace(source: str | Path | BinaryIO) -> Iterator[AmiEvent]:
    """Yield the events of a recording; `-` is standard input.

    A recording may begin and end anywhere. What cannot be understood is `Malformed`, never raised.

    Raises:
        OSError: The file cannot be read.

    """
    with _opened(source) as stream:
        chunks = _chunks(stream)
        first = next(chunks, b"")
        while first and not first.strip():
            first = next(chunks, b"")
        rest = _prepended(first, chunks)
        if first.lstrip().startswith((b"{", b"\xef\xbb\xbf{")):
            yield from _json_events(rest)
        else:
            yield from _raw_events(rest)


async def record_stream(
    settings: PbxSettings, target: str | Path | BinaryIO, until: asyncio.Event
) -> int:
    """Write all that a PBX sends to an events session into a file, until told to stop.

    What we send, the secret with it, is not written.

    Returns:
        How many bytes were written.

    Raises:
        PeerUnavailable: It cannot be reached, or the session ended before `until` was set.
        LoginRefused: It refused the login.
        OSError: The file cannot be written.

    """
    if isinstance(target, str | Path):
        with Path(target).open("wb") as file:  # noqa: ASYNC230 - a recorder does nothing else
            return await _record(settings, file, until)
    return await _record(settings, target, until)


async def _record(settings: PbxSettings, file: BinaryIO, until: asyncio.Event) -> int:
    written = 0
    failure: OSError | None = None
    connection: AmiConnection | None = None

    def write(data: bytes) -> None:
        nonlocal written, failure
        try:
            written += file.write(data)
        except OSError as error:
            failure = error
            if connection is not None:
                connection.end("the recording cannot be written")

    try:
        connection = await open_connection(settings, on_message=lambda *_: None, on_bytes=write)
        await connection.log_in(
            user=settings.events_user,
            secret=settings.events_secret.get_secret_value(),
            events=True,
            auth=settings.auth,
            timeout_s=settings.link.login_s,
        )
        await connection.stays_until(until)
    except Exception:
        if failure is not None:
            raise failure from None
        raise
    finally:
        if connection is not None:
            await connection.aclose()
    file.flush()
    if failure is not None:
        raise failure
    return written


@contextmanager
def _opened(source: str | Path | BinaryIO) -> Iterator[BinaryIO]:
    if source == "-":
        yield sys.stdin.buffer
    elif isinstance(source, str | Path):
        with Path(source).open("rb") as file:
            yield file
    else:
        yield source


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the bytes of a file, decompressed; stop where a compressed file is cut or damaged."""
    start = stream.read(len(_GZIP))
    if start != _GZIP:
        if start:
            yield start + stream.read(_CHUNK)
        while data := stream.read(_CHUNK):
            yield data
        return
    with gzip.GzipFile(fileobj=cast("BinaryIO", _Prepended(start, stream))) as unpacked:
        while True:
            try:
                data = unpacked.read1(_CHUNK)
            except (EOFError, zlib.error, gzip.BadGzipFile):
                return
            if not data:
                return
            yield data


class _Prepended:
    """A stream of which the first bytes were read already: standard input cannot go back."""

    def __init__(self, start: bytes, stream: BinaryIO) -> None:
        self._start = start
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        if self._start:
            start, self._start = self._start, b""
            if 0 <= size < len(start):
                start, self._start = start[:size], start[size:]
            return start
        return self._stream.read(size)


def _prepended(first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from chunks


def _raw_events(chunks: Iterator[bytes]) -> Iterator[AmiEvent]:
    framer = Framer(lenient=True)

    def messages() -> Iterator[bytes]:
        for chunk in chunks:
            yield from framer.feed(chunk)
        if last := framer.rest():
            yield last

    yield from events_of(messages())
    for _ in range(framer.oversized):
        yield Malformed(name="", reason="a message was too long")


def events_of(messages: Iterable[bytes]) -> Iterator[AmiEvent]:
    """Yield the events of messages as they came.

    Where the flight recorder (`cti.flight`) marked a new connection or a gap, they are what a
    consumer of `AmiSource` would have got there: the link lost, then all channels that there are.
    """
    listing = False
    for number, raw in enumerate(messages, 1):
        if raw.startswith(_MARK):
            if listing:
                listing = False
                yield SnapshotEnded(complete=False, seq=number)
            yield LinkLost(reason="something is missing in the recording", seq=number)
            if _NEW_SESSION in raw:
                listing = True
                yield SnapshotBegun(seq=number)
        elif listing and raw.startswith(_LISTED):
            listing = False
            yield SnapshotEnded(complete=True, seq=number)
        elif (event := decode(raw, number)) is not None:
            yield event


def _json_events(chunks: Iterator[bytes]) -> Iterator[AmiEvent]:
    for number, line in enumerate(_lines(chunks), 1):
        event: AmiEvent | None
        try:
            headers = json.loads(line.decode("utf-8-sig", "replace"))
        except (ValueError, RecursionError):
            event = Malformed(name="", reason="not a line of JSON", seq=number)
        else:
            if isinstance(headers, dict):
                event = decode_headers(headers, number)
            else:
                event = Malformed(name="", reason="not an object of headers", seq=number)
        if event is not None:
            yield event


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    tail = b""
    for chunk in chunks:
        *lines, tail = (tail + chunk).split(b"\n")
        yield from (line for line in lines if line.strip())
    if tail.strip():
        yield tail
