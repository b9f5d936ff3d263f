"""The hub: everything that is live, and a bounded outbox for each browser.

`PopHub.publish` turns a notice into a frame and puts it into the outboxes of those who may see it.
It never waits and never fails. The body of a frame is serialised once, however many browsers get
it; only its number is put in front for each. What is live is retained, and is the snapshot for
whoever connects. A browser that does not read is cut off when its outbox is full: it comes back to
a snapshot, and nobody else waits for it.

One thread, one event loop; nothing here awaits except `PushSession.take`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, assert_never

from agent_ui.bodies import Bodies, Display, plain_display
from agent_ui.health import Health
from agent_ui.messages import (
    Ack,
    AgentBody,
    AgentFrame,
    CallBody,
    CallFrame,
    Hello,
    LinkFrame,
    NoticeFrame,
    Pop,
    PopBody,
    PopUpdate,
    PopWithdrawnFrame,
    QueueBody,
    QueueFrame,
    Resume,
    Resumed,
    ServerFrame,
    Snapshot,
    TouchFrame,
)
from agent_ui.metrics import PushMetrics
from agent_ui.session import (
    hears,
    oversees,
    sees_agent,
    sees_call,
    sees_pop,
    sees_queue,
    sees_touch,
)
from agent_ui.settings import PushLimits
from agent_ui.version import own_version
from crm_core.model import TouchId, User, UserId
from crm_core.notices import (
    AgentChanged,
    CallChanged,
    LinkChanged,
    LiveAgent,
    LiveCall,
    LiveQueue,
    Notice,
    Noticed,
    PopShown,
    PopState,
    PopUpdated,
    PopWithdrawn,
    QueueChanged,
    ScreenPop,
    TouchLogged,
)
from crm_core.text import storable

log = logging.getLogger(__name__)

NOT_SIGNED_IN: Final = 4001
TOO_SLOW: Final = 4002
BAD_FRAME: Final = 4003
SIGNED_OUT: Final = 4004
REPLACED: Final = 4005

_MOST_PARKED = 2000
_LONGEST_RING_S = 600.0


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class OutFrame:
    """A frame but for its number: what all who get it share."""

    tail: bytes
    """The JSON text behind `{"seq":…,`."""
    received_ns: int | None = None
    """When the bytes that caused it came in, by `time.monotonic_ns`."""

    def text(self, seq: int) -> bytes:
        """The whole frame as UTF-8."""
        return b'{"seq":%d,%b' % (seq, self.tail)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a socket is to be closed."""

    code: int
    reason: str


