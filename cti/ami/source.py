"""The events of one PBX, in order, with a picture of what exists after each connect.

What a consumer sees of a session:

    FullyBooted, SnapshotBegun, CoreShowChannel…, QueueParams…, DeviceStateChange…, SnapshotEnded,
    then every event since the login, in the order in which it came, then (perhaps) LinkLost.

Now and then the list of channels is asked for again, between AuditBegun and AuditEnded, with other
events among them: if all is well, it tells nothing new.

Asterisk answers the lists first and sends what had happened before afterwards, so events that came
while the lists were read are held back and follow them: nothing is missed, some things are told
twice, and a consumer takes them as such (`docs/ami-notes.md`, resynchronisation).

The reader of the socket only cuts, drops by name and queues; `received` decodes in the consumer's
own time. An inbox that is full means a consumer that cannot follow: the link is dropped, and taken
up again with a new picture when the inbox is empty enough.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final, NoReturn

from cti.ami.codec import decode, wanted
from cti.ami.events import (
    AmiEvent,
    AuditBegun,
    AuditEnded,
    LinkLost,
    SnapshotBegun,
    SnapshotEnded,
)
from cti.ami.framing import event_name
from cti.ami.link import Link, OnLinkState
from cti.ami.orders import AuditChannels, CoreShowChannels, DeviceStateList, Order, QueueStatus
from cti.ami.protocol import AmiConnection, OnBytes
from cti.errors import ActionFailed, PeerUnavailable
from cti.settings import PbxSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Received:
    """An event, where it came from, and when it left the socket."""

    pbx: str
    event: AmiEvent
    received_ns: int
    """By `time.monotonic_ns`."""


_Item = tuple[bytes | AmiEvent, int, int]
"""A message or an event of our own, its number in the stream, and when it came."""


class Inbox:
    """What came and waits for the consumer. One reader, one consumer, one event loop."""

    def __init__(self, capacity: int) -> None:
        self.capacity: Final = capacity
        self._half: Final = capacity // 2
        self._items: deque[_Item] = deque()
        self._changed = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._items)

    @property
    def is_full(self) -> bool:
        """Whether nothing more may be put in."""
        return len(self._items) >= self.capacity

    def put(self, item: _Item) -> None:
        """Add an item. It is up to the caller to look whether there is room."""
        if not self._items:
            self._changed.set()
        self._items.append(item)
        if len(self._items) > self._half:
            self._drained.clear()

    def close(self) -> None:
        """Let the consumer come to an end once it has taken everything."""
        self._closed = True
        self._changed.set()

    async def get(self) -> _Item | None:
        """Wait for the next item; None when there will be none."""
        while not self._items:
            if self._closed:
                return None
            self._changed.clear()
            await self._changed.wait()
        item = self._items.popleft()
        if len(self._items) == self._half:
            self._drained.set()
        return item

    async def drained(self) -> None:
        """Wait until it is at most half full."""
        await self._drained.wait()


class AmiSource(Link):
    """Hears one PBX: `run` keeps the link, `received` gives the events to the one consumer.

    Args:
        settings: The PBX.
        on_state: As for every `Link`.
        recording: Called for each new connection; what it returns gets every byte of it.

    """

    session = "events"
    wants_events = True

    def __init__(
        self,
        settings: PbxSettings,
        *,
        on_state: OnLinkState | None = None,
        recording: Callable[[], OnBytes] | None = None,
    ) -> None:
        super().__init__(settings, on_state=on_state)
        self._recording = recording
        self.inbox: Final = Inbox(settings.inbox_size)
        self.overflows = 0
        """How often the link was dropped because the consumer could not follow."""
        self._held: list[_Item] | None = None
        """Events that wait for the end of the lists; None when they go straight to the inbox."""
        self._booted = asyncio.Event()
        self._shutdown = False
        self._audit_is_due = False

    async def run(self) -> NoReturn:
        """Keep the link until cancelled; then `received` ends when it has given everything."""
        try:
            await super().run()
        finally:
            self.inbox.close()

    async def received(self) -> AsyncIterator[Received]:
        """Yield each event of interest, decoded, in order. For one consumer."""
        while (item := await self.inbox.get()) is not None:
            message, number, received_ns = item
            event = decode(message, number) if isinstance(message, bytes) else message
            if event is not None:
                yield Received(self.settings.name, event, received_ns)

    # --- the session ---

    def _credentials(self) -> tuple[str, str]:
        return self.settings.events_user, self.settings.events_secret.get_secret_value()

    def _listener(self) -> OnBytes | None:
        return None if self._recording is None else self._recording()

    async def _one_session(self) -> NoReturn:
        self._held = []
        self._booted.clear()
        self._shutdown = False
        await super()._one_session()

    async def _before_retry(self, delay: float) -> None:
        await super()._before_retry(delay)
        await self.inbox.drained()

    async def _serve(self, connection: AmiConnection) -> NoReturn:
        try:
            async with asyncio.timeout(self.settings.link.booted_s):
                while not self._booted.is_set():
                    await self._watch(connection)
        except TimeoutError:
            log.warning(
                "%s: no FullyBooted within %g s: still starting, or the user lacks read=system",
                self.settings.name,
                self.settings.link.booted_s,
                extra={"action": "pbx_not_booted", "pbx": self.settings.name},
            )
        while True:
            self._booted.clear()
            await self._take_snapshot(connection)
            self._up()
            await self._go_on(connection)
            # It has booted only now: what was listed before means nothing.

    async def _go_on(self, connection: AmiConnection) -> None:
        """Watch the session, with an audit now and then, until the PBX says that it has booted."""
        loop = asyncio.get_running_loop()
        every = self.settings.link.audit_every_s
        timer = loop.call_later(every, self._ask_for_audit)
        try:
            while not self._booted.is_set():
                if self._shutdown:
                    await self._go_down(connection)
                if self._audit_is_due:
                    await self._take_audit(connection)
                    timer = loop.call_later(every, self._ask_for_audit)
                await self._watch(connection)
        finally:
            self._audit_is_due = False
            timer.cancel()

    def _ask_for_audit(self) -> None:
        self._audit_is_due = True
        self._wake.set()

    async def _take_audit(self, connection: AmiConnection) -> None:
        self._audit_is_due = False
        self._put_own(AuditBegun())
        complete = False
        try:
            complete = await self._list(connection, AuditChannels())
        finally:
            self._put_own(AuditEnded(complete=complete))

    def _lost(self, reason: str) -> None:
        self._release()
        self._emit(LinkLost(reason=reason))

    async def _take_snapshot(self, connection: AmiConnection) -> None:
        if self._held is None:
            self._held = []
        self._emit(SnapshotBegun())
        complete = False
        try:
            complete = await self._list(connection, CoreShowChannels())
            complete = await self._list(connection, QueueStatus()) and complete
            await self._list(connection, DeviceStateList())
        except PeerUnavailable:
            complete = False
            raise
        finally:
            self._emit(SnapshotEnded(complete=complete))
            self._release()

    async def _list(self, connection: AmiConnection, order: Order) -> bool:
        try:
            await connection.list(order, self._take_item, timeout_s=self.settings.link.list_s)
        except ActionFailed as error:
            log.warning(
                "%s: %s",
                self.settings.name,
                error,
                extra={"action": "pbx_list_failed", "pbx": self.settings.name},
            )
            # A PBX without app_queue has no such list, and no queues.
            return "unknown command" in str(error).lower()
        return True

    async def _go_down(self, connection: AmiConnection) -> NoReturn:
        """Give a PBX that says it shuts down the time to close the connection itself."""
        try:
            async with asyncio.timeout(self.settings.link.ping_answer_s):
                await asyncio.shield(connection.stream.lost)
        except TimeoutError:
            connection.end("the PBX shut down")
        raise PeerUnavailable("the PBX shut down")

    # --- the reader ---

    def _take(self, raw: bytes, number: int, received_ns: int) -> None:
        if not wanted(raw):
            return
        name = event_name(raw)
        if name in _MILESTONES:
            self._milestone(name, raw, number, received_ns)
        elif name not in _ONLY_IN_LISTS:  # a late item of a list that nobody waits for any more
            self._queue((raw, number, received_ns))

    def _take_item(self, raw: bytes, number: int, received_ns: int) -> None:
        if wanted(raw):
            self._put((raw, number, received_ns))

    def _milestone(self, name: bytes, raw: bytes, number: int, received_ns: int) -> None:
        self._put((raw, number, received_ns))
        if name == b"FullyBooted":
            self._booted.set()
        else:
            self._shutdown = True
        self._wake.set()

    def _queue(self, item: _Item) -> None:
        if self._held is None:
            self._put(item)
        elif len(self.inbox) + len(self._held) < self.inbox.capacity:
            self._held.append(item)
        else:
            self._overflow()

    def _put(self, item: _Item) -> None:
        if self.inbox.is_full:
            self._overflow()
        else:
            self.inbox.put(item)

    def _overflow(self) -> None:
        self.overflows += 1
        if self._connection is not None:
            self._connection.end("the inbox is full")

    def _release(self) -> None:
        held, self._held = self._held, None
        for item in held or ():
            self.inbox.put(item)

    def _put_own(self, event: AmiEvent) -> None:
        self._put((event, 0, time.monotonic_ns()))

    def _emit(self, event: AmiEvent) -> None:
        self.inbox.put((event, 0, time.monotonic_ns()))


_ONLY_IN_LISTS: Final = frozenset(
    {b"CoreShowChannel", b"QueueParams", b"QueueMember", b"QueueEntry"}
)
_MILESTONES: Final = frozenset({b"FullyBooted", b"Shutdown"})
