"""The push protocol: JSON text frames between the server and a browser.

Each frame from the server has `type`, `seq` (rises by one for each frame of a session) and `at`
(ISO 8601 with offset). On connect the server sends `hello` with a new session, then `snapshot`,
then changes. A browser that was connected before opens `/api/v1/push?resume=1` and sends `resume`,
at once or within 5 seconds, with the session and the last `seq` it saw there. When the server still
has the frames after it, it sends `resumed` and then only those, with the numbers of the new
session; else a `snapshot`. (Without `?resume=1` the server waits for a `resume` only a quarter of
a second.) Every shown `pop` is acknowledged by `ack` with the time it appeared.

Close codes: 4001 not signed in, 4002 too slow (outbox full), 4003 bad frame, 4004 signed out, or
role or team changed, 4005 replaced (too many sockets of one user).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Frame(BaseModel):
    """What every frame and every part of one has in common."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PartyBody(Frame):
    """The far end. `display` is what to show: the number in national or international form."""

    kind: Literal["phone", "email", "internal", "withheld"]
    address: str
    display: str
    name: str = ""
    region: str = ""


class CandidateBody(Frame):
    """One contact that a party may be."""

    contact: int
    name: str
    account: str = ""
    external_id: str = ""
    tier: str = ""


class MatchBody(Frame):
    """Who it is, and why."""

    result: Literal["known", "ambiguous", "unknown", "withheld", "internal", "own"]
    candidates: tuple[CandidateBody, ...] = ()
    reasons: tuple[str, ...] = ()


class TouchBody(Frame):
    """One touch of the history; the same in REST `/api/v1/touches` and in push."""

    id: int
    medium: Literal["phone", "email", "note"]
    direction: Literal["inbound", "outbound", "internal"]
    outcome: str
    at: datetime
    ended_at: datetime | None = None
    contact: CandidateBody | None = None
    account: str = ""
    party: PartyBody
    match: MatchBody
    agent: int | None = None
    agent_name: str = ""
    subject: str = ""
    queue: str = ""
    ring_s: float | None = None
    wait_s: float | None = None
    talk_s: float | None = None
    hold_s: float | None = None


class PopBody(Frame):
    """A card: the call of one agent."""

    id: str
    call: str
    touch: int
    state: Literal["ringing", "connected", "held", "ended"]
    direction: Literal["inbound", "outbound", "internal"]
    party: PartyBody
    match: MatchBody
    dialed: str = ""
    queue: str = ""
    waited_s: float | None = None
    ringing_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    recent: tuple[TouchBody, ...] = ()
    note: str = ""


class ParticipantBody(Frame):
    """One phone on a live call."""

    endpoint: str
    agent: int | None = None
    name: str = ""
    state: str


class CallBody(Frame):
    """A call in progress."""

    id: str
    pbx: str
    direction: Literal["inbound", "outbound", "internal"]
    state: Literal["started", "queued", "ringing", "talking", "held", "ended"]
    party: PartyBody
    match: MatchBody | None = None
    dialed: str
    queue: str = ""
    started_at: datetime
    answered_at: datetime | None = None
    participants: tuple[ParticipantBody, ...] = ()


class EntryBody(Frame):
    """A caller who waits."""

    call: str
    party: PartyBody
    name: str = ""
    position: int
    since: datetime


class MemberBody(Frame):
    """A queue's member."""

    interface: str
    name: str
    agent: int | None = None
    state: Literal["idle", "ringing", "in_use", "on_hold", "paused", "unavailable"]
    reason: str = ""
    since: datetime | None = None
    calls_taken: int = 0


class QueueBody(Frame):
    """A queue now."""

    id: str
    """`<pbx>/<name>`."""
    pbx: str
    name: str
    entries: tuple[EntryBody, ...] = ()
    members: tuple[MemberBody, ...] = ()
    answered_today: int = 0
    abandoned_today: int = 0
    unanswered_today: int = 0
    """Missed, and not abandoned: the queue's time was over, or nobody served it."""