class PushSession:
    """One browser's side of the hub: its outbox, and what it got lately.

    A session outlives its socket for a while (it is *parked*), so that a browser that lost the
    connection can take up what it missed.
    """

    __slots__ = (
        "_clock",
        "_limits",
        "_outbox",
        "_outbox_bytes",
        "_recent",
        "_recent_bytes",
        "_wake",
        "closing",
        "id",
        "parked_at",
        "seq",
        "sign_in",
        "started",
        "user",
        "verdict",
    )

    def __init__(
        self, user: User, *, sign_in: bytes, limits: PushLimits, clock: Callable[[], float]
    ) -> None:
        self.id = secrets.token_urlsafe(18)
        self.user = user
        self.sign_in = sign_in
        self.seq = 0
        self.started = False
        self.parked_at: float | None = None
        self.verdict: Verdict | None = None
        self.closing = asyncio.Event()
        self._clock = clock
        self._limits = limits
        self._outbox: deque[tuple[int, OutFrame]] = deque()
        self._outbox_bytes = 0
        self._recent: deque[tuple[int, float, OutFrame]] = deque()
        self._recent_bytes = 0
        self._wake = asyncio.Event()

    def offer(self, frame: OutFrame) -> bool:
        """Number the frame and put it in the outbox. False if the browser was cut off for it."""
        self.seq += 1
        self._remember(frame)
        if self.parked_at is not None or self.verdict is not None:
            return True
        if (
            len(self._outbox) >= self._limits.outbox_frames
            or self._outbox_bytes + len(frame.tail) > self._limits.outbox_bytes
        ):
            self.close(TOO_SLOW, "outbox full")
            return False
        self._outbox.append((self.seq, frame))
        self._outbox_bytes += len(frame.tail)
        self._wake.set()
        return True

    async def take(self) -> tuple[bytes, OutFrame]:
        """The next frame to send; waits for one."""
        while not self._outbox:
            self._wake.clear()
            await self._wake.wait()
        seq, frame = self._outbox.popleft()
        self._outbox_bytes -= len(frame.tail)
        return frame.text(seq), frame

    def close(self, code: int, reason: str) -> None:
        """Ask the owner of the socket to close it. The first reason stands."""
        if self.verdict is None:
            self.verdict = Verdict(code, reason)
            self.closing.set()

    def park(self) -> None:
        """The socket is gone: only remember from now on."""
        self.parked_at = self._clock()
        self._outbox.clear()
        self._outbox_bytes = 0

    def since(self, seq: int) -> list[OutFrame] | None:
        """The frames after `seq`, or None if they are not all there any more."""
        self._forget()
        if seq > self.seq or self.seq - seq > len(self._recent):
            return None
        return [frame for number, _, frame in self._recent if number > seq]

    def _remember(self, frame: OutFrame) -> None:
        self._recent.append((self.seq, self._clock(), frame))
        self._recent_bytes += len(frame.tail)
        self._forget()

    def _forget(self) -> None:
        oldest = self._clock() - self._limits.resume_s
        while self._recent and (
            len(self._recent) > self._limits.resume_frames
            or self._recent_bytes > self._limits.resume_bytes
            or self._recent[0][1] < oldest
        ):
            self._recent_bytes -= len(self._recent.popleft()[2].tail)


@dataclass(slots=True)
class _Card:
    """A retained pop."""

    pop: ScreenPop
    body: PopBody
    published_at: float
    ended_at: float | None = None
    acknowledged: bool = False


