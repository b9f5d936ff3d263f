"""Notices: what is told to people's screens once it is safely stored.

A notice is a fact with an audience. Services publish notices after their commit; a lost notice
is healed by the snapshot that a browser gets on connect, so publishing never waits and never
fails. Notices with a `key` are retained until one with `gone=True` comes for the same key:
the retained ones are the snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from crm_core.model import Match, Party, Touch, UserId


class PopState(StrEnum):
    """Where the call on a card stands, seen from the agent who has the card."""

    RINGING = "ringing"
    CONNECTED = "connected"
    HELD = "held"
    ENDED = "ended"


class WithdrawReason(StrEnum):
    """Why a card was taken back."""

    ANSWERED_ELSEWHERE = "answered_elsewhere"
    ABANDONED = "abandoned"
    NO_ANSWER = "no_answer"
    REJECTED = "rejected"
    BUSY = "busy"
    TRANSFERRED = "transferred"
    FORWARDED = "forwarded"
    FAILED = "failed"
    ENDED = "ended"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenPop:
    """The card an agent sees while the phone rings: who it is, why we think so, what was last.

    `id` is stable for (call, agent), so a repeated pop is the same card.
    """

    id: str
    agent: UserId
    call: str
    touch: int
    state: PopState
    direction: str
    party: Party
    match: Match
    dialed: str = ""
    queue: str = ""
    waited_s: float | None = None
    ringing_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    recent: tuple[Touch, ...] = ()
    """The last touches of the known contact, newest first."""
    note: str = ""
    """For example "consult for <customer>"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PopShown:
    """A phone of the agent rings, or the agent dialled out."""

    pop: ScreenPop


@dataclass(frozen=True, slots=True, kw_only=True)
class PopUpdated:
    """The call on a shown card went on: answered, held, ended, identified."""

    pop: ScreenPop


@dataclass(frozen=True, slots=True, kw_only=True)
class PopWithdrawn:
    """A shown card is no longer this agent's: the reason says why."""

    id: str
    agent: UserId
    reason: WithdrawReason
    by: str = ""
    """Who answered instead, when known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveParticipant:
    """One phone that rings in or talks on a live call."""

    endpoint: str
    agent: UserId | None = None
    name: str = ""
    state: str = "ringing"


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveCall:
    """A call in progress, as a supervisor sees it."""

    id: str
    pbx: str
    direction: str
    state: str
    """`started`, `queued`, `ringing`, `talking`, `held` or `ended`."""
    party: Party
    match: Match | None
    dialed: str
    queue: str
    started_at: datetime
    answered_at: datetime | None = None
    participants: tuple[LiveParticipant, ...] = ()
    team: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallChanged:
    """A live call began, changed or (state `ended`) is over."""

    call: LiveCall


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveEntry:
    """A caller who waits in a queue."""

    call: str
    party: Party
    name: str
    """The matched contact's name, or `""`."""
    position: int
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveMember:
    """A device a queue can ring, with the person behind it when known."""

    interface: str
    name: str
    agent: UserId | None
    state: str
    """`idle`, `ringing`, `in_use`, `on_hold`, `paused` or `unavailable`."""
    reason: str = ""
    since: datetime | None = None
    calls_taken: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveQueue:
    """A queue now: who waits how long, who can answer."""

    pbx: str
    name: str
    entries: tuple[LiveEntry, ...] = ()
    members: tuple[LiveMember, ...] = ()
    answered_today: int = 0
    abandoned_today: int = 0
    unanswered_today: int = 0
    """Calls that nobody answered though the caller stayed: the queue's time was over, or nobody
    served it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueChanged:
    """A queue's entries or members changed."""

    queue: LiveQueue


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveAgent:
    """An agent now."""

    agent: UserId
    name: str
    team: str
    state: str
    """`offline`, `available`, `ringing`, `talking`, `held`, `paused` or `unavailable`."""
    since: datetime
    reason: str = ""
    call: str = ""
    queues: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentChanged:
    """An agent's state changed."""

    agent: LiveAgent


@dataclass(frozen=True, slots=True, kw_only=True)
class TouchLogged:
    """A touch was written to the history, or an existing one went on."""

    touch: Touch
    agents: tuple[UserId, ...] = ()
    """Whom it concerns: who took part, whose phone rang, who owns the customer. Who may see it is
    decided by the touch itself (`agent_ui.session.sees_touch`)."""
    team: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkChanged:
    """A connection to a PBX, mailbox or database came up or went down."""

    name: str
    """For example `ami:main`, `imap:support`."""
    up: bool
    since: datetime
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed:
    """A sentence for people: `mail_received`, `ami_lost`, …, with values to fill in."""

    code: str
    values: dict[str, str] = field(default_factory=dict)
    agents: tuple[UserId, ...] = ()
    team: str = ""


Notice = (
    PopShown
    | PopUpdated
    | PopWithdrawn
    | CallChanged
    | QueueChanged
    | AgentChanged
    | TouchLogged
    | LinkChanged
    | Noticed
)
