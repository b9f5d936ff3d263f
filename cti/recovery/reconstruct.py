"""What a PBX's records say of a call: which are of one call, and how it went. Pure.

What must be known to read them (each seen on the lab's Asterisk 22, `tests/cti/test_recovery.py`):

- One call is several rows: one for each phone that a ring group or a queue rings, for each half of
  a Local channel, for each hand-over.
- `ANSWERED` alone says nothing: a caller whose time in the queue was over has such a row, because
  the dialplan had answered. People talked where the row has a second channel, and that leads,
  through Local halves if need be, to a real one.
- `answer` is when party A was answered, be it by the dialplan: it is the beginning of a talk only
  where the row begins noticeably earlier. Else only `queue_log` knows.
- A row does not tell an abandoned call from one that the dialplan took out of the queue; but what
  the dialplan did after that is another row, and `queue_log` says it outright.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cti.ami.events import Uniqueid
from cti.model import (
    Call,
    CallDirection,
    CallerId,
    CallId,
    CallOutcome,
    Leg,
    LegResult,
    LegRole,
)
from cti.recovery.cdr import epoch_of
from cti.recovery.records import CdrRow, CelRow, QueueRow, Records
from cti.tracker.endpoints import EndpointRules, endpoint_of, is_internal_number, is_somebody

ANSWERED: Final = "ANSWERED"
TOUCHES_S: Final = 2.0
"""Names of channels come again after a restart: rows that share one are of one call only when they
are no farther apart than this."""
RANG_S: Final = 1.0
"""Who was answered sooner than this after the row's begin was perhaps answered by the dialplan."""

