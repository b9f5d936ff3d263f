"""Call changes become touches in the history and cards on screens.

This page is what the product does when a phone rings:

1. `CallService.take` asks the tracker what an event of the PBX means. It does no I/O, so a slow
   database never delays reading from the PBX.
2. `CallService.run` takes what has gathered since, and in ONE transaction finds out who each new
   caller is and writes the touches (`_record`).
3. Only after the commit it tells the screens (`_announce`). A lost push is healed by the snapshot a
   browser gets; a lost touch would be healed by nothing.

A transaction that fails because the database is away is repeated whole: touches are opened by key,
so nothing is logged twice.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from crm_core.directory import Directory
from crm_core.errors import StoreUnavailable
from crm_core.model import (
    Direction,
    Match,
    Medium,
    Outcome,
    Party,
    PartyKind,
    Touch,
    User,
    UserId,
)
from crm_core.notices import (
    CallChanged,
    LiveCall,
    LiveParticipant,
    Notice,
    PopShown,
    PopState,
    PopUpdated,
    PopWithdrawn,
    ScreenPop,
    TouchLogged,
    WithdrawReason,
)
from crm_core.phone import PhoneRules, normalise
from crm_core.ports import NewTouch, Publisher, Store, UnitOfWork
from crm_core.touches import match_party
from cti.ami.events import AmiEvent, SnapshotEnded
from cti.model import (
    Anomaly,
    Call,
    CallAnswered,
    CallChange,
    CallChangedParty,
    CallDirection,
    CallEnded,
    CallHeld,
    CallId,
    CallLeftQueue,
    CallOutcome,
    CallQueued,
    CallResumed,
    CallRinging,
    CallsMerged,
    CallStarted,
    Leg,
    LegEnded,
    LegResult,
    LegRole,
)
from cti.record import call_record
from cti.tracker import CallTracker

log = logging.getLogger(__name__)

BATCH = 200
"""Changes that share one transaction: more only delay the first pop of the batch."""

_RETRY_FIRST_S, _RETRY_LONGEST_S = 0.2, 5.0

_WITHDRAWN = {
    LegResult.ANSWERED_ELSEWHERE: WithdrawReason.ANSWERED_ELSEWHERE,
    LegResult.NO_ANSWER: WithdrawReason.NO_ANSWER,
    LegResult.BUSY: WithdrawReason.BUSY,
    LegResult.REJECTED: WithdrawReason.REJECTED,
    LegResult.CANCELLED: WithdrawReason.ABANDONED,
    LegResult.FAILED: WithdrawReason.FAILED,
}


_ACTIONS = {
    CallStarted: "call_started",
    CallAnswered: "call_answered",
    CallEnded: "call_ended",
}


@dataclass(slots=True)
class CallMetrics:
    """What a supervisor of the daemon wants to know about one PBX."""

    events: int = 0
    changes: int = 0
    anomalies: int = 0
    repeated: int = 0
    """Transactions repeated because the database was away."""
    skipped: int = 0
    """Changes that could not be logged at all: a defect of ours, each with a log line."""


@dataclass(slots=True)
class _Live:
    """What we know beyond the tracker about a call in progress."""

    call: Call
    touch: Touch
    party: Party
    match: Match
    recent: tuple[Touch, ...] = ()
    pops: dict[UserId, ScreenPop] = field(default_factory=dict)
    rung: dict[UserId, User] = field(default_factory=dict)
    waiting_in: str = ""
    """The queue it waits in now."""


@dataclass(frozen=True, slots=True)
class _Due:
    change: CallChange
    received_ns: int


class CallService:
    """Logs the calls of one PBX and tells the agents."""

    def __init__(
        self,
        *,
        pbx: str,
        tracker: CallTracker,
        store: Store,
        publisher: Publisher,
        directory: Directory,
        rules: PhoneRules,
        own: AbstractSet[str] = frozenset(),
        announced: Callable[[CallChange], None] = lambda _change: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`announced` is told of each change once it is stored and on its way to the screens."""
        self.pbx = pbx
        self.metrics = CallMetrics()
        self._tracker = tracker
        self._store = store
        self._publisher = publisher
        self._directory = directory
        self._rules = rules
        self._own = own
        self._announced = announced
        self._now = now
        self._due: deque[_Due] = deque()
        self._wake = asyncio.Event()
        self._live: dict[CallId, _Live] = {}
        self._closing = False
        self._unfinished: dict[str, Touch] | None = None
        """Touches that an earlier run of the daemon left in progress; None until loaded."""
        self._settle = False

    # --- 1. what an event means -------------------------------------------------------------------

    def take(self, event: AmiEvent, received_ns: int) -> None:
        """Follow one event of the PBX. Never waits, never raises for what the PBX sends."""
        self.metrics.events += 1
        for change in self._tracker.handle(event):
            if isinstance(change, Anomaly):
                self.metrics.anomalies += 1
                log.debug(
                    "%s: %s: %s",
                    self.pbx,
                    change.event,
                    change.reason,
                    extra={"action": "ami_surprise", "pbx": self.pbx},
                )
                continue
            self.metrics.changes += 1
            self._due.append(_Due(change, received_ns))
            self._wake.set()
        if isinstance(event, SnapshotEnded) and event.complete:
            self._settle = True
            self._wake.set()

    @property
    def backlog(self) -> int:
        """Changes that are not logged yet."""
        return len(self._due)

    # --- 2. one transaction -----------------------------------------------------------------------

    async def run(self) -> None:
        """Log and announce until `close` was called and everything is logged."""
        while True:
            if not self._due and not self._settle:
                if self._closing:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            batch = [self._due[i] for i in range(min(len(self._due), BATCH))]
            await self._log(batch)
            for _ in batch:
                self._due.popleft()
            if self._settle and not self._due:
                self._settle = False
                await self._settle_unfinished()

    def close(self) -> None:
        """Let `run` return when everything that was taken is logged. Idempotent."""
        self._closing = True
        self._wake.set()

    async def _log(self, batch: Sequence[_Due]) -> None:
        try:
            await self._transact(batch)
        except Exception:
            if len(batch) == 1:
                # A defect of ours: say it with the change, and keep the calls behind it flowing.
                self.metrics.skipped += 1
                log.exception(
                    "%s: a call change could not be logged: %r",
                    self.pbx,
                    batch[0].change,
                    extra={"action": "call_change_skipped", "pbx": self.pbx},
                )
                return
            for due in batch:
                await self._log([due])
            return
        for due in batch:
            self._say(due.change)
            for notice in self._announce(due.change):
                self._publisher.publish(notice, received_ns=due.received_ns)
                if isinstance(notice, PopShown):
                    log.info(
                        "card %s shown: %s",
                        notice.pop.id,
                        notice.pop.match.result.value,
                        extra={"action": "pop_shown", "pop": notice.pop.id},
                    )
            self._announced(due.change)

    def _say(self, change: CallChange) -> None:
        """One line for each call that begins, is answered or ends."""
        if isinstance(change, CallStarted | CallAnswered | CallEnded):
            call = change.call
            log.info(
                "%s: %s call %s %s",
                self.pbx,
                call.direction.value,
                call.id,
                f"ended: {call.outcome.value if call.outcome else 'unknown'}"
                if isinstance(change, CallEnded)
                else "answered"
                if isinstance(change, CallAnswered)
                else "began",
                extra={"action": _ACTIONS[type(change)], "pbx": self.pbx, "call": call.id},
            )

    async def _transact(self, batch: Sequence[_Due]) -> None:
        """Record the batch; while the database is away, wait and begin again."""
        pause = _RETRY_FIRST_S
        while any(self._must_record(due.change) for due in batch):
            staged: dict[CallId, _Live] = {}
            try:
                async with self._store.begin() as uow:
                    if self._unfinished is None:
                        left = await uow.touches.unfinished(key_prefix=f"call:{self.pbx}:")
                        self._unfinished = {touch.key: touch for touch in left}
                    for due in batch:
                        await self._record(uow, due.change, staged)
                    await uow.commit()
            except StoreUnavailable as error:
                self.metrics.repeated += 1
                self._say_away(error)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                pause = min(pause * 2, _RETRY_LONGEST_S)
                continue
            self._live.update(staged)
            return

    def _must_record(self, change: CallChange) -> bool:
        return change.call.id not in self._live or isinstance(
            change, CallChangedParty | CallAnswered | CallsMerged | CallEnded
        )

    async def _record(
        self, uow: UnitOfWork, change: CallChange, staged: dict[CallId, _Live]
    ) -> None:
        """Write what the change means for the history. Repeatable until committed."""
        call = change.call
        live = staged.get(call.id) or self._live.get(call.id)
        if live is None:
            live = staged[call.id] = await self._open(uow, call)
        match change:
            case CallChangedParty() if self._party(call) != live.party:
                party = self._party(call)
                found, recent = await match_party(uow, party, own=self._own)
                touch = await uow.touches.change(live.touch.id, party=party, match=found)
                staged[call.id] = replace(
                    live, touch=touch, party=party, match=found, recent=tuple(recent)
                )
            case CallAnswered():
                if user := self._talker(change):
                    touch = await uow.touches.change(
                        live.touch.id, agent=user.id, agent_name=user.name, team=user.team
                    )
                    staged[call.id] = replace(live, touch=touch)
            case CallsMerged():
                gone = staged.get(change.merged) or self._live.get(change.merged)
                if gone is not None:
                    touch = await uow.touches.change(
                        gone.touch.id,
                        outcome=Outcome.MERGED,
                        ended_at=self._time(change.at),
                        details={"merged_into": call.id},
                    )
                    staged[change.merged] = replace(gone, touch=touch)
            case CallEnded():
                touch = await uow.touches.change(live.touch.id, **self._final(live, call))
                staged[call.id] = replace(live, touch=touch)
            case _:
                pass

    async def _open(self, uow: UnitOfWork, call: Call) -> _Live:
        party = self._party(call)
        found, recent = await match_party(uow, party, own=self._own)
        user = self._own_caller(call)
        touch, _ = await uow.touches.open(
            NewTouch(
                key=f"call:{call.id}",
                medium=Medium.PHONE,
                direction=Direction(call.direction.value),
                outcome=Outcome.IN_PROGRESS,
                at=self._time(call.started_at),
                party=party,
                match=found,
                agent=user.id if user else None,
                team=user.team if user else "",
                subject=self._dialed(call),
            )
        )
        if self._unfinished:
            self._unfinished.pop(touch.key, None)
        earlier = tuple(t for t in recent if t.id != touch.id)
        return _Live(call=call, touch=touch, party=party, match=found, recent=earlier)

    def _final(self, live: _Live, call: Call) -> dict[str, object]:
        """The fields of a touch whose call is over."""
        fields: dict[str, object] = {
            "outcome": Outcome(call.outcome.value) if call.outcome else Outcome.UNKNOWN,
            "ended_at": self._time(call.ended_at),
            "subject": call.queue or self._dialed(call),
            "ring_s": call.ring_s,
            "wait_s": call.wait_s,
            "talk_s": call.talk_s,
            "hold_s": call.hold_s,
            "details": call_record(call),
        }
        if not live.touch.team and live.rung:
            # Nobody talked: the missed call belongs to the team whose phones rang.
            fields["team"] = next(iter(live.rung.values())).team
        return fields

    async def _settle_unfinished(self) -> None:
        """End the touches of calls that were over before we could see it: outcome unknown.

        Called once the PBX has told everything that is live now.
        """
        while True:
            try:
                async with self._store.begin() as uow:
                    left = self._unfinished
                    if left is None:
                        found = await uow.touches.unfinished(key_prefix=f"call:{self.pbx}:")
                        left = {touch.key: touch for touch in found}
                    alive = {f"call:{call.id}" for call in self._tracker.calls()}
                    gone = [touch for key, touch in left.items() if key not in alive]
                    ended = [
                        await uow.touches.change(touch.id, outcome=Outcome.UNKNOWN)
                        for touch in gone
                    ]
                    await uow.commit()
            except StoreUnavailable as error:
                self._say_away(error)
                await asyncio.sleep(_RETRY_FIRST_S)
                continue
            self._unfinished = {}
            for touch in ended:
                log.info(
                    "%s: touch %d ended while we could not see it",
                    self.pbx,
                    touch.id,
                    extra={"action": "call_lost_in_gap", "pbx": self.pbx, "touch": touch.id},
                )
                self._publisher.publish(TouchLogged(touch=touch, team=touch.team))
            return

    def _say_away(self, error: StoreUnavailable) -> None:
        log.warning(
            "%s: the database is away, %d changes wait: %s",
            self.pbx,
            len(self._due),
            error,
            extra={"action": "database_away", "pbx": self.pbx, "waiting": len(self._due)},
        )

    # --- 3. tell the screens ----------------------------------------------------------------------

    def _announce(self, change: CallChange) -> Iterator[Notice]:
        """What screens are told, now that it is stored."""
        call = change.call
        live = self._live.get(call.id)
        if live is None:
            return
        live.call = call
        match change:
            case CallStarted():
                if user := self._own_caller(call):
                    yield self._show(live, user, ringing_at=change.at)
            case CallChangedParty():
                for user_id in list(live.pops):
                    yield self._update(live, user_id, party=live.party, match=live.match)
            case CallQueued():
                live.waiting_in = change.queue
            case CallLeftQueue():
                live.waiting_in = ""
            case CallRinging(leg=leg):
                user = self._user(leg)
                if user and leg.role is not LegRole.CALLER:
                    live.rung[user.id] = user
                    if user.id not in live.pops:
                        yield self._show(live, user, ringing_at=change.at)
            case CallAnswered():
                live.waiting_in = ""
                if user := self._talker(change):
                    if user.id not in live.pops:
                        yield self._show(live, user, ringing_at=None)
                    yield self._update(
                        live,
                        user.id,
                        state=PopState.CONNECTED,
                        answered_at=self._maybe_time(change.at),
                        waited_s=call.wait_s,
                    )
            case CallHeld(leg=leg) | CallResumed(leg=leg):
                user = self._user(leg)
                if user and user.id in live.pops:
                    state = PopState.HELD if isinstance(change, CallHeld) else PopState.CONNECTED
                    yield self._update(live, user.id, state=state)
            case LegEnded(leg=leg):
                yield from self._leg_ended(live, leg, change)
            case CallsMerged():
                yield from self._merged(live, change)
            case CallEnded():
                for user_id, pop in list(live.pops.items()):
                    if pop.state is PopState.RINGING and call.outcome is not CallOutcome.ANSWERED:
                        yield self._withdraw(live, user_id, _reason_of(call.outcome))
                    else:
                        yield self._end(live, user_id, change.at)
                del self._live[call.id]
                yield TouchLogged(
                    touch=live.touch, agents=self._concerned(live), team=live.touch.team
                )
            case _:
                pass
        yield CallChanged(call=self._live_call(live))

    def _show(self, live: _Live, user: User, *, ringing_at: float | None) -> PopShown:
        call = live.call
        pop = ScreenPop(
            id=f"{call.id}/{user.id}",
            agent=user.id,
            call=call.id,
            touch=live.touch.id,
            state=PopState.RINGING,
            direction=call.direction.value,
            party=live.party,
            match=live.match,
            dialed=self._dialed(call),
            queue=call.queue,
            waited_s=_since(call.started_at, ringing_at) if call.queue else None,
            ringing_at=self._maybe_time(ringing_at),
            recent=live.recent,
        )
        live.pops[user.id] = pop
        return PopShown(pop=pop)

    def _update(self, live: _Live, user_id: UserId, **fields: object) -> PopUpdated:
        pop = replace(live.pops[user_id], **fields)  # type: ignore[arg-type]
        live.pops[user_id] = pop
        return PopUpdated(pop=pop)

    def _end(self, live: _Live, user_id: UserId, at: float | None) -> PopUpdated:
        ended = self._update(live, user_id, state=PopState.ENDED, ended_at=self._maybe_time(at))
        del live.pops[user_id]
        return ended

    def _withdraw(
        self, live: _Live, user_id: UserId, reason: WithdrawReason, by: str = ""
    ) -> PopWithdrawn:
        pop = live.pops.pop(user_id)
        return PopWithdrawn(id=pop.id, agent=user_id, reason=reason, by=by)

    def _leg_ended(self, live: _Live, leg: Leg, change: LegEnded) -> Iterator[Notice]:
        user = self._user(leg)
        if user is None or user.id not in live.pops:
            return
        if any(
            other.ended_at is None and other.uniqueid != leg.uniqueid and self._user(other) == user
            for other in live.call.legs
        ):
            return  # another phone of the same agent is still part of it
        if leg.answered:
            yield self._end(live, user.id, change.at)
            return
        by = self._user(change.answered_by) if change.answered_by else None
        name = by.name if by else change.answered_by.endpoint if change.answered_by else ""
        reason = _WITHDRAWN.get(leg.result, WithdrawReason.UNKNOWN)
        yield self._withdraw(live, user.id, reason, name)

    def _merged(self, live: _Live, change: CallsMerged) -> Iterator[Notice]:
        """The cards of a consult call become cards of the customer's call."""
        gone = self._live.pop(change.merged, None)
        if gone is None:
            return
        for user_id, pop in list(gone.pops.items()):
            yield self._withdraw(gone, user_id, WithdrawReason.TRANSFERRED)
            user = self._directory.get(user_id)
            if user and user_id not in live.pops and pop.state is not PopState.ENDED:
                yield self._show(live, user, ringing_at=None)
                if pop.state is not PopState.RINGING:
                    yield self._update(
                        live, user_id, state=pop.state, answered_at=self._maybe_time(change.at)
                    )
        live.rung |= gone.rung
        yield CallChanged(call=replace(self._live_call(gone), state="ended"))

    def match_chosen(self, touch: Touch, recent: tuple[Touch, ...]) -> None:
        """An agent chose who the caller is: the cards of the call go on with that."""
        for live in self._live.values():
            if live.touch.id == touch.id:
                live.touch, live.match, live.recent = touch, touch.match, recent
                for user_id, pop in list(live.pops.items()):
                    live.pops[user_id] = replace(pop, match=touch.match, recent=recent)

    # --- words ------------------------------------------------------------------------------------

    def calls(self) -> list[Call]:
        """The calls in progress that are logged."""
        return [live.call for live in self._live.values()]

    def who(self, uniqueid: str) -> tuple[CallId, Party, Match] | None:
        """The call, party and match of a channel in progress, for the queue board."""
        for live in self._live.values():
            if any(leg.uniqueid == uniqueid for leg in live.call.legs):
                return live.call.id, live.party, live.match
        return None

    def _user(self, leg: Leg) -> User | None:
        return self._directory.at(self.pbx, leg.endpoint) if leg.is_phone else None

    def _own_caller(self, call: Call) -> User | None:
        """The agent who dialled out, or None when the call came to us."""
        if call.direction is not CallDirection.OUTBOUND:
            return None
        callers = (leg for leg in call.legs if leg.role is LegRole.CALLER)
        return next((user for leg in callers if (user := self._user(leg))), None)

    def _talker(self, change: CallAnswered) -> User | None:
        """The agent who now talks with the customer."""
        return self._user(change.leg) or self._own_caller(change.call)

    def _party(self, call: Call) -> Party:
        """The far end of the call: the customer, or for an internal call the colleague."""
        if call.direction is CallDirection.OUTBOUND:
            return normalise(call.dialed, self._rules)
        if call.presentation.startswith("prohib"):
            return Party(kind=PartyKind.WITHHELD, address="", raw="", name="")
        party = normalise(call.caller.number, self._rules, name=call.caller.name)
        if call.direction is CallDirection.INTERNAL:
            return replace(party, kind=PartyKind.INTERNAL, address=call.caller.number)
        return party

    def _dialed(self, call: Call) -> str:
        """What was dialled: E.164 when it is a public number, else as the PBX has it."""
        party = normalise(call.dialed, self._rules)
        return party.address if party.kind is PartyKind.PHONE else call.dialed

    def _concerned(self, live: _Live) -> tuple[UserId, ...]:
        """Whom the touch is for: who took part, whose phone rang, who owns the customer."""
        found = dict.fromkeys(live.rung)
        if live.touch.agent is not None:
            found[live.touch.agent] = None
        if live.match.contact and live.match.contact.owner is not None:
            found[live.match.contact.owner] = None
        return tuple(found)

    def _live_call(self, live: _Live) -> LiveCall:
        call = live.call
        return LiveCall(
            id=call.id,
            pbx=self.pbx,
            direction=call.direction.value,
            state=_state(live),
            party=live.party,
            match=live.match,
            dialed=self._dialed(call),
            queue=call.queue,
            started_at=self._time(call.started_at),
            answered_at=self._maybe_time(call.answered_at),
            participants=tuple(
                LiveParticipant(
                    endpoint=leg.endpoint,
                    agent=user.id if (user := self._user(leg)) else None,
                    name=user.name if user else "",
                    state=_leg_state(leg),
                )
                for leg in call.legs
                if leg.is_phone and leg.ended_at is None
            ),
            team=live.touch.team,
        )

    def _time(self, at: float | None) -> datetime:
        return datetime.fromtimestamp(self._now() if at is None else at, UTC)

    def _maybe_time(self, at: float | None) -> datetime | None:
        return None if at is None else self._time(at)


def _state(live: _Live) -> str:
    call = live.call
    if call.ended:
        return "ended"
    if any(pop.state is PopState.HELD for pop in live.pops.values()):
        return "held"
    if live.waiting_in:
        return "queued"
    present = [leg for leg in call.legs if leg.ended_at is None]
    if call.answered_at is not None and any(leg.answered for leg in present):
        return "talking"
    if any(leg.rang and not leg.answered for leg in present):
        return "ringing"
    return "started" if call.answered_at is None else "talking"


def _leg_state(leg: Leg) -> str:
    if leg.answered:
        return "talking"
    return "ringing" if leg.rang else "dialing"


def _since(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else max(0.0, end - start)


def _reason_of(outcome: CallOutcome | None) -> WithdrawReason:
    match outcome:
        case CallOutcome.ABANDONED:
            return WithdrawReason.ABANDONED
        case CallOutcome.BUSY:
            return WithdrawReason.BUSY
        case CallOutcome.FAILED:
            return WithdrawReason.FAILED
        case CallOutcome.NO_ANSWER | CallOutcome.VOICEMAIL:
            return WithdrawReason.NO_ANSWER
        case _:
            return WithdrawReason.UNKNOWN
