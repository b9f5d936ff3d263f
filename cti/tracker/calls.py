"""What is known about a call in progress. Small and mutable; what leaves is an immutable `Call`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cti.ami.events import Uniqueid
from cti.ami.quick import quick
from cti.model import (
    Call,
    CallDirection,
    CallerId,
    CallId,
    CallOutcome,
    Gap,
    Leg,
    LegResult,
    LegRole,
)
from cti.tracker.endpoints import is_internal_number
from cti.tracker.graph import Channel
from cti.transfers import LiveTransfer

Time = float | None
"""Seconds since the epoch by the PBX's clock; None when the stream has no times."""


_call, _leg, _caller_id = quick(Call), quick(Leg), quick(CallerId)
"""Each change of a call shows a whole copy of it: most of the tracker's work is to make them."""


class Span:
    """A stretch of time that may still last."""

    __slots__ = ("end", "lost", "open", "start")

    def __init__(self, start: Time) -> None:
        self.start = start
        self.end: Time = None
        self.open = True
        self.lost = False
        """True when it ended while we could not see it."""

    def close(self, at: Time) -> None:
        """End it, once."""
        if self.open:
            self.open = False
            self.end = at


class LiveLeg:
    """One party's part in a call."""

    __slots__ = (
        "answered",
        "answered_at",
        "asked",
        "cause",
        "channel",
        "dial_status",
        "ended",
        "ended_at",
        "endpoint",
        "forwarded",
        "holds",
        "hung_up",
        "is_phone",
        "number",
        "originated",
        "rang",
        "result",
        "ringing_at",
        "role",
        "started_at",
        "uniqueid",
        "up",
    )

    def __init__(
        self,
        number: int,
        uniqueid: Uniqueid,
        channel: str,
        *,
        endpoint: str,
        role: LegRole,
        is_phone: bool,
        started_at: Time,
    ) -> None:
        self.number = number
        """When it was made, on the tracker's counter."""
        self.uniqueid = uniqueid
        self.channel = channel
        self.endpoint = endpoint
        self.role = role
        self.is_phone = is_phone
        self.started_at = started_at
        self.originated = False
        """True when Asterisk dialled it for nobody (Originate)."""
        self.rang = False
        self.ringing_at: Time = None
        self.up = 0
        """When it was picked up, on the tracker's counter; 0 if never. Not yet talking."""
        self.answered = False
        self.answered_at: Time = None
        self.ended = False
        self.ended_at: Time = None
        self.asked = 0
        """When its hangup was first asked for, on the tracker's counter; 0 if never."""
        self.hung_up = False
        """True when the person at this leg asked for it, not the PBX."""
        self.cause: int | None = None
        self.dial_status = ""
        """The first way in which dialling it failed: later ones are Asterisk tidying up."""
        self.forwarded = False
        self.result = LegResult.DIALING
        self.holds: list[Span] = []

    @property
    def held(self) -> bool:
        """True while the person at this leg has pressed hold."""
        return bool(self.holds) and self.holds[-1].open

    def freeze(self, now: Time) -> Leg:
        """Return an immutable copy."""
        return _leg(
            uniqueid=self.uniqueid,
            channel=self.channel,
            endpoint=self.endpoint,
            role=self.role,
            is_phone=self.is_phone,
            rang=self.rang,
            answered=self.answered,
            result=self.result,
            started_at=self.started_at,
            ringing_at=self.ringing_at,
            answered_at=self.answered_at,
            ended_at=self.ended_at,
            ended=self.ended,
            held_s=(_total(self.holds, now) or 0.0) if self.holds else 0.0,
            hangup_cause=self.cause,
        )


class Talk:
    """Two legs that can hear each other, now or earlier."""

    __slots__ = ("one", "order", "other", "spans")

    def __init__(self, one: LiveLeg, other: LiveLeg, order: int) -> None:
        self.one = one
        self.other = other
        self.order = order
        """When it first began, on the tracker's counter."""
        self.spans: list[Span] = []

    @property
    def open(self) -> bool:
        """True while they hear each other."""
        return bool(self.spans) and self.spans[-1].open


class Wait:
    """A caller's stay in a queue."""

    __slots__ = (
        "abandoned",
        "connecting",
        "flowed",
        "gave_up",
        "leg",
        "order",
        "queue",
        "served",
        "span",
        "uniqueid",
    )

    def __init__(
        self, queue: str, uniqueid: Uniqueid, leg: LiveLeg | None, *, joined: Time, order: int
    ) -> None:
        self.queue = queue
        self.uniqueid = uniqueid
        self.leg = leg
        self.order = order
        self.span = Span(joined)
        self.abandoned = 0
        """When Asterisk said that the caller left without an agent, on the tracker's counter."""
        self.flowed = False
        """True when the dialplan goes on with the caller: time over, nobody there, a key."""
        self.connecting = False
        """True when the caller left the queue for an agent who has picked up."""
        self.served = False
        """True when the caller talked to somebody after all."""
        self.gave_up = False
        """True when the caller hung up while waiting."""

    @property
    def open(self) -> bool:
        """True while the caller is in the queue."""
        return self.span.open

    def connected(self, at: Time) -> None:
        """The caller talks: the wait is over, at this moment, though they left the queue before."""
        if not self.served:
            self.served = True
            self.span.open = False
            self.span.end = at