_SERVED: Final = frozenset({"CONNECT", "COMPLETECALLER", "COMPLETEAGENT"})
_HANDED_ON: Final = frozenset({"TRANSFER", "BLINDTRANSFER", "ATTENDEDTRANSFER"})
_COMPLETED: Final = frozenset({"COMPLETECALLER", "COMPLETEAGENT"})
_WAITED: Final = {
    "CONNECT": 0,
    "ABANDON": 2,
    "EXITWITHTIMEOUT": 2,
    "EXITEMPTY": 2,
    "EXITWITHKEY": 3,
    "COMPLETECALLER": 0,
    "COMPLETEAGENT": 0,
}
"""Which argument says how long the caller had waited."""
_RESULTS: Final = {
    "NO ANSWER": LegResult.NO_ANSWER,
    "BUSY": LegResult.BUSY,
    "FAILED": LegResult.FAILED,
    "CONGESTION": LegResult.FAILED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecords:
    """All records of one call, the earliest first."""

    cdr: tuple[CdrRow, ...]
    queue: tuple[QueueRow, ...]
    cel: tuple[CelRow, ...] = ()

    @property
    def ids(self) -> frozenset[str]:
        """Every Uniqueid and linkedid in it."""
        found = {row.uniqueid for row in self.cdr} | {row.linkedid for row in self.cdr}
        return frozenset((found | {row.callid for row in self.queue}) - {""})

    @property
    def started_at(self) -> float:
        """When it began, as far as these records go."""
        if self.cdr and self.cel and self.cel[0].event == "CHAN_START":
            return self.cel[0].at
        if self.cdr:
            return min(row.start for row in self.cdr)
        return min(epoch_of(row.callid) or row.at for row in self.queue)

    @property
    def ended_at(self) -> float:
        """When the last of it was over."""
        if self.cdr and self.cel and self.cel[-1].event == "CHAN_END":
            return self.cel[-1].at
        if self.cdr:
            return max(row.end for row in self.cdr)
        return max(row.at for row in self.queue)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconstruction:
    """A call as the records have it."""

    call: Call
    """`ended`, and with an outcome. What the records do not tell is None."""
    ids: frozenset[str]
    source: str
    """`cdr`, `queue_log` or `cdr+queue_log`; with CEL `cdr+cel` or `cdr+cel+queue_log`."""


# --- which records are of one call ----------------------------------------------------------------


def by_call(records: Records) -> list[CallRecords]:
    """Put together what belongs together: by linkedid, Uniqueid, or a common channel."""
    cdr = sorted(set(records.cdr), key=lambda row: (row.start, row.sequence))
    groups = _Groups()
    named: dict[str, tuple[float, str]] = {}
    for index, row in enumerate(cdr):
        this = f"row {index}"
        groups.join(this, f"id {row.uniqueid}")
        if row.linkedid:
            groups.join(this, f"id {row.linkedid}")
        for name in (row.channel, row.dstchannel):
            if not name:
                continue
            key = _pair(name)
            if key in named and row.start <= named[key][0] + TOUCHES_S:
                groups.join(this, named[key][1])
                named[key] = max(named[key][0], row.end), this
            else:
                named[key] = row.end, this
    rows: dict[str, list[CdrRow]] = {}
    for index, row in enumerate(cdr):
        rows.setdefault(groups.of(f"row {index}"), []).append(row)
    lines: dict[str, list[QueueRow]] = {}
    for line in sorted(dict.fromkeys(records.queue), key=_when):
        lines.setdefault(groups.of(f"id {line.callid}"), []).append(line)
    events: dict[str, list[CelRow]] = {}
    for event in sorted(dict.fromkeys(records.cel), key=lambda event: event.at):
        name = event.linkedid or event.uniqueid
        events.setdefault(groups.of(f"id {name}"), []).append(event)
    return [
        CallRecords(
            cdr=tuple(rows.get(group, ())),
            queue=tuple(lines.get(group, ())),
            cel=tuple(events.get(group, ())),
        )
        for group in dict.fromkeys([*rows, *lines])
    ]


_FIRST: Final = frozenset({"ENTERQUEUE", "RINGNOANSWER", "RINGCANCELED"})


def _when(line: QueueRow) -> tuple[float, int]:
    """Sort lines of one second as they happen; those of one kind stay as they are in the file."""
    return line.at, 0 if line.event in _FIRST else 1


class _Groups:
    """Union-find over names."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}

    def of(self, name: str) -> str:
        """The group's own name."""
        root = name
        while (parent := self._parents.get(root, root)) != root:
            root = parent
        while (parent := self._parents.get(name, name)) != root:
            self._parents[name] = root
            name = parent
        return root

    def join(self, one: str, other: str) -> None:
        """Make two groups one."""
        self._parents[self.of(other)] = self.of(one)


def _pair(channel: str) -> str:
    """The name that both halves of a Local channel share; any other channel's own."""
    return channel[:-2] if channel.endswith((";1", ";2")) else channel


# --- how it went ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Talk:
    one: str
    other: str
    start: float | None
    end: float


def reconstruct(records: CallRecords, pbx: str, endpoints: EndpointRules) -> Reconstruction | None:
    """Say what the records tell of a call; None when that is too little to say how it ended."""
    if not records.cdr:
        return _from_queue_log(records, pbx)
    first = _first(records.cdr, endpoints)
    started, ended = records.started_at, records.ended_at
    heard = any(event.bridge for event in records.cel)
    talks = _bridged(records.cel) if heard else _talks(records)
    outcome = _outcome(records, first, talks)
    answered = talks[0].start if talks else None
    direction = _direction(first, endpoints)
    call = Call(
        id=CallId(f"{pbx}:{first.linkedid or first.uniqueid}"),
        pbx=pbx,
        direction=direction,
        caller=CallerId(number=first.src, name=first.name),
        dialed=first.dst,
        started_at=started,
        outcome=outcome,
        ended=True,
        ended_at=ended,
        answered_at=answered,
        linkedids=tuple(dict.fromkeys(row.linkedid for row in records.cdr if row.linkedid)),
        queues=tuple(dict.fromkeys(line.queue for line in records.queue)),
        legs=_legs(records.cdr, first, talks, endpoints),
        talks=tuple((talk.one, talk.other) for talk in talks),
        wait_s=_wait_s(records, outcome, answered),
        talk_s=_talk_s(records, talks, outcome),
        partial=True,
    )
    source = "cdr" + "+cel" * heard + "+queue_log" * bool(records.queue)
    return Reconstruction(call=call, ids=records.ids, source=source)


def _first(rows: Sequence[CdrRow], endpoints: EndpointRules) -> CdrRow:
    """The row of whoever called: the first channel of a linkedid; a customer's before a phone's."""

    def precedence(row: CdrRow) -> tuple[bool, bool, bool, float, int]:
        local = not is_somebody(row.channel)
        follows = bool(row.linkedid) and row.linkedid != row.uniqueid
        phone = endpoints.is_phone(endpoint_of(row.channel))
        return (local, phone, follows, row.start, row.sequence)

    return min(rows, key=precedence)


def _direction(first: CdrRow, endpoints: EndpointRules) -> CallDirection:
    if not endpoints.is_phone(endpoint_of(first.channel)):
        return CallDirection.INBOUND
    return CallDirection.INTERNAL if is_internal_number(first.dst) else CallDirection.OUTBOUND


def _talks(records: CallRecords) -> list[_Talk]:
    """Who talked with whom, in order. Where the beginning is not known, `start` is None."""
    answered = [row for row in records.cdr if row.disposition == ANSWERED and row.dstchannel]
    found = [
        _Talk(row.channel, row.dstchannel, _direct_start(row, answered), row.end)
        for row in answered
        if is_somebody(row.channel) and is_somebody(row.dstchannel)
    ]
    found += _through_locals(answered)
    connects = [line for line in records.queue if line.event == "CONNECT"]
    queued = {row.channel for row in answered if row.lastapp == "Queue"}
    talks: list[_Talk] = []
    for talk in sorted(found, key=lambda talk: (talk.end, talk.start or 0.0)):
        start = talk.start
        if start is None and talk.one in queued and connects:
            start = min(connects.pop(0).at, talk.end)
        talks.append(_Talk(talk.one, talk.other, start, talk.end))
    return talks


def _direct_start(row: CdrRow, answered: Iterable[CdrRow]) -> float | None:
    if row.answer is None:
        return None
    if any(
        other is not row
        and row.dstchannel in (other.channel, other.dstchannel)
        and other.start < row.start <= other.end + TOUCHES_S
        for other in answered
    ):
        return row.start  # handed over to somebody who talked already
    if row.lastapp != "Queue" and row.answer - row.start > RANG_S:
        return row.answer
    return None


def _through_locals(answered: Sequence[CdrRow]) -> list[_Talk]:
    """People who reached each other through Local channels, as members of FreePBX's queues do."""
    groups = _Groups()
    for row in answered:
        if not is_somebody(row.channel) and not is_somebody(row.dstchannel):
            groups.join(_pair(row.channel), _pair(row.dstchannel))
    ends: dict[str, tuple[list[CdrRow], list[CdrRow]]] = {}
    for row in answered:
        if is_somebody(row.channel) and not is_somebody(row.dstchannel):
            ends.setdefault(groups.of(_pair(row.dstchannel)), ([], []))[0].append(row)
        elif not is_somebody(row.channel) and is_somebody(row.dstchannel):
            ends.setdefault(groups.of(_pair(row.channel)), ([], []))[1].append(row)
    return [
        _Talk(caller.channel, called.dstchannel, called.answer, min(caller.end, called.end))
        for callers, phones in ends.values()
        for caller in callers
        for called in phones
    ]


def _bridged(events: Sequence[CelRow]) -> list[_Talk]:
    """Who was in a bridge with whom, through Local channels too, in order of the beginning."""
    last = events[-1].at
    present: dict[tuple[str, str], float] = {}
    spans: list[tuple[str, str, float, float]] = []  # bridge, channel, from, to
    for event in events:
        place = event.bridge, event.channel
        if event.event == "BRIDGE_ENTER" and not event.holding:
            present.setdefault(place, event.at)
        elif event.event == "BRIDGE_EXIT" and place in present:
            spans.append((*place, present.pop(place), event.at))
        elif event.event == "CHAN_END":
            left = [key for key in present if key[1] == event.channel]
            spans += [(*place, present.pop(place), event.at) for place in left]
    spans += [(*place, start, last) for place, start in present.items()]
    rooms = _Groups()
    for bridge, channel, _, _ in spans:
        if not is_somebody(channel):
            rooms.join(f"bridge {bridge}", _pair(channel))
    people = sorted(
        (
            (start, end, channel, rooms.of(f"bridge {bridge}"))
            for bridge, channel, start, end in spans
            if is_somebody(channel)
        ),
    )
    talks: dict[tuple[str, str], _Talk] = {}
    for index, (start, end, channel, room) in enumerate(people):
        for begun, over, other, same in people[:index]:
            begin, until = max(start, begun), min(end, over)
            if same != room or other == channel or begin >= until:
                continue
            pair = (min(other, channel), max(other, channel))
            known = talks.get(pair)
            if known is None or known.start is None:
                talks[pair] = _Talk(other, channel, begin, until)
            else:
                talks[pair] = _Talk(known.one, known.other, known.start, max(known.end, until))
    return sorted(talks.values(), key=lambda talk: talk.start or 0.0)


def _outcome(records: CallRecords, first: CdrRow, talks: Sequence[_Talk]) -> CallOutcome:
    if talks or any(line.event in _SERVED for line in records.queue):
        return CallOutcome.ANSWERED
    if any(row.lastapp.lower() == "voicemail" for row in records.cdr):
        return CallOutcome.VOICEMAIL
    if records.queue:
        if records.queue[-1].event == "ABANDON":
            return CallOutcome.ABANDONED
    elif all(row.lastapp == "Queue" for row in records.cdr if row.uniqueid == first.uniqueid):
        return CallOutcome.ABANDONED  # the dialplan did nothing more with the caller
    rung = {row.disposition for row in records.cdr if row.dstchannel}
    if "NO ANSWER" in rung:
        return CallOutcome.NO_ANSWER
    dispositions = {row.disposition for row in records.cdr}
    if "BUSY" in dispositions:
        return CallOutcome.BUSY
    if dispositions & {"FAILED", "CONGESTION"}:
        return CallOutcome.FAILED
    return CallOutcome.NO_ANSWER


def _legs(
    rows: Sequence[CdrRow], first: CdrRow, talks: Sequence[_Talk], endpoints: EndpointRules
) -> tuple[Leg, ...]:
    """The caller and everybody who was called, once each."""
    talked = {name for talk in talks for name in (talk.one, talk.other)}
    legs: dict[str, Leg] = {}
    for row in (first, *rows):
        for name, uniqueid in ((row.channel, row.uniqueid), (row.dstchannel, "")):
            if not name or not is_somebody(name) or name in legs:
                continue
            role = LegRole.CALLEE if legs else LegRole.CALLER
            if role is LegRole.CALLEE and uniqueid:
                role = LegRole.CONSULT
            endpoint = endpoint_of(name)
            result = _result(name, row, talked, talks, role)
            legs[name] = Leg(
                uniqueid=Uniqueid(uniqueid),
                channel=name,
                endpoint=endpoint,
                role=role,
                is_phone=endpoints.is_phone(endpoint),
                rang=role is LegRole.CALLEE and result not in (LegResult.BUSY, LegResult.FAILED),
                answered=name in talked,
                result=result,
                ended=True,
            )
    return tuple(legs.values())


def _result(
    name: str, row: CdrRow, talked: set[str], talks: Sequence[_Talk], role: LegRole
) -> LegResult:
    if name in talked:
        return LegResult.ANSWERED
    if role is not LegRole.CALLEE:
        return LegResult.UNKNOWN
    result = _RESULTS.get(row.disposition, LegResult.UNKNOWN)
    if result is LegResult.NO_ANSWER and talks:
        return LegResult.ANSWERED_ELSEWHERE
    return result


def _wait_s(records: CallRecords, outcome: CallOutcome, answered: float | None) -> float | None:
    waits: list[float] = []
    over: set[str] = set()
    for line in records.queue:
        if line.event == "ENTERQUEUE":
            over.discard(line.queue)
        if (index := _WAITED.get(line.event)) is None or line.queue in over:
            continue
        over.add(line.queue)
        seconds = line.seconds(index)
        if seconds is None:
            return None
        waits.append(seconds)
    if records.queue:
        return sum(waits) if waits else None
    if any(row.lastapp == "Queue" for row in records.cdr):
        return records.ended_at - records.started_at if outcome is CallOutcome.ABANDONED else None
    if outcome is CallOutcome.ANSWERED:
        return None if answered is None else answered - records.started_at
    voicemail = [row.start for row in records.cdr if row.lastapp.lower() == "voicemail"]
    return min(voicemail, default=records.ended_at) - records.started_at


def _talk_s(records: CallRecords, talks: Sequence[_Talk], outcome: CallOutcome) -> float | None:
    if outcome is not CallOutcome.ANSWERED:
        return 0.0
    if not talks:  # only queue_log knows of it
        return _completed_s(records.queue)
    spans: list[tuple[float, float]] = []
    for talk in talks:
        if talk.start is None:
            return None
        spans.append((talk.start, talk.end))
    total, until = 0.0, 0.0
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


def _completed_s(lines: Iterable[QueueRow]) -> float | None:
    lines = list(lines)
    if any(line.event in _HANDED_ON for line in lines):
        return None
    seconds = [line.seconds(1) for line in lines if line.event in _COMPLETED]
    known = [second for second in seconds if second is not None]
    return sum(known) if known and len(known) == len(seconds) else None


def _from_queue_log(records: CallRecords, pbx: str) -> Reconstruction | None:
    """Of a call of which there is no row, only the queue's own words."""
    lines = records.queue
    last = lines[-1]
    if last.event in _COMPLETED:
        outcome = CallOutcome.ANSWERED
    elif last.event == "ABANDON":
        outcome = CallOutcome.ABANDONED
    else:
        return None  # it went on, outside the queue
    entered = next((line for line in lines if line.event == "ENTERQUEUE"), None)
    number = entered.args[1] if entered is not None and len(entered.args) > 1 else ""
    connect = next((line for line in lines if line.event == "CONNECT"), None)
    call = Call(
        id=CallId(f"{pbx}:{lines[0].callid}"),
        pbx=pbx,
        direction=CallDirection.INBOUND,
        caller=CallerId(number=number),
        dialed="",
        started_at=records.started_at,
        outcome=outcome,
        ended=True,
        ended_at=records.ended_at,
        answered_at=None if connect is None else connect.at,
        queues=tuple(dict.fromkeys(line.queue for line in lines)),
        wait_s=_wait_s(records, outcome, None),
        talk_s=_completed_s(lines) if outcome is CallOutcome.ANSWERED else 0.0,
        partial=True,
    )
    return Reconstruction(call=call, ids=records.ids, source="queue_log")
