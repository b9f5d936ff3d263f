"""The values of the customer core: people, organisations, and what happened with them.

All values are frozen. Times are timezone-aware (UTC when stored), durations are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

ContactId = NewType("ContactId", int)
AccountId = NewType("AccountId", int)
TouchId = NewType("TouchId", int)
UserId = NewType("UserId", int)


class Medium(StrEnum):
    """The way a touch went: by phone, by mail, or written down by hand."""

    PHONE = "phone"
    EMAIL = "email"
    NOTE = "note"


class Direction(StrEnum):
    """Which side began, seen from the contact center."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    INTERNAL = "internal"


class Outcome(StrEnum):
    """How a touch ended. Calls end as in `cti.model.CallOutcome`; mails are received or sent."""

    IN_PROGRESS = "in_progress"
    ANSWERED = "answered"
    ABANDONED = "abandoned"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    FAILED = "failed"
    VOICEMAIL = "voicemail"
    UNKNOWN = "unknown"
    RECEIVED = "received"
    SENT = "sent"
    NOTED = "noted"
    MERGED = "merged"
    """A consult call that turned out to be part of another call: shown there, not in lists."""


class PartyKind(StrEnum):
    """What kind of address the far end has."""

    PHONE = "phone"
    EMAIL = "email"
    INTERNAL = "internal"
    WITHHELD = "withheld"


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """The far end of a call or mail, before we know who it is.

    Names and raw addresses come from outside and are hostile text: they are shown, never
    trusted.
    """

    kind: PartyKind
    address: str
    """E.164 (`+905321234567`) for a public number, the extension for an internal one, the
    lower-cased address for mail, `""` when withheld."""
    raw: str = ""
    """The address as it came."""
    name: str = ""
    """The name the network or the mail claims."""
    region: str = ""
    """ISO 3166 region of a public number, `""` when unknown."""


class PointKind(StrEnum):
    """What kind of contact point this is."""

    PHONE = "phone"
    EMAIL = "email"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactPoint:
    """A number or address of a contact, with the period in which it was theirs."""

    kind: PointKind
    value: str
    """E.164, or the lower-cased mail address."""
    label: str = ""
    shared: bool = False
    """True for a company switchboard or a team mailbox: it identifies no single person."""
    valid_from: datetime | None = None
    valid_to: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An organisation that contacts belong to."""

    id: AccountId
    name: str
    external_id: str = ""
    tier: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A person we deal with."""

    id: ContactId
    name: str
    external_id: str = ""
    kind: str = "customer"
    """`customer`, `lead`, `partner` or `supplier`."""
    tier: str = ""
    tags: tuple[str, ...] = ()
    notes: str = ""
    account: Account | None = None
    owner: UserId | None = None
    points: tuple[ContactPoint, ...] = ()


class MatchResult(StrEnum):
    """The six answers to "who is this?"."""

    KNOWN = "known"
    AMBIGUOUS = "ambiguous"
    UNKNOWN = "unknown"
    WITHHELD = "withheld"
    INTERNAL = "internal"
    OWN = "own"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One contact that a party may be."""

    contact: ContactId
    name: str
    account: str = ""
    account_id: AccountId | None = None
    external_id: str = ""
    tier: str = ""
    owner: UserId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Who a party is, with the reasons in words."""

    result: MatchResult
    party: str
    """E.164 or mail address, `""` when withheld."""
    candidates: tuple[Candidate, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def contact(self) -> Candidate | None:
        """The one contact it is, or None unless the result is `known`."""
        return self.candidates[0] if self.result is MatchResult.KNOWN else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    """One logged interaction with a customer over any medium."""

    id: TouchId
    key: str
    """The idempotency key: `call:<pbx>:<CallId>` or `mail:<content key>`. One key, one touch."""
    medium: Medium
    direction: Direction
    outcome: Outcome
    at: datetime
    """When it began."""
    party: Party
    match: Match
    agent: UserId | None = None
    agent_name: str = ""
    """Who talked (or wrote) last on our side."""
    team: str = ""
    subject: str = ""
    """A mail's subject; for a call the dialled number or the queue's name."""
    ended_at: datetime | None = None
    ring_s: float | None = None
    wait_s: float | None = None
    talk_s: float | None = None
    hold_s: float | None = None
    details: dict[str, object] = field(default_factory=dict)
    """JSON of the medium: legs, queues and talks of a call; Message-ID and mailbox of a mail."""


class Role(StrEnum):
    """What a user may do."""

    AGENT = "agent"
    SUPERVISOR = "supervisor"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A phone as the PBX knows it: `Endpoint(pbx="main", name="PJSIP/1001")`."""

    pbx: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person who signs in: an agent, a supervisor or an administrator."""

    id: UserId
    login: str
    name: str
    role: Role
    team: str = ""
    language: str = "en"
    email: str = ""
    phones: tuple[Endpoint, ...] = ()
    active: bool = True
