"""The files of the flight recorder: how they are written, dropped and read again.

A segment `20261124T210000.000000Z.ami.gz` holds what a PBX sent in one hour (or less, if it is
much), as gzip members that can be read one by one; each begins with a whole message. `zcat` prints
it, `santral replay` reads it. Beside it lies `….index`: a line of JSON for each member, with the
ids of the channels in it, grouped as they belong together, and `~` if it tells that something was
missed. The member that is being written has none yet: its messages are looked through instead, so a
crash makes nothing unfindable.
"""

from __future__ import annotations

import json
import logging
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final

from cti.flight.ids import Groups

log = logging.getLogger(__name__)

END: Final = b"\r\n\r\n"
"""Ends a message."""

SUFFIX: Final = ".ami.gz"
_NAME: Final = "%Y%m%dT%H%M%S.%fZ"
_MEMBER: Final = 1024 * 1024
"""Bytes before compression: more to read than needed for a call, or more members to look up."""
_PIECE: Final = 256 * 1024
"""Bytes before compression that are written without a look at the room that is left."""
_LARGEST: Final = 64 * 1024 * 1024
"""Bytes. A larger segment would take long to look through after a crash."""
_HEADER: Final = bytes.fromhex("1f8b0800000000000003")
"""How zlib begins each member."""

Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Member:
    """A piece of a segment that can be read alone."""

    path: Path
    start: int
    end: int | None
    """Where it ends in the file; None for the last one, which may be growing or cut."""

    def messages(self) -> Iterator[bytes]:
        """Yield its messages, without the empty line. A damaged rest is left out."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.start)
                raw = file.read(None if self.end is None else self.end - self.start)
        except FileNotFoundError:  # dropped meanwhile
            return
        yield from _split(b"".join(_unpacked(raw)))


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of the recording and its index."""

    path: Path

    @property
    def index(self) -> Path:
        """Where the ids are listed."""
        return self.path.with_name(self.path.name.removesuffix(SUFFIX) + ".index")

    @property
    def began(self) -> datetime:
        """When it was begun."""
        name = self.path.name.removesuffix(SUFFIX)
        return datetime.strptime(name, _NAME).replace(tzinfo=UTC)

    def size(self) -> int:
        """Bytes on disk, the index with them."""
        return sum(path.stat().st_size for path in (self.path, self.index) if path.exists())

    def members(self, wanted: Callable[[str], bool]) -> Iterator[tuple[Member, Iterable[set[str]]]]:
        """Yield each member and its groups of ids.

        Args:
            wanted: Looks at a line of the index before it is read: false skips the member.

        """
        end = 0
        try:
            lines = self.index.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            lines = []
        for line in lines:
            try:
                entry = json.loads(line)
                start, end = int(entry["from"]), int(entry["to"])
                groups = [set(map(str, group)) for group in entry["calls"]] if wanted(line) else []
            except (ValueError, KeyError, TypeError):  # cut by a crash: look through the rest
                break
            if groups:
                yield Member(self.path, start, end), groups
        last = Member(self.path, end, None)
        found = Groups()
        for message in last.messages():
            found.note(message)
        yield last, found

    def drop(self) -> None:
        """Delete it."""
        self.path.unlink(missing_ok=True)
        self.index.unlink(missing_ok=True)


def segments_in(directory: Path) -> list[Segment]:
    """Return what a directory holds, oldest first."""
    try:
        paths = sorted(path for path in directory.iterdir() if _is_name(path.name))
    except FileNotFoundError:
        return []
    return [Segment(path) for path in paths]


