"""Calls: what a customer would call one phone call, and what happens with it.

A `Call` has its own `CallId`, deterministic for a replay: `<pbx>:<first linkedid seen>`. A
linkedid is an observed attribute that may change, never an identity.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from cti.ami.events import Uniqueid

CallId = NewType("CallId", str)


class CallDirection(StrEnum):
    """Which way a call went, seen from the PBX's phones and trunks."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    INTERNAL = "internal"


class CallOutcome(StrEnum):
    """How a call ended. Said of the call, never of one phone that rang."""

    ANSWERED = "answered"
    ABANDONED = "abandoned"
    """The caller hung up while waiting in a queue."""
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    FAILED = "failed"
    VOICEMAIL = "voicemail"
    UNKNOWN = "unknown"
    """It ended while we could not see it."""


class Gap(StrEnum):
    """What hid a part of a call from us."""

    LINK_LOST = "link_lost"
    """The connection broke, and the PBX was not restarted meanwhile."""
    PBX_RESTART = "pbx_restart"
    NOT_RUNNING = "not_running"
    """We did not run ourselves."""
    NOT_LISTED = "not_listed"
    """An audit found its channels gone, and no event had said so."""


class LegRole(StrEnum):
    """A leg's part in the call."""

    CALLER = "caller"
    CALLEE = "callee"
    CONSULT = "consult"


class LegResult(StrEnum):
    """How a leg ended, or stands."""

    DIALING = "dialing"
    RINGING = "ringing"
    ANSWERED = "answered"
    ANSWERED_ELSEWHERE = "answered_elsewhere"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """It stopped while we could not see it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerId:
    """A number and a name as the PBX has them; both hostile text."""

    number: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One party's part in a call. Local halves are never legs. Times: epoch seconds or None."""

    uniqueid: Uniqueid
    channel: str
    endpoint: str
    """`PJSIP/1001`."""
    role: LegRole
    is_phone: bool
    """True for one of our phones, False for a trunk."""
    rang: bool = False
    answered: bool = False
    result: LegResult = LegResult.DIALING
    started_at: float | None = None
    ringing_at: float | None = None
    answered_at: float | None = None
    ended_at: float | None = None
    ended: bool = False
    """Told apart from `ended_at`: a stream may have no times, and a gap hides them."""
    held_s: float = 0.0
    hangup_cause: int | None = None


class TransferKind(StrEnum):
    """How a call was handed on."""

    BLIND = "blind"
    ATTENDED = "attended"
    BLONDE = "blonde"
    PICKUP = "pickup"
    PARK = "park"
    FORWARD = "forward"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """One hand-over within a call."""

    kind: TransferKind
    by: str
    """The channel that handed on."""
    to: tuple[str, ...] = ()
    result: str = ""
    """`answered`, `failed` or `abandoned`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call as it stands now: an immutable copy of what the tracker knows."""

    id: CallId
    pbx: str
    direction: CallDirection
    caller: CallerId
    dialed: str
    started_at: float | None
    outcome: CallOutcome | None = None
    """None while in progress."""
    ended: bool = False
    ended_at: float | None = None
    answered_at: float | None = None
    """When two people first talked."""
    linkedids: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    legs: tuple[Leg, ...] = ()
    talks: tuple[tuple[str, str], ...] = ()
    transfers: tuple[Transfer, ...] = ()
    merged: tuple[CallId, ...] = ()
    ring_s: float | None = None
    wait_s: float | None = None
    talk_s: float | None = None
    hold_s: float | None = None
    anomalies: int = 0
    partial: bool = False
    """True when we joined while it was in progress, or a gap hid a part of it."""
    gap: Gap | None = None
    lost: bool = False
    """True when it ended while we could not see it: its end and seconds are not known."""
    presentation: str = ""
    """`CID-CallingPres` of the caller, for example `prohib_not_screened`."""

    @property
    def queue(self) -> str:
        """The queue it waits or waited in last, or `""`."""
        return self.queues[-1] if self.queues else ""

    @property
    def customer(self) -> CallerId:
        """The far end that matters: who called in, or whom we dialled."""
        if self.direction is CallDirection.INBOUND:
            return self.caller
        return CallerId(number=self.dialed)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEvent:
    """A fact about a call. `call` is the state after it."""

    call: Call
    at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStarted(CallEvent):
    """Somebody dialled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallChangedParty(CallEvent):
    """The caller's number or name, the dialled number or the direction became better known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallQueued(CallEvent):
    """The caller waits in a queue."""

    queue: str
    position: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLeftQueue(CallEvent):
    """The caller no longer waits in that queue."""

    queue: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRinging(CallEvent):
    """A phone rings (once for each leg); for an outbound call: the far end rings."""

    leg: Leg
    queue: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAnswered(CallEvent):
    """A leg and another party can hear each other."""

    leg: Leg


@dataclass(frozen=True, slots=True, kw_only=True)
class LegEnded(CallEvent):
    """A leg stopped ringing or talking; its result says why. The call may go on."""

    leg: Leg
    answered_by: Leg | None = None
    """Who answered instead, for `answered_elsewhere`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallHeld(CallEvent):
    """The person at this leg pressed hold."""

    leg: Leg


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResumed(CallEvent):
    """The person at this leg took the call off hold."""

    leg: Leg


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTransferred(CallEvent):
    """The call was handed on, or the hand-over's result became known."""

    transfer: Transfer


@dataclass(frozen=True, slots=True, kw_only=True)
class CallsMerged(CallEvent):
    """Two calls turned out to be one; `merged` lives on in `call`."""

    merged: CallId


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded(CallEvent):
    """The call is over; `call` has its outcome and seconds."""


CLOSED_BY_AUDIT = "a channel is gone, and no event said so"
ADOPTED_BY_AUDIT = "a channel is there, and no event said so"
"""Reasons of anomalies that should never be: events were lost on an unbroken link."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """A surprise from the PBX: counted and logged, never raised."""

    reason: str
    event: str
    at: float | None = None
    call: CallId | None = None


CallChange = (
    CallStarted
    | CallChangedParty
    | CallQueued
    | CallLeftQueue
    | CallRinging
    | CallAnswered
    | LegEnded
    | CallHeld
    | CallResumed
    | CallTransferred
    | CallsMerged
    | CallEnded
)
