"""The board of one PBX: who waits in which queue since when, who can answer, who is paused.

Pure, like the tracker: feed it the same events. It keeps what Asterisk says of queues and devices;
who the callers and agents are is for others to add.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from cti.ami.events import (
    AmiEvent,
    AttendedTransfer,
    DeviceStateChange,
    Hangup,
    QueueCallerJoin,
    QueueCallerLeave,
    QueueEntry,
    QueueMember,
    QueueParams,
    SnapshotBegun,
    SnapshotEnded,
    Uniqueid,
)
from cti.tracker import EndpointRules

Time = float | None


class PhoneState(StrEnum):
    """What a phone, or a queue's member, is doing."""

    IDLE = "idle"
    RINGING = "ringing"
    IN_USE = "in_use"
    ON_HOLD = "on_hold"
    PAUSED = "paused"
    """Idle, but takes no calls of queues."""
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingCaller:
    """A caller in a queue."""

    uniqueid: Uniqueid
    position: int
    since: Time
    number: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberNow:
    """A device that a queue can ring."""

    interface: str
    """As the queue calls it: `Local/1001@from-queue/n`."""
    endpoint: str
    """The phone behind it: `PJSIP/1001`."""
    name: str
    state: PhoneState
    since: Time
    """When it began to be in this state, as far as we know."""
    paused: bool = False
    reason: str = ""
    """Why it is paused."""
    penalty: int = 0
    calls_taken: int = 0
    wrapup_until: Time = None
    """Until when the queue leaves it alone after its last call; may be past."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueNow:
    """A queue as it stands."""

    name: str
    strategy: str = ""
    entries: tuple[WaitingCaller, ...] = ()
    """First in line first."""
    members: tuple[MemberNow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneNow:
    """A phone as it stands."""

    endpoint: str
    state: PhoneState
    since: Time
    reason: str = ""
    """Why it is paused."""
    queues: tuple[str, ...] = ()
    """The queues that can ring it."""


@dataclass(frozen=True, slots=True)
class BoardChange:
    """What an event changed. False when nothing."""

    queues: frozenset[str] = frozenset()
    endpoints: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.queues or self.endpoints)


NOTHING: Final = BoardChange()

_STATES: Final = {
    0: PhoneState.IDLE,  # unknown: queues ring it all the same
    1: PhoneState.IDLE,
    2: PhoneState.IN_USE,
    3: PhoneState.IN_USE,
    4: PhoneState.UNAVAILABLE,
    5: PhoneState.UNAVAILABLE,
    6: PhoneState.RINGING,
    7: PhoneState.RINGING,
    8: PhoneState.ON_HOLD,
}
"""Device states as numbers (`include/asterisk/devicestate.h`)."""

_DEVICE_STATES: Final = {
    "UNKNOWN": PhoneState.IDLE,
    "NOT_INUSE": PhoneState.IDLE,
    "INUSE": PhoneState.IN_USE,
    "BUSY": PhoneState.IN_USE,
    "INVALID": PhoneState.UNAVAILABLE,
    "UNAVAILABLE": PhoneState.UNAVAILABLE,
    "RINGING": PhoneState.RINGING,
    "RINGINUSE": PhoneState.RINGING,
    "ONHOLD": PhoneState.ON_HOLD,
}

_TECHNOLOGY: Final = "PJSIP"
"""Of a phone of which only the number is known."""


class _Member:
    __slots__ = ("endpoint", "event", "since", "state")

    def __init__(self, event: QueueMember, endpoint: str) -> None:
        self.event = event
        self.endpoint = endpoint
        self.state = _state_of(event)
        self.since: Time = None

    def freeze(self) -> MemberNow:
        event = self.event
        return MemberNow(
            interface=event.interface,
            endpoint=self.endpoint,
            name=event.member,
            state=self.state,
            since=self.since,
            paused=event.paused,
            reason=event.paused_reason if event.paused else "",
            penalty=event.penalty,
            calls_taken=event.calls_taken,
            wrapup_until=(
                event.last_call + event.wrapup_s if event.wrapup_s and event.last_call else None
            ),
        )


class _Entry:
    __slots__ = ("name", "number", "position", "since", "uniqueid")

    def __init__(
        self, uniqueid: Uniqueid, position: int, since: Time, number: str, name: str
    ) -> None:
        self.uniqueid = uniqueid
        self.position = position
        self.since = since
        self.number = number
        self.name = name

    def freeze(self) -> WaitingCaller:
        return WaitingCaller(
            uniqueid=self.uniqueid,
            position=self.position,
            since=self.since,
            number=self.number,
            name=self.name,
        )


class _Queue:
    __slots__ = ("entries", "members", "name", "strategy")

    def __init__(self, name: str) -> None:
        self.name = name
        self.strategy = ""
        self.entries: dict[str, _Entry] = {}
        self.members: dict[str, _Member] = {}


class _Phone:
    __slots__ = ("since", "state")

    def __init__(self, state: PhoneState, since: Time) -> None:
        self.state = state
        self.since = since


class QueueBoard:
    """Follows the queues, members and phones of one PBX. Never raises, whatever events say.

    Args:
        pbx: The PBX's name.
        endpoints: Which endpoints are phones.

    """

    def __init__(self, pbx: str, endpoints: EndpointRules | None = None) -> None:
        self.pbx = pbx
        self._rules = endpoints or EndpointRules()
        self._queues: dict[str, _Queue] = {}
        self._phones: dict[str, _Phone] = {}
        self._by_number: dict[str, str] = {}
        """The phone of each number: of a member like `Local/1001@…` only the number is known."""
        self._now: Time = None
        self._listed: set[tuple[str, str]] | None = None
        """While a snapshot comes in: what it lists, and what events spoke of since."""
        self._any_queue_listed = False
        self._handlers: dict[type[AmiEvent], Callable[[Any], BoardChange]] = {
            QueueParams: self._queue_params,
            QueueMember: self._queue_member,
            QueueEntry: self._queue_entry,
            QueueCallerJoin: self._caller_join,
            QueueCallerLeave: self._caller_leave,
            AttendedTransfer: self._attended_transfer,
            Hangup: self._hangup,
            DeviceStateChange: self._device_state_change,
            SnapshotBegun: self._snapshot_begun,
            SnapshotEnded: self._snapshot_ended,
        }

    def handle(self, event: AmiEvent) -> BoardChange:
        """Take an event and return which queues and phones it changed."""
        handler = self._handlers.get(type(event))
        if handler is None:
            return NOTHING
        if event.at is not None:
            self._now = event.at
        return handler(event)

    # --- what it shows ----------------------------------------------------------------------------

    def queues(self) -> list[QueueNow]:
        """Return all queues, by name."""
        return [self._freeze(self._queues[name]) for name in sorted(self._queues)]

    def queue(self, name: str) -> QueueNow | None:
        """Return one queue, None if there is none of this name."""
        queue = self._queues.get(name)
        return None if queue is None else self._freeze(queue)

    def phones(self) -> list[PhoneNow]:
        """Return all phones that the PBX spoke of, or that a queue can ring."""
        known = dict.fromkeys(self._phones)
        known.update(dict.fromkeys(member.endpoint for _, member in self._members()))
        return [phone for name in sorted(known) if (phone := self.phone(name)) is not None]

    def phone(self, endpoint: str) -> PhoneNow | None:
        """Return what a phone is doing, None if nothing is known of it."""
        members = [
            (name, member) for name, member in self._members() if member.endpoint == endpoint
        ]
        phone = self._phones.get(endpoint)
        if phone is None and not members:
            return None
        state = phone.state if phone is not None else _device_state(members[0][1].event)
        since = phone.since if phone is not None else members[0][1].since
        paused = [member for _, member in members if member.event.paused]
        reason = ""
        if paused and len(paused) == len(members) and state is PhoneState.IDLE:
            state, since = PhoneState.PAUSED, paused[0].since
            reason = next((m.event.paused_reason for m in paused if m.event.paused_reason), "")
        return PhoneNow(
            endpoint=endpoint,
            state=state,
            since=since,
            reason=reason,
            queues=tuple(sorted({name for name, _ in members})),
        )

    def _freeze(self, queue: _Queue) -> QueueNow:
        entries = sorted(queue.entries.values(), key=lambda entry: entry.position)
        members = sorted(queue.members.values(), key=lambda member: member.event.interface)
        return QueueNow(
            name=queue.name,
            strategy=queue.strategy,
            entries=tuple(entry.freeze() for entry in entries),
            members=tuple(member.freeze() for member in members),
        )

    def _members(self) -> Iterator[tuple[str, _Member]]:
        for queue in self._queues.values():
            for member in queue.members.values():
                yield queue.name, member

    # --- callers ----------------------------------------------------------------------------------

    def _caller_join(self, event: QueueCallerJoin) -> BoardChange:
        queue = self._queue(event.queue)
        caller = event.channel
        self._spoken_of(event.queue, caller.uniqueid)
        if caller.uniqueid in queue.entries:
            return NOTHING
        position = event.position or len(queue.entries) + 1
        for entry in queue.entries.values():
            if entry.position >= position:
                entry.position += 1
        queue.entries[caller.uniqueid] = _Entry(
            caller.uniqueid, position, self._now, caller.caller_number, caller.caller_name
        )
        return BoardChange(queues=frozenset({event.queue}))

    def _caller_leave(self, event: QueueCallerLeave) -> BoardChange:
        queue = self._queues.get(event.queue)
        if queue is None or not self._drop(queue, event.channel.uniqueid):
            return NOTHING
        return BoardChange(queues=frozenset({event.queue}))

    def _hangup(self, event: Hangup) -> BoardChange:
        uniqueid = event.channel.uniqueid
        left = [queue.name for queue in self._queues.values() if uniqueid in queue.entries]
        for name in left:
            self._drop(self._queues[name], uniqueid)
        return BoardChange(queues=frozenset(left)) if left else NOTHING

    def _attended_transfer(self, event: AttendedTransfer) -> BoardChange:
        """Give the transferer's place in the queue to the customer (a blonde transfer to it)."""
        if event.result != "Success" or event.transferee is None:
            return NOTHING
        changed = set()
        heir = event.transferee
        for queue in self._queues.values():
            entry = queue.entries.pop(event.second_transferer.uniqueid, None)
            if entry is not None:
                entry.uniqueid = heir.uniqueid
                entry.number, entry.name = heir.caller_number, heir.caller_name
                queue.entries[heir.uniqueid] = entry
                self._spoken_of(queue.name, heir.uniqueid)
                changed.add(queue.name)
        return BoardChange(queues=frozenset(changed)) if changed else NOTHING

    def _drop(self, queue: _Queue, uniqueid: str) -> bool:
        gone = queue.entries.pop(uniqueid, None)
        if gone is None:
            return False
        for entry in queue.entries.values():
            if entry.position > gone.position:
                entry.position -= 1
        return True

    def _queue_entry(self, event: QueueEntry) -> BoardChange:
        queue = self._queue(event.queue)
        self._spoken_of(event.queue, event.uniqueid)
        entry = queue.entries.get(event.uniqueid)
        if entry is None:
            since = None if self._now is None else self._now - event.wait_s
            queue.entries[event.uniqueid] = _Entry(
                event.uniqueid, event.position, since, event.caller_number, event.caller_name
            )
        elif entry.position != event.position:
            entry.position = event.position
        else:
            return NOTHING
        return BoardChange(queues=frozenset({event.queue}))

    # --- queues and members -----------------------------------------------------------------------

    def _queue_params(self, event: QueueParams) -> BoardChange:
        new = event.queue not in self._queues
        queue = self._queue(event.queue)
        self._spoken_of(event.queue, "")
        self._any_queue_listed = True
        if not new and queue.strategy == event.strategy:
            return NOTHING
        queue.strategy = event.strategy
        return BoardChange(queues=frozenset({event.queue}))

    def _queue_member(self, event: QueueMember) -> BoardChange:
        queue = self._queue(event.queue)
        self._spoken_of(event.queue, f"member {event.interface}")
        known = queue.members.get(event.interface)
        if event.kind == "removed":
            if known is None:
                return NOTHING
            del queue.members[event.interface]
            return self._member_changed(event.queue, known)
        member = _Member(event, self._phone_behind(event))
        if known is None:
            member.since = _since_of(event)
        elif known.state is member.state:
            member.since = known.since
            if known.freeze() == member.freeze():
                known.event = event
                return NOTHING
        else:
            member.since = self._now
        queue.members[event.interface] = member
        return self._member_changed(event.queue, member)

    def _member_changed(self, queue: str, member: _Member) -> BoardChange:
        return BoardChange(queues=frozenset({queue}), endpoints=frozenset({member.endpoint}))

    def _phone_behind(self, event: QueueMember) -> str:
        """Find the phone that rings when the queue rings a member.

        `PJSIP/1001` is one; of `Local/1001@from-queue/n`, `hint:1001@from-internal` or
        `Agent/1001` the number leads to it.
        """
        interface = event.interface.removesuffix("/n")
        if self._rules.is_phone(interface) and not interface.startswith("Agent/"):
            return interface
        for name in (event.state_interface, interface):
            if self._rules.is_phone(name) and not name.startswith("Agent/"):
                return name
            number = _number_in(name)
            if number:
                return self._by_number.get(number, f"{_TECHNOLOGY}/{number}")
        return event.interface

    def _device_state_change(self, event: DeviceStateChange) -> BoardChange:
        state = _DEVICE_STATES.get(event.state)
        if state is None or not self._rules.is_phone(event.device):
            return NOTHING
        self._by_number[event.device.partition("/")[2]] = event.device
        phone = self._phones.get(event.device)
        if phone is None:
            self._phones[event.device] = _Phone(state, event.at)
        elif phone.state is state:
            return NOTHING
        else:
            phone.state, phone.since = state, self._now
        return BoardChange(endpoints=frozenset({event.device}))

    # --- lists ------------------------------------------------------------------------------------

    def _snapshot_begun(self, event: SnapshotBegun) -> BoardChange:  # noqa: ARG002
        self._listed = set()
        self._any_queue_listed = False
        return NOTHING

    def _snapshot_ended(self, event: SnapshotEnded) -> BoardChange:
        """Drop what the list does not have and no event spoke of since it began."""
        listed, self._listed = self._listed, None
        if listed is None or not event.complete or not self._any_queue_listed:
            return NOTHING
        queues: set[str] = set()
        endpoints: set[str] = set()
        for name, queue in list(self._queues.items()):
            for uniqueid in [one for one in queue.entries if (name, one) not in listed]:
                self._drop(queue, uniqueid)
                queues.add(name)
            for interface, member in list(queue.members.items()):
                if (name, f"member {interface}") not in listed:
                    del queue.members[interface]
                    queues.add(name)
                    endpoints.add(member.endpoint)
            if (name, "") not in listed and not queue.entries and not queue.members:
                del self._queues[name]
                queues.add(name)
        return BoardChange(queues=frozenset(queues), endpoints=frozenset(endpoints))

    def _spoken_of(self, queue: str, what: str) -> None:
        if self._listed is not None:
            self._listed.add((queue, what))

    def _queue(self, name: str) -> _Queue:
        queue = self._queues.get(name)
        if queue is None:
            queue = self._queues[name] = _Queue(name)
        return queue


def _device_state(event: QueueMember) -> PhoneState:
    return _STATES.get(event.status, PhoneState.UNAVAILABLE)


def _state_of(event: QueueMember) -> PhoneState:
    state = _device_state(event)
    return PhoneState.PAUSED if event.paused and state is PhoneState.IDLE else state


def _since_of(event: QueueMember) -> Time:
    """Since when a member whom we see for the first time is what it is, as Asterisk tells."""
    if event.kind != "listed":
        return event.at
    if event.paused:
        return event.last_pause or None
    return (event.last_call or None) if event.status == 1 else None


def _number_in(name: str) -> str:
    """Return `1001` for `Local/1001@from-queue`, `hint:1001@from-internal` and `Agent/1001`."""
    if name.startswith("hint:"):
        number = name[5:]
    elif name.startswith(("Local/", "Agent/")):
        number = name[6:]
    else:
        return ""
    number = number.partition("@")[0]
    return number if number.isdecimal() else ""