class Shelf:
    """The segments of one PBX in one directory: bounded in days and in bytes, oldest go first.

    Only one may write into a directory; any number may read.

    Args:
        directory: Made when the first segment is written, readable by us alone.
        keep: How long a segment stays.
        max_bytes: What all of them may take.

    """

    def __init__(
        self, directory: Path, *, keep: timedelta, max_bytes: int, clock: Clock = _now
    ) -> None:
        self.directory: Final = directory
        self._keep = keep
        self._max_bytes = max_bytes
        self._largest = min(_LARGEST, max_bytes // 16)
        self._clock = clock
        self._open: _Writer | None = None
        self._last_name = ""
        self._tidied: datetime | None = None

    def write(self, messages: bytes) -> None:
        """Add whole messages. They are safe from a crash of ours after `flush`.

        Raises:
            OSError: The disk says no. What was written before stays readable.

        """
        while messages:
            piece = messages[:_PIECE]
            if len(piece) < len(messages):
                cut = piece.rfind(END)
                if cut < 0:
                    cut = messages.find(END)
                piece = messages[: cut + len(END)] if cut >= 0 else messages
            self._writer().write(piece)
            messages = messages[len(piece) :]

    def flush(self) -> None:
        """Hand everything to the operating system, and see whether an hour is over.

        Raises:
            OSError: The disk says no.

        """
        if self._open is not None:
            self._open.flush()
        now = self._clock()
        if self._tidied is None or _hour(now) != _hour(self._tidied):
            self._close_segment()
            self._tidy(now)

    def close(self) -> None:
        """Finish the segment that is being written. Idempotent.

        Raises:
            OSError: The disk says no.

        """
        self._close_segment()

    def abandon(self) -> None:
        """Forget the segment that is being written, after an error."""
        writer, self._open = self._open, None
        if writer is not None:
            writer.abandon()

    def _writer(self) -> _Writer:
        now = self._clock()
        if self._open is not None and (
            self._open.size >= self._largest or _hour(now) != _hour(self._open.began)
        ):
            self._close_segment()
        if self._open is None:
            self._tidy(now)
            self._open = _Writer(self._next_segment(now), now)
        return self._open

    def _next_segment(self, now: datetime) -> Segment:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        latest = max(
            [self._last_name, *(segment.path.name for segment in segments_in(self.directory)[-1:])]
        )
        name = now.strftime(_NAME) + SUFFIX
        if latest and name <= latest:  # the clock went back
            then = Segment(self.directory / latest).began + timedelta(microseconds=1)
            name = then.strftime(_NAME) + SUFFIX
        self._last_name = name
        return Segment(self.directory / name)

    def _close_segment(self) -> None:
        writer, self._open = self._open, None
        if writer is not None:
            try:
                writer.close()
            except OSError:
                writer.abandon()
                raise

    def _tidy(self, now: datetime) -> None:
        """Drop what is too old, and as many of the oldest as a new segment needs room."""
        self._tidied = now
        segments = segments_in(self.directory)
        sizes = {segment: segment.size() for segment in segments}
        room = self._max_bytes - self._largest * 3 // 2  # with its index, and the last piece
        total = sum(sizes.values())
        for segment in segments:
            # An hour more: it was written to for so long.
            if total <= room and now - segment.began <= self._keep + timedelta(hours=1):
                break
            segment.drop()
            total -= sizes[segment]


class _Writer:
    """A segment that is being written."""

    def __init__(self, segment: Segment, began: datetime) -> None:
        self.segment = segment
        self.began = began
        self._file = _create(segment.path)
        try:
            self._index = _create(segment.index)
        except OSError:
            self._file.close()
            raise
        self._start = self._written = self._indexed = 0
        self._begin_member()

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._written + self._indexed

    def _begin_member(self) -> None:
        self._start = self._written
        self._packer = zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS | 16)
        self._groups = Groups()
        self._bytes = 0
        self._unflushed = False

    def write(self, messages: bytes) -> None:
        for message in messages.split(END):
            self._groups.note(message)
        self._put(self._packer.compress(messages))
        self._bytes += len(messages)
        self._unflushed = True
        if self._bytes >= _MEMBER:
            self._end_member()
            self._begin_member()

    def flush(self) -> None:
        if self._unflushed:
            # The window stays: small flushes compress as well as large ones.
            self._put(self._packer.flush(zlib.Z_SYNC_FLUSH))
            self._unflushed = False

    def close(self) -> None:
        if self._bytes:
            self._end_member()
        self._file.close()
        self._index.close()

    def abandon(self) -> None:
        self._file.close()
        self._index.close()

    def _put(self, packed: bytes) -> None:
        view = memoryview(packed)
        while view:
            count = self._file.write(view)
            self._written += count
            view = view[count:]

    def _end_member(self) -> None:
        self._put(self._packer.flush())
        entry = {
            "from": self._start,
            "to": self._written,
            "calls": [sorted(group) for group in self._groups],
        }
        line = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
        self._index.write(line)
        self._indexed += len(line)


def _create(path: Path) -> BinaryIO:
    # Unbuffered: what is written is the operating system's, whatever happens to us.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    return open(handle, "wb", buffering=0)  # noqa: PTH123 - a path could not say the mode


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _is_name(name: str) -> bool:
    try:
        datetime.strptime(name, _NAME + SUFFIX)  # noqa: DTZ007 - only its form is of interest
    except ValueError:
        return False
    return True


def _unpacked(raw: bytes) -> Iterator[bytes]:
    """Yield what gzip members hold; behind a damage it goes on with the next member."""
    start = 0
    while 0 <= start < len(raw):
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            yield unpacker.decompress(raw[start:] if start else raw)
        except zlib.error:
            start = raw.find(_HEADER, start + 1)
            yield END
            continue
        if not unpacker.eof:
            return
        start = len(raw) - len(unpacker.unused_data)


def _split(data: bytes) -> Iterator[bytes]:
    """Yield whole messages: what stands behind the last empty line was not written to its end."""
    messages = data.split(END)
    messages.pop()
    yield from (message for message in messages if message)
