"""Takes what a PBX sends from the reader of the socket; a thread of its own writes it down.

The reader only appends to a bounded buffer: no lock, no copy, no waiting. The thread cuts whole
messages, compresses and writes them four times a second. When it cannot follow, all that comes is
dropped until half of the buffer is free; how much is counted, and written where it is missing. Only
what the PBX sends is recorded: the secret of the login is not in it.

Marks in the recording are messages of our own, `Event: SantralRecorder` with a `Mark`:

- `session`: a new connection begins; what the PBX did before is missing.
- `gap`: `Dropped` bytes are missing.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final, Self

from cti.ami.framing import MAX_MESSAGE
from cti.flight.shelf import END, Shelf
from cti.settings import RecorderSettings

log = logging.getLogger(__name__)

BUFFER: Final = 8 * 1024 * 1024
"""Bytes that may wait to be written: seconds of a very busy PBX."""
FLUSH_S: Final = 0.25
_WAKE: Final = 512 * 1024
"""Bytes with which the thread is woken before its time."""
_BATCH: Final = 256 * 1024
CLOSE_S: Final = 5.0
RETRY_S: Final = 10.0
"""How long nothing is tried after the disk said no."""

_SESSION: Final = -1
"""In the buffer: a new connection begins. Any other number: so many bytes were dropped."""


OnBytes = Callable[[bytes], None]


class FlightRecorder:
    """Records one PBX. `write` belongs to one thread, the reader's.

    Args:
        shelf: Where to.
        buffer_bytes: What may wait.
        flush_s: How often it is written: what a crash may lose.

    """

    def __init__(
        self, shelf: Shelf, *, buffer_bytes: int = BUFFER, flush_s: float = FLUSH_S
    ) -> None:
        self.dropped = 0
        """Bytes that were not recorded since the start."""
        self.failures = 0
        """How often the disk said no."""
        self._shelf = shelf
        self._limit = buffer_bytes
        self._flush_s = flush_s
        self._waiting: deque[bytes | int] = deque()
        # Each is written by one thread only, so that no lock is needed.
        self._put = 0
        self._taken = 0
        self._lost = 0
        self._losing = False
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="flight recorder", daemon=True)
        # Of the thread:
        self._tail = b""
        self._skipping = False
        self._unwritten = 0
        self._retry_at = 0.0

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what waits and end the thread. Idempotent. A disk that hangs is not waited for."""
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_S)

    # --- the reader -------------------------------------------------------------------------------

    def begin(self) -> OnBytes:
        """Begin a new connection, and return what takes its bytes."""
        self._waiting.append(_SESSION)
        return self.write

    def write(self, chunk: bytes) -> None:
        """Take bytes as they came. Never waits, never raises."""
        waiting = self._put - self._taken
        if self._losing:
            if waiting > self._limit // 2:
                self._lost += len(chunk)
                return
            self._losing = False
            self._mark_loss()
        elif waiting + len(chunk) > self._limit:
            self._losing = True
            self._lost += len(chunk)
            return
        self._put += len(chunk)
        self._waiting.append(chunk)
        if waiting > _WAKE and not self._wake.is_set():
            self._wake.set()

    def _mark_loss(self) -> None:
        lost, self._lost = self._lost, 0
        self.dropped += lost
        self._waiting.append(lost)

    # --- the thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        closing = False
        while not closing:
            self._wake.wait(self._flush_s)
            self._wake.clear()
            closing = self._closing
            if closing and self._lost:
                self._mark_loss()  # the reader is gone
            self._drain()
            self._on_shelf(self._shelf.close if closing else self._shelf.flush)

    def _drain(self) -> None:
        batch: list[bytes] = []
        size = 0
        while self._waiting:
            item = self._waiting.popleft()
            if isinstance(item, bytes):
                batch.append(item)
                size += len(item)
                if size < _BATCH:
                    continue
            self._store(b"".join(batch))
            self._taken += size
            batch, size = [], 0
            if isinstance(item, int):
                self._mark(item)
        self._store(b"".join(batch))
        self._taken += size

    def _store(self, chunk: bytes) -> None:
        """Write the whole messages; the rest waits for its end."""
        if not chunk:
            return
        chunk = self._tail + chunk
        self._tail = b""
        if self._skipping:
            start = chunk.find(END)
            if start < 0:
                self._tail = chunk[-len(END) :]
                return
            self._skipping = False
            chunk = chunk[start + len(END) :]
        end = chunk.rfind(END)
        whole, self._tail = (chunk[: end + 4], chunk[end + 4 :]) if end >= 0 else (b"", chunk)
        if whole:
            self._write(whole)
        if len(self._tail) > MAX_MESSAGE:
            self._missing(len(self._tail))

    def _mark(self, item: int) -> None:
        if item == _SESSION:
            self._tail = b""
            self._skipping = False
            self._write(_mark_message("session"))
        else:
            self._missing(item)

    def _missing(self, count: int) -> None:
        """Bytes are missing here: what is left of the messages around them means nothing."""
        self._tail = b""
        self._skipping = True
        log.warning(
            "the flight recorder could not follow: %d bytes are missing",
            count,
            extra={"action": "recorder_gap"},
        )
        self._write(_mark_message("gap", count))

    def _write(self, messages: bytes) -> None:
        if self._retry_at > time.monotonic():
            self._unwritten += len(messages)
            self.dropped += len(messages)
            return
        missed, self._unwritten = self._unwritten, 0
        if missed:
            messages = _mark_message("gap", missed) + messages
        if not self._on_shelf(lambda: self._shelf.write(messages)):
            self._unwritten += missed + len(messages)
            self.dropped += len(messages)

    def _on_shelf(self, do: Callable[[], None]) -> bool:
        """Do something with the disk; if it says no, try again later with a new segment."""
        try:
            do()
        except OSError as error:
            self.failures += 1
            self._retry_at = time.monotonic() + RETRY_S
            log.warning(
                "the flight recorder cannot write into %s: %s",
                self._shelf.directory,
                error.strerror or error,
                extra={"action": "recorder_failed"},
            )
            self._shelf.abandon()
            return False
        return True


@asynccontextmanager
async def recording(
    settings: RecorderSettings, directory: Path
) -> AsyncIterator[Callable[[], OnBytes] | None]:
    """Record while the block runs: gives what `AmiSource` calls for each new connection, if any."""
    if not settings.enabled:
        yield None
        return
    shelf = Shelf(directory, keep=timedelta(days=settings.days), max_bytes=settings.max_bytes)
    recorder = FlightRecorder(shelf)
    recorder.start()
    try:
        yield recorder.begin
    finally:
        await asyncio.shield(asyncio.to_thread(recorder.close))


def _mark_message(mark: str, dropped: int = 0) -> bytes:
    lines = ["Event: SantralRecorder", f"Timestamp: {time.time():.6f}", f"Mark: {mark}"]
    if dropped:
        lines.append(f"Dropped: {dropped}")
    return "\r\n".join(lines).encode() + END