class LiveCall:
    """A call in progress."""

    __slots__ = (
        "announced",
        "anomalies",
        "answered_at",
        "caller_name",
        "caller_number",
        "channels",
        "dialed",
        "dialed_out",
        "ended",
        "ended_at",
        "gap",
        "id",
        "legs",
        "linkedids",
        "lost",
        "merged",
        "order",
        "originated_by",
        "outcome",
        "partial",
        "pbx",
        "presentation",
        "started_at",
        "talks",
        "told",
        "transfers",
        "voicemail",
        "voicemail_at",
        "waits",
    )

    def __init__(self, call_id: CallId, pbx: str, *, started_at: Time, order: int) -> None:
        self.id = call_id
        self.pbx = pbx
        self.started_at = started_at
        self.order = order
        self.announced = False
        self.told: tuple[CallDirection, str] | None = None
        """The direction and the dialled number as last told."""
        self.partial = False
        self.gap: Gap | None = None
        self.lost = False
        """True when it ended while we could not see it."""
        self.linkedids: dict[str, None] = {}
        self.channels: dict[Channel, None] = {}
        self.legs: list[LiveLeg] = []
        self.talks: dict[tuple[LiveLeg, LiveLeg], Talk] = {}
        self.waits: list[Wait] = []
        self.transfers: list[LiveTransfer] = []
        self.merged: list[CallId] = []
        self.caller_number = ""
        self.caller_name = ""
        self.presentation = ""
        self.dialed = ""
        self.dialed_out = False
        """True when Asterisk called a trunk for nobody: a call to the customer first."""
        self.originated_by: Channel | None = None
        """The half of a Local channel that Asterisk dialled for nobody: click-to-call."""
        self.voicemail = False
        self.voicemail_at: Time = None
        self.answered_at: Time = None
        self.ended = False
        self.ended_at: Time = None
        self.outcome: CallOutcome | None = None
        self.anomalies = 0

    @property
    def caller_leg(self) -> LiveLeg | None:
        """Who called, as far as we saw it."""
        for leg in self.legs:
            if leg.role is LegRole.CALLER:
                return leg
        return None

    @property
    def talked(self) -> bool:
        """True when two people could hear each other at any time."""
        return bool(self.talks)

    @property
    def open_wait(self) -> Wait | None:
        """The queue in which somebody waits now."""
        for wait in reversed(self.waits):
            if wait.open:
                return wait
        return None

    @property
    def direction(self) -> CallDirection:
        """Which way it went, as far as we know by now."""
        if self.dialed_out:
            return CallDirection.OUTBOUND
        caller = self.caller_leg
        if caller is None:
            # The caller was there before us: it was somebody outside, unless only phones were rung
            # by a phone's number.
            inside = is_internal_number(self.caller_number) if self.caller_number else False
            return CallDirection.INTERNAL if inside else CallDirection.INBOUND
        if not caller.is_phone:
            return CallDirection.INBOUND
        if self.dialed and not is_internal_number(self.dialed):
            return CallDirection.OUTBOUND
        called = [leg for leg in self.legs if leg.role is LegRole.CALLEE]
        if called and not self.waits and not any(leg.is_phone for leg in called):
            return CallDirection.OUTBOUND
        return CallDirection.INTERNAL

    def people(self) -> Iterator[Channel]:
        """Channels in progress at which somebody is."""
        return (channel for channel in self.channels if channel.leg is not None)

    def absorb(self, other: LiveCall) -> None:
        """Take everything of another call that turned out to be this one."""
        for channel in other.channels:
            channel.call = self
        self.channels |= other.channels
        self.linkedids |= other.linkedids
        self._take_legs(other)
        for pair, talk in other.talks.items():
            self.talks.setdefault(pair, talk)
        self.waits = sorted([*self.waits, *other.waits], key=lambda wait: wait.order)
        self.transfers = sorted(
            [*self.transfers, *other.transfers], key=lambda transfer: transfer.order
        )
        self.merged += [other.id, *other.merged] if other.announced else other.merged
        self.partial |= other.partial
        self.gap = self.gap or other.gap
        self.originated_by = self.originated_by or other.originated_by
        self.voicemail |= other.voicemail
        if self.voicemail_at is None:
            self.voicemail_at = other.voicemail_at
        self.anomalies += other.anomalies
        if self.answered_at is None:
            self.answered_at = other.answered_at

    def _take_legs(self, other: LiveCall) -> None:
        caller = other.caller_leg
        if caller is not None and self.caller_leg is not None:
            # Whoever dialled somebody was consulting; whoever only dialled a code (pickup, a
            # parking space) came to take this call.
            dialled = any(leg is not caller for leg in other.legs)
            caller.role = LegRole.CONSULT if dialled else LegRole.CALLEE
        elif caller is not None:
            self.caller_number, self.caller_name = other.caller_number, other.caller_name
            self.presentation = other.presentation
        self.legs = sorted([*self.legs, *other.legs], key=lambda leg: leg.number)
        self.dialed = self.dialed or other.dialed

    def freeze(self, now: Time) -> Call:
        """Return an immutable copy, with the seconds up to `now` if it is in progress."""
        end = self.ended_at if self.ended else now
        legs, talks, waits = self.legs, list(self.talks.values()), self.waits
        if len(talks) > 1:
            talks.sort(key=_order_of)
        spans = [span for talk in talks for span in talk.spans]
        holds = [span for leg in legs if leg.holds for span in leg.holds]
        return _call(
            id=self.id,
            pbx=self.pbx,
            direction=self.direction,
            caller=_caller_id(number=self.caller_number, name=self.caller_name),
            dialed=self.dialed,
            started_at=self.started_at,
            outcome=self.outcome,
            ended=self.ended,
            ended_at=self.ended_at,
            answered_at=self.answered_at,
            linkedids=tuple(self.linkedids),
            queues=tuple(dict.fromkeys([wait.queue for wait in waits])) if waits else (),
            legs=tuple([leg.freeze(end) for leg in legs]),
            talks=tuple([(talk.one.channel, talk.other.channel) for talk in talks]),
            transfers=tuple([transfer.freeze() for transfer in self.transfers]),
            merged=tuple(self.merged),
            ring_s=self._ring_s(end),
            wait_s=self._wait_s(end),
            talk_s=_total(spans, end) if spans else self._none_s(),
            hold_s=_overlap(holds, spans, end) if holds else self._none_s(),
            anomalies=self.anomalies,
            partial=self.partial,
            gap=self.gap,
            lost=self.lost,
            presentation=self.presentation,
        )

    def _none_s(self) -> float | None:
        """No seconds at all, or None where a gap may have hidden some."""
        return None if self.lost else _nothing(self.started_at)

    def _ring_s(self, end: Time) -> float | None:
        rung = [leg for leg in self.legs if leg.rang]
        if not rung:
            return _nothing(self.started_at)
        starts = [leg.ringing_at for leg in rung]
        if None in starts:
            return None
        start = min(starts)  # type: ignore[type-var]
        if self.talked:
            stop = self.answered_at
        elif all(leg.ended for leg in rung):
            stop = max((leg.ended_at for leg in rung if leg.ended_at is not None), default=None)
        else:
            stop = end
        return _seconds(start, stop)

    def _wait_s(self, end: Time) -> float | None:
        if not self.waits:
            if self.talked:
                end = self.answered_at
            elif self.voicemail_at is not None:
                end = self.voicemail_at
            return _seconds(self.started_at, end)
        return _total((wait.span for wait in self.waits), end)


