"""Record what Asterisk says on the manager interface: the bytes as they came, from the login on.

The trace is what `santral record` writes. A session of our own runs beside it, to wait for what
happens; where a story gives orders in that session, its bytes are the trace, since answers to
orders come only there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from io import BytesIO
from typing import TYPE_CHECKING

from pydantic import SecretStr

from cti.ami.traces import record_stream
from cti.settings import PbxSettings
from tests.lab.processes import LabError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

Message = dict[str, str]
"""The headers of one AMI message, first value wins: good enough to wait for something."""

QUIET_SECONDS = 0.4
"""A trace ends when no byte came for so long after the last channel is gone."""


class _Trace(BytesIO):
    """The file that `santral record` writes; says when the answer to its login is in it."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()

    def write(self, data: ReadableBuffer) -> int:
        written = super().write(data)
        if not self.begun.is_set() and b"FullyBooted" in self.getvalue():
            self.begun.set()
        return written


class Recording:
    """A running record of what one Asterisk says."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._pending = b""
        self._changed = asyncio.Condition()
        self._failed = False
        self.heard = b""
        """All bytes of our own session."""
        self.recorded = _Trace()
        """What `santral record` writes meanwhile."""
        self.orders = 0
        """Orders that the story gave."""
        self.messages: list[Message] = []
        self.channels: set[str] = set()
        """Names of the channels that exist now."""

    @property
    def stream(self) -> bytes:
        """The trace."""
        return self.heard if self.orders else self.recorded.getvalue()

    async def until(self, reached: Callable[[], bool], what: str, seconds: float = 10.0) -> None:
        """Wait for a condition that only AMI messages can make true."""
        async with self._changed:
            try:
                await asyncio.wait_for(
                    self._changed.wait_for(lambda: self._failed or reached()), seconds
                )
            except TimeoutError:
                raise LabError(f"waited {seconds} s in vain for {what}") from None
        if not reached():
            raise LabError(f"the AMI session ended while waiting for {what}")

    async def event(self, name: str, seconds: float = 10.0, **headers: str) -> Message:
        """Wait until an event with these headers has come (also if it came already)."""

        def found() -> Message | None:
            for message in self.messages:
                if message.get("Event") == name and headers.items() <= message.items():
                    return message
            return None

        await self.until(lambda: found() is not None, f"{name} {headers}", seconds)
        message = found()
        assert message is not None
        return message

    def count(self, name: str, **headers: str) -> int:
        """Return how many such events have come."""
        return sum(
            message.get("Event") == name and headers.items() <= message.items()
            for message in self.messages
        )

    async def send(self, *headers: str) -> None:
        """Give an order; only its answer is recorded."""
        self.orders += 1
        await self.write(*headers)

    async def write(self, *headers: str) -> None:
        """Send an action."""
        self._writer.write("".join(f"{header}\r\n" for header in headers).encode() + b"\r\n")
        await self._writer.drain()

    async def silence(self, seconds: float = 15.0) -> None:
        """Wait until no channel is left and Asterisk has nothing more to say."""
        await self.until(lambda: not self.channels, "the last channel to go", seconds)
        length = -1
        while length != len(self.heard):
            length = len(self.heard)
            async with self._changed:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), QUIET_SECONDS)

    async def read(self) -> None:
        """Take in what Asterisk sends until the connection or the task ends."""
        try:
            while chunk := await self._reader.read(65536):
                async with self._changed:
                    self.heard += chunk
                    self._parse(chunk)
                    self._changed.notify_all()
        finally:
            self._failed = True
            async with self._changed:
                self._changed.notify_all()

    def _parse(self, chunk: bytes) -> None:
        *complete, self._pending = (self._pending + chunk).split(b"\r\n\r\n")
        for raw in complete:
            message: Message = {}
            for line in raw.decode(errors="replace").split("\r\n"):
                key, separator, value = line.partition(":")
                if separator:
                    message.setdefault(key, value.strip())
            self.messages.append(message)
            if message.get("Event") == "Newchannel":
                self.channels.add(message["Channel"])
            elif message.get("Event") == "Hangup":
                self.channels.discard(message["Channel"])


@asynccontextmanager
async def record(port: int, user: str, secret: str) -> AsyncIterator[Recording]:
    """Log in and record until the block ends. Yields once Asterisk has said FullyBooted."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    recording = Recording(reader, writer)
    settings = PbxSettings(name="lab", port=port, events_user=user, events_secret=SecretStr(secret))
    ended = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(recording.read(), name="ami session")
        try:
            # The record begins first: it holds all that the story's own session hears.
            tasks.create_task(
                record_stream(settings, recording.recorded, ended), name="santral record"
            )
            async with asyncio.timeout(10):
                await recording.recorded.begun.wait()
            await recording.write("Action: Login", f"Username: {user}", f"Secret: {secret}")
            await recording.event("FullyBooted")
            yield recording
        finally:
            ended.set()
            reading.cancel()
            writer.close()