class PopHub:
    """Tells every browser what its user may see. Implements `crm_core.ports.Publisher`."""

    def __init__(
        self,
        limits: PushLimits | None = None,
        *,
        display: Display = plain_display,
        health: Health | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self.limits = limits or PushLimits()
        self.bodies = Bodies(display)
        self.metrics = PushMetrics()
        self._health = health
        self._clock = clock
        self._now = now
        self._version = own_version()
        self._live: dict[UserId, dict[str, PushSession]] = {}
        self._parked: dict[str, PushSession] = {}
        self._cards: dict[str, _Card] = {}
        self._calls: dict[str, tuple[LiveCall, CallBody]] = {}
        self._queues: dict[tuple[str, str], tuple[LiveQueue, QueueBody]] = {}
        self._agents: dict[UserId, tuple[LiveAgent, AgentBody]] = {}
        self._links: dict[str, LinkChanged] = {}

    # --- notices in -------------------------------------------------------------------------------

    def publish(self, notice: Notice, *, received_ns: int | None = None) -> None:
        """Hand the notice to everybody it is for, now. Never waits, never raises.

        Args:
            notice: What happened.
            received_ns: When the bytes that caused it came in (`time.monotonic_ns`); the time
                until the frame is in the socket is then measured.
        """
        self.metrics.notices += 1
        self._prune_parked()
        try:
            self._tell(notice, received_ns)
        except Exception:  # one bad notice must not stop the flow that publishes it
            self.metrics.notices_failed += 1
            log.exception("could not publish a %s", type(notice).__name__)

    def _tell(self, notice: Notice, received_ns: int | None) -> None:
        match notice:
            case PopShown(pop=pop):
                self._drop_ended_cards(pop.agent)
                self._show(pop, Pop, received_ns)
            case PopUpdated(pop=pop):
                if pop.state is PopState.ENDED:
                    self._drop_ended_cards(pop.agent, but=pop.id)
                self._show(pop, PopUpdate, received_ns)
            case PopWithdrawn():
                self._cards.pop(notice.id, None)
                frame = PopWithdrawnFrame(
                    seq=0,
                    at=self._now(),
                    id=notice.id,
                    reason=notice.reason.value,
                    by=storable(notice.by),
                )
                self._send(frame, self._of(notice.agent), received_ns)
            case CallChanged(call=call):
                self._call_changed(call, received_ns)
            case QueueChanged(queue=queue):
                self._queue_changed(queue, received_ns)
            case AgentChanged(agent=agent):
                self._agent_changed(agent, received_ns)
            case TouchLogged(touch=touch):
                to = [session for session in self._all() if sees_touch(session.user, notice.touch)]
                if to:
                    body = self.bodies.touch(touch)
                    self._send(TouchFrame(seq=0, at=self._now(), touch=body), to, received_ns)
            case LinkChanged():
                self._link_changed(notice)
            case Noticed():
                frame_ = NoticeFrame(
                    seq=0,
                    at=self._now(),
                    code=notice.code,
                    values={key: storable(value) for key, value in notice.values.items()},
                )
                to = [session for session in self._all() if hears(session.user, notice)]
                self._send(frame_, to, received_ns)
            case _:
                assert_never(notice)

    def _show(self, pop: ScreenPop, kind: type[Pop | PopUpdate], received_ns: int | None) -> None:
        body = self.bodies.pop(pop)
        old = self._cards.get(pop.id)
        self._cards[pop.id] = _Card(
            pop=pop,
            body=body,
            published_at=old.published_at if old else self._clock(),
            ended_at=self._clock() if pop.state is PopState.ENDED else None,
            acknowledged=old.acknowledged if old else False,
        )
        self._send(kind(seq=0, at=self._now(), pop=body), self._of(pop.agent), received_ns)

    def _drop_ended_cards(self, agent: UserId, *, but: str = "") -> None:
        """The card of an ended call stays until the next one; it is looked at in wrap-up."""
        for key, card in list(self._cards.items()):
            if card.pop.agent == agent and card.ended_at is not None and key != but:
                del self._cards[key]

    def _call_changed(self, call: LiveCall, received_ns: int | None) -> None:
        body = self.bodies.call(call)
        before = self._calls.get(call.id)
        if body.state == "ended":
            self._calls.pop(call.id, None)
        else:
            self._calls[call.id] = (call, body)
        sees: list[PushSession] = []
        saw: list[PushSession] = []
        for session in self._all():
            if sees_call(session.user, call):
                sees.append(session)
            elif before is not None and sees_call(session.user, before[0]):
                saw.append(session)
        self._send(CallFrame(seq=0, at=self._now(), call=body), sees, received_ns)
        if before is not None and saw:
            # It went on to others. What this user may know of it ends here.
            left = before[1].model_copy(update={"state": "ended"})
            self._send(CallFrame(seq=0, at=self._now(), call=left), saw, received_ns)

    def _queue_changed(self, queue: LiveQueue, received_ns: int | None) -> None:
        body = self.bodies.queue(queue)
        before = self._queues.get((queue.pbx, queue.name))
        self._queues[queue.pbx, queue.name] = (queue, body)
        sees: list[PushSession] = []
        for session in self._all():
            if sees_queue(session.user, queue, self._team_of):
                sees.append(session)
            elif before is not None and sees_queue(session.user, before[0], self._team_of):
                self._send_snapshot(session)
        self._send(QueueFrame(seq=0, at=self._now(), queue=body), sees, received_ns)

    def _agent_changed(self, agent: LiveAgent, received_ns: int | None) -> None:
        body = self.bodies.agent(agent)
        before = self._agents.get(agent.agent)
        self._agents[agent.agent] = (agent, body)
        sees: list[PushSession] = []
        for session in self._all():
            if sees_agent(session.user, agent):
                sees.append(session)
            elif before is not None and sees_agent(session.user, before[0]):
                self._send_snapshot(session)
        self._send(AgentFrame(seq=0, at=self._now(), agent=body), sees, received_ns)

    def _link_changed(self, link: LinkChanged) -> None:
        self._links[link.name] = link
        if self._health is not None:
            self._health.set(link.name, up=link.up, message=link.message, since=link.since)
        for full in (True, False):
            body = self.bodies.link(link, full=full)
            to = [session for session in self._all() if oversees(session.user) is full]
            self._send(LinkFrame(seq=0, at=self._now(), link=body), to)

    # --- what is live -----------------------------------------------------------------------------

    def snapshot(self, user: User) -> Snapshot:
        """Everything live that the user may see, now."""
        oldest = self._clock() - self.limits.ended_pop_s
        for key, card in list(self._cards.items()):
            if card.ended_at is not None and card.ended_at < oldest:
                del self._cards[key]
        full = oversees(user)
        return Snapshot(
            seq=0,
            at=self._now(),
            pops=tuple(
                card.body for card in self._cards.values() if sees_pop(user, card.pop.agent)
            ),
            calls=tuple(body for call, body in self._calls.values() if sees_call(user, call)),
            queues=tuple(
                body
                for queue, body in self._queues.values()
                if sees_queue(user, queue, self._team_of)
            ),
            agents=tuple(body for agent, body in self._agents.values() if sees_agent(user, agent)),
            links=tuple(self.bodies.link(link, full=full) for link in self._links.values()),
        )

    def pops_of(self, touch: TouchId) -> list[ScreenPop]:
        """The cards on screens that belong to this touch."""
        return [card.pop for card in self._cards.values() if card.pop.touch == touch]

    def _team_of(self, agent: UserId) -> str | None:
        found = self._agents.get(agent)
        return found[0].team if found else None

    # --- browsers ---------------------------------------------------------------------------------

    def connect(self, user: User, *, sign_in: bytes) -> PushSession:
        """A browser connected: greet it. It gets changes after `start`.

        Args:
            user: Who is signed in.
            sign_in: The hash of the sign-in's token, so that signing out closes this too.
        """
        session = PushSession(user, sign_in=sign_in, limits=self.limits, clock=self._clock)
        own = self._live.setdefault(user.id, {})
        while len(own) >= self.limits.sockets_per_user:
            oldest = own.pop(next(iter(own)))
            oldest.close(REPLACED, "too many connections of one user")
            self.metrics.replaced += 1
        own[session.id] = session
        self._send(
            Hello(
                seq=0,
                at=self._now(),
                session=session.id,
                version=self._version,
                user=self.bodies.user(user),
            ),
            [session],
        )
        return session

    def start(self, session: PushSession, resume: Resume | None = None) -> None:
        """Send what the browser missed, or a snapshot, and from now on every change."""
        if session.started or session.verdict is not None:
            return
        session.started = True
        missed = self._missed(session, resume) if resume is not None else None
        if missed is None:
            self._send_snapshot(session)
            return
        self._send(Resumed(seq=0, at=self._now()), [session])
        for frame in missed:
            self._offer(session, frame)

    def _missed(self, session: PushSession, resume: Resume) -> list[OutFrame] | None:
        earlier = self._live.get(session.user.id, {}).get(resume.session)
        if earlier is None:
            earlier = self._parked.get(resume.session)
        missed = None
        # The session's name is no secret to the user; whose it is decides.
        if earlier is not None and earlier is not session and earlier.user == session.user:
            missed = earlier.since(resume.seq) if earlier.started else None
            earlier.close(REPLACED, "resumed elsewhere")
            self._remove(earlier)
        if missed is None:
            self.metrics.resume_misses += 1
        else:
            self.metrics.resumed += 1
        return missed

    def disconnect(self, session: PushSession) -> None:
        """The socket is gone. The session is kept for a while, unless it was ended on purpose."""
        self._remove(session)
        if not session.started or (
            session.verdict is not None and session.verdict.code != TOO_SLOW
        ):
            return
        session.park()
        self._parked[session.id] = session
        own = [key for key, parked in self._parked.items() if parked.user.id == session.user.id]
        for key in own[: -self.limits.sockets_per_user]:
            del self._parked[key]
        self._prune_parked()

    def acknowledge(self, session: PushSession, ack: Ack) -> None:
        """A card is on the screen. What is not a card of this user is ignored."""
        card = self._cards.get(ack.id)
        if card is None or not sees_pop(session.user, card.pop.agent) or card.acknowledged:
            return
        card.acknowledged = True
        self.metrics.acks += 1
        self.metrics.shown_to_acked.observe(self._clock() - card.published_at)
        if card.pop.ringing_at is not None and ack.shown_at.tzinfo is not None:
            took = (ack.shown_at - card.pop.ringing_at) / timedelta(seconds=1)
            if 0 <= took <= _LONGEST_RING_S:  # else a clock is wrong
                self.metrics.ringing_to_shown.observe(took)

    def end_sign_in(self, sign_in: bytes) -> None:
        """Close every socket of a sign-in that has ended, and forget its parked sessions."""
        self.keep_signed_in([sign_in], {})

    def keep_signed_in(self, checked: Collection[bytes], good: Mapping[bytes, User]) -> None:
        """Close what was opened by sign-ins that are no longer good, or with other rights than now.

        Who only changed in other ways, such as by a new phone, gets a snapshot.

        Args:
            checked: The sign-ins that were looked at; others stay as they are.
            good: Those that are still good, with their users as they are now.
        """
        for session in [*self._all()]:
            before, now = session.user, good.get(session.sign_in)
            if session.sign_in not in checked or now == before:
                continue
            if now is None or (now.role, now.team) != (before.role, before.team):
                session.close(SIGNED_OUT, "signed out or role changed")
                self._remove(session)
            else:
                session.user = now
                if session.started:
                    self._send_snapshot(session)

    @property
    def sign_ins(self) -> frozenset[bytes]:
        """The sign-ins of all browsers that are connected."""
        return frozenset(session.sign_in for own in self._live.values() for session in own.values())

    @property
    def connected(self) -> int:
        """How many browsers are connected."""
        return sum(len(own) for own in self._live.values())

    def _remove(self, session: PushSession) -> None:
        self._parked.pop(session.id, None)
        own = self._live.get(session.user.id)
        if own is not None and own.get(session.id) is session:
            del own[session.id]
            if not own:
                del self._live[session.user.id]

    def _prune_parked(self) -> None:
        oldest = self._clock() - self.limits.resume_s
        for key, session in list(self._parked.items()):  # oldest first
            late = session.parked_at is not None and session.parked_at < oldest
            if not late and len(self._parked) <= _MOST_PARKED:
                break
            del self._parked[key]

    # --- frames out -------------------------------------------------------------------------------

    def _all(self) -> Iterable[PushSession]:
        for own in self._live.values():
            yield from own.values()
        yield from self._parked.values()

    def _of(self, user: UserId) -> list[PushSession]:
        parked = [session for session in self._parked.values() if session.user.id == user]
        return [*self._live.get(user, {}).values(), *parked]

    def _send_snapshot(self, session: PushSession) -> None:
        self.metrics.snapshots += 1
        self._send(self.snapshot(session.user), [session])

    def _send(
        self, frame: ServerFrame, to: Iterable[PushSession], received_ns: int | None = None
    ) -> None:
        out: OutFrame | None = None
        for session in to:
            if not session.started and not isinstance(frame, Hello):
                continue
            if out is None:
                out = OutFrame(
                    tail=frame.model_dump_json(exclude={"seq"}).encode()[1:],
                    received_ns=received_ns,
                )
            self._offer(session, out)

    def _offer(self, session: PushSession, frame: OutFrame) -> None:
        self.metrics.frames += 1
        if not session.offer(frame):
            self.metrics.evicted += 1
            log.warning(
                "closing a socket of %s, which does not read",
                session.user.login,
                extra={"action": "push_evicted", "user": session.user.id},
            )

    def sent(self, frame: OutFrame, size: int) -> None:
        """A frame went into its socket."""
        self.metrics.frames_sent += 1
        self.metrics.bytes_sent += size
        if frame.received_ns is not None:
            took = (time.monotonic_ns() - frame.received_ns) / 1e9
            self.metrics.received_to_sent.observe(max(took, 0.0))