def _order_of(talk: Talk) -> int:
    return talk.order


def _nothing(started_at: Time) -> float | None:
    """Zero seconds, or None in a stream without times."""
    return None if started_at is None else 0.0


def _seconds(start: Time, end: Time) -> float | None:
    return None if start is None or end is None else max(0.0, end - start)


def _bounds(spans: Iterable[Span], now: Time) -> list[tuple[float, float]] | None:
    """The spans as numbers, joined where they touch or overlap; None when a time is not known."""
    known: list[tuple[float, float]] = []
    for span in spans:
        end = now if span.open else span.end
        if span.start is None or end is None or span.lost:
            return None
        known.append((span.start, max(span.start, end)))
    if len(known) < 2:  # as nearly always
        return known
    known.sort()
    joined: list[tuple[float, float]] = []
    for start, end in known:
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def _total(spans: Iterable[Span], now: Time) -> float | None:
    """How long at least one of the spans lasted."""
    bounds = _bounds(spans, now)
    return None if bounds is None else sum(end - start for start, end in bounds)


def _overlap(spans: Iterable[Span], within: Iterable[Span], now: Time) -> float | None:
    """How long at least one of the spans lasted while one of the others did."""
    bounds, outer = _bounds(spans, now), _bounds(within, now)
    if bounds is None or outer is None:
        return None
    return sum(
        max(0.0, min(end, stop) - max(start, begin))
        for start, end in bounds
        for begin, stop in outer
    )