class AgentBody(Frame):
    """An agent now."""

    id: int
    name: str
    team: str = ""
    state: Literal["offline", "available", "ringing", "talking", "held", "paused", "unavailable"]
    since: datetime
    reason: str = ""
    call: str = ""
    queues: tuple[str, ...] = ()


class LinkBody(Frame):
    """A connection of the server: `ami:main`, `imap:support`, `database`."""

    name: str
    up: bool
    since: datetime
    message: str = ""


class UserBody(Frame):
    """The signed-in user; the same in REST `/api/v1/session`."""

    id: int
    login: str
    name: str
    role: Literal["agent", "supervisor", "admin"]
    team: str = ""
    language: str = "en"
    phones: tuple[str, ...] = ()


# --- from the server ------------------------------------------------------------------------------


class ServerFrame(Frame):
    """A frame from the server."""

    seq: int
    at: datetime


class Hello(ServerFrame):
    """The first frame: who we think you are, and how to resume."""

    type: Literal["hello"] = "hello"
    session: str
    """Opaque; give it back in `resume`."""
    protocol: Literal[1] = 1
    version: str
    user: UserBody


class Snapshot(ServerFrame):
    """Everything that is live now and that you may see. Replaces what you had."""

    type: Literal["snapshot"] = "snapshot"
    pops: tuple[PopBody, ...] = ()
    calls: tuple[CallBody, ...] = ()
    queues: tuple[QueueBody, ...] = ()
    agents: tuple[AgentBody, ...] = ()
    links: tuple[LinkBody, ...] = ()


class Resumed(ServerFrame):
    """Nothing was lost: what you missed follows. The session is the one of the last `hello`."""

    type: Literal["resumed"] = "resumed"


class Pop(ServerFrame):
    """Show this card."""

    type: Literal["pop"] = "pop"
    pop: PopBody


class PopUpdate(ServerFrame):
    """The card changed."""

    type: Literal["pop_update"] = "pop_update"
    pop: PopBody


class PopWithdrawnFrame(ServerFrame):
    """Take the card back, and say why."""

    type: Literal["pop_withdrawn"] = "pop_withdrawn"
    id: str
    reason: Literal[
        "answered_elsewhere",
        "abandoned",
        "no_answer",
        "rejected",
        "busy",
        "transferred",
        "forwarded",
        "failed",
        "ended",
        "unknown",
    ]
    by: str = ""


class CallFrame(ServerFrame):
    """A live call changed; state `ended` takes it off the list."""

    type: Literal["call"] = "call"
    call: CallBody


class TouchFrame(ServerFrame):
    """A touch was written or went on."""

    type: Literal["touch"] = "touch"
    touch: TouchBody


class QueueFrame(ServerFrame):
    """A queue changed."""

    type: Literal["queue"] = "queue"
    queue: QueueBody


class AgentFrame(ServerFrame):
    """An agent's state changed."""

    type: Literal["agent"] = "agent"
    agent: AgentBody


class LinkFrame(ServerFrame):
    """A connection of the server came up or went down."""

    type: Literal["link"] = "link"
    link: LinkBody


class NoticeFrame(ServerFrame):
    """A sentence to show, by code, with values to fill in."""

    type: Literal["notice"] = "notice"
    code: str
    values: dict[str, str] = Field(default_factory=dict)


ServerMessage = Annotated[
    Hello
    | Snapshot
    | Resumed
    | Pop
    | PopUpdate
    | PopWithdrawnFrame
    | CallFrame
    | TouchFrame
    | QueueFrame
    | AgentFrame
    | LinkFrame
    | NoticeFrame,
    Field(discriminator="type"),
]

# --- from the browser -----------------------------------------------------------------------------


class Resume(Frame):
    """I had this session and saw everything up to `seq`."""

    type: Literal["resume"] = "resume"
    session: str = Field(max_length=64)
    seq: int = Field(ge=0)


class Ack(Frame):
    """The card is on the screen; `shown_at` by the browser's clock."""

    type: Literal["ack"] = "ack"
    id: str = Field(max_length=200)
    shown_at: datetime


ClientMessage = Annotated[Resume | Ack, Field(discriminator="type")]
