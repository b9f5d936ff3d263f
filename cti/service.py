"""Call changes become touches in the history and cards on screens.

This page is what the product does when a phone rings:

1. `CallService.take` asks the tracker what an event of the PBX means. It does no I/O, so a slow
   database never delays reading from the PBX.
2. `CallService.run` takes what has gathered since, and in ONE transaction finds out who each new
   caller is and writes the touches (`_record`).
3. Only after the commit it tells the screens (`_announce`). A lost push is healed by the snapshot a
   browser gets; a lost touch would be healed by nothing.

A transaction that fails because the database is away is repeated whole: touches are opened by key,
so nothing is logged twice. What a transaction writes counts for the screens once it is committed.
A ring that was over before it could be logged is in the history, but shown to nobody.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
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
from cti.ami.events import AmiEvent, LinkLost, SnapshotEnded
from cti.model import (
    ADOPTED_BY_AUDIT,
    CLOSED_BY_AUDIT,
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
    CallTransferred,
    Gap,
    Leg,
    LegEnded,
    LegResult,
    LegRole,
    TransferKind,
)
from cti.record import call_record
from cti.recovery.reconstruct import Reconstruction
from cti.recovery.search import Unsettled
from cti.tracker import CallTracker

log = logging.getLogger(__name__)

BATCH = 200
"""Changes that share one transaction: more only delay the first pop of the batch."""
MOST_WAITING = 20_000
"""Changes that may wait for the database, some 2 KB each; then the PBX has to wait (`room`)."""

_RETRY_FIRST_S, _RETRY_LONGEST_S = 0.2, 5.0
_ANSWERED = Outcome.ANSWERED.value
_RECENT = 5
"""So many of a customer's last touches are on a card."""

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
    closed_by_audit: int = 0
    adopted_by_audit: int = 0
    """Channels that an audit found gone or there, though no event had said so: events were lost."""
    skipped: int = 0
    """Changes that could not be logged at all: a defect of ours, each with a log line."""


@dataclass(slots=True)
class _Live:
    """What we know beyond the tracker about a call in progress."""

    call: Call
    touch: Touch
    """As it is stored."""
    party: Party
    """The far end as the call last showed it; what is stored may be better (`_open`)."""
    recent: tuple[Touch, ...] = ()
    """The customer's last touches before this one."""
    chosen: bool = False
    """True when an agent said who it is; that outlives a transaction that is under way."""
    pops: dict[UserId, ScreenPop] = field(default_factory=dict)
    waiting_in: str = ""
    """The queue it waits in now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """What a transaction makes of a call; it counts once it is committed."""

    call: Call
    touch: Touch
    party: Party
    recent: tuple[Touch, ...] = ()
    identified: bool = False
    """True when who it is was asked anew."""


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
        unsettled: Callable[[Unsettled], None] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`announced` is told of each change once it is stored and on its way to the screens.

        `unsettled` is told of calls that ended unseen, to look for them in the PBX's records: it
        answers by `reconstructed` or `given_up`. Without it, how they ended is unknown at once.
        """
        self.pbx = pbx
        self.metrics = CallMetrics()
        self._tracker = tracker
        self._store = store
        self._publisher = publisher
        self._directory = directory
        self._rules = rules
        self._own = own
        self._announced = announced
        self._unsettled = unsettled
        self._now = now
        self._due: deque[_Due] = deque()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._live: dict[CallId, _Live] = {}
        self._over: set[str] = set()
        """Legs that have ended, though that is not announced yet: they ring nowhere any more."""
        self._faulty: set[CallId] = set()
        """Calls in progress of which a change could not be logged."""
        self._closing = False
        self._settle = False
        """True when the PBX told everything that is live, and touches may be left over."""
        self._listed = False
        """True once the PBX told everything that is live for the first time."""
        self._heard_at: float | None = None
        """When the PBX last told anything, by its own clock."""
        self._gap_since: float | None = None
        """Calls may have been missed since then."""
        self._missed_in = Gap.NOT_RUNNING
        directory.watch(self._users_changed)

    # --- 1. what an event means -------------------------------------------------------------------

    def take(self, event: AmiEvent, received_ns: int) -> None:
        """Follow one event of the PBX. Never waits, never raises for what the PBX sends."""
        self.metrics.events += 1
        if isinstance(event, LinkLost):
            if self._gap_since is None:
                self._gap_since, self._missed_in = self._heard_at, Gap.LINK_LOST
        elif event.at is not None:
            self._heard_at = event.at
        for change in self._tracker.handle(event):
            if isinstance(change, Anomaly):
                self.metrics.anomalies += 1
                closed, adopted = (
                    change.reason == CLOSED_BY_AUDIT,
                    change.reason == ADOPTED_BY_AUDIT,
                )
                self.metrics.closed_by_audit += closed
                self.metrics.adopted_by_audit += adopted
                log.log(
                    logging.WARNING if closed or adopted else logging.DEBUG,
                    "%s: %s: %s",
                    self.pbx,
                    change.event,
                    change.reason,
                    extra={"action": "ami_surprise", "pbx": self.pbx},
                )
                continue
            self.metrics.changes += 1
            self._due.append(_Due(change, received_ns))
            if isinstance(change, LegEnded):
                self._over.add(change.leg.uniqueid)
            elif isinstance(change, CallEnded) and change.call.lost and self._listed:
                self._settle = True
            self._wake.set()
        if len(self._due) >= MOST_WAITING:
            self._room.clear()
        if isinstance(event, SnapshotEnded) and event.complete:
            self._settle = self._listed = True
            self._wake.set()

    @property
    def backlog(self) -> int:
        """Changes that are not logged yet."""
        return len(self._due)

    async def room(self) -> None:
        """Wait while more changes wait for the database than the memory is meant for.

        Whoever feeds `take` asks now and then. A feeder that waits here keeps its events with it;
        what does not fit there either is taken up anew from the PBX's lists.
        """
        await self._room.wait()

    # --- 2. one transaction -----------------------------------------------------------------------

    async def run(self) -> None:
        """Log and announce until `close` was called and everything is logged."""
        await self._remember()
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
            if len(self._due) < MOST_WAITING // 2:
                self._room.set()
            await asyncio.sleep(0)  # a batch may need no transaction, and others want a turn
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
        except Exception as error:  # noqa: BLE001 - said with the change, by `_skip`
            if len(batch) > 1:
                # One of them is at fault: the others must not suffer for it.
                for due in batch:
                    await self._log([due])
                return
            self._skip(batch[0].change, error)
        for due in batch:
            self._tell(due)

    def _skip(self, change: CallChange, error: Exception) -> None:
        """A defect of ours: say it, and keep the calls behind it flowing."""
        self.metrics.skipped += 1
        call = change.call.id
        log.error(
            "%s: %s of call %s could not be logged: %s",
            self.pbx,
            type(change).__name__,
            call,
            type(error).__name__,
            exc_info=None if call in self._faulty else error,
            extra={"action": "call_change_skipped", "pbx": self.pbx, "call": call},
        )
        self._faulty.add(call)

    def _tell(self, due: _Due) -> None:
        """Announce what is stored. Never raises: the next call must be told too."""
        change = due.change
        try:
            if change.call.id in self._live:
                self._say(change)
                for notice in self._announce(change):
                    self._publish(notice, due.received_ns)
            self._announced(change)
        except Exception:
            self.metrics.skipped += 1
            log.exception(
                "%s: %s of call %s could not be told",
                self.pbx,
                type(change).__name__,
                change.call.id,
                extra={"action": "call_change_skipped", "pbx": self.pbx, "call": change.call.id},
            )
        match change:
            case LegEnded():
                self._over.discard(change.leg.uniqueid)
            case CallEnded():
                self._faulty.discard(change.call.id)
            case CallsMerged():
                self._faulty.discard(change.merged)
            case _:
                pass

    def _publish(self, notice: Notice, received_ns: int | None = None) -> None:
        self._publisher.publish(notice, received_ns=received_ns)
        if isinstance(notice, PopShown):
            log.info(
                "card %s shown: %s",
                notice.pop.id,
                notice.pop.match.result.value,
                extra={"action": "pop_shown", "pop": notice.pop.id},
            )

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
        if not any(self._must_record(due.change) for due in batch):
            return
        written: dict[CallId, _Written] = {}

        async def record(uow: UnitOfWork) -> None:
            written.clear()
            for due in batch:
                await self._record(uow, due.change, written)

        await self._repeat(record)
        for call_id, now in written.items():
            self._keep(call_id, now)

    async def _repeat(self, work: Callable[[UnitOfWork], Awaitable[None]]) -> None:
        """Do the work in a transaction, again and again while the database is away."""
        pause = _RETRY_FIRST_S
        away = False
        while True:
            try:
                async with self._store.begin() as uow:
                    await work(uow)
                    await uow.commit()
            except StoreUnavailable as error:
                away = True
                self.metrics.repeated += 1
                self._say_away(error)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                pause = min(pause * 2, _RETRY_LONGEST_S)
                continue
            if away:
                log.info(
                    "%s: the database is back",
                    self.pbx,
                    extra={"action": "database_back", "pbx": self.pbx, "waiting": len(self._due)},
                )
            return

    def _must_record(self, change: CallChange) -> bool:
        """Whether the change means anything for the history. A ring of a logged call does not."""
        live = self._live.get(change.call.id)
        if live is None:
            return True
        if isinstance(change, CallTransferred):
            talker = self._talker(change.call)
            return talker is not None and talker.id != live.touch.agent
        return isinstance(change, CallChangedParty | CallAnswered | CallsMerged | CallEnded)

    def _keep(self, call_id: CallId, written: _Written) -> None:
        """Know what was committed."""
        live = self._live.get(call_id)
        if live is None:
            self._live[call_id] = _Live(
                call=written.call,
                touch=written.touch,
                party=written.party,
                recent=written.recent,
            )
            return
        touch, recent = written.touch, written.recent
        if live.chosen and not written.identified:
            # Chosen while the transaction was under way, which did not know of it.
            touch, recent = replace(touch, match=live.touch.match), live.recent
        live.chosen &= not written.identified
        live.touch, live.party, live.recent = touch, written.party, recent

    def _now_of(self, call_id: CallId, written: dict[CallId, _Written]) -> _Written | None:
        if (now := written.get(call_id)) is not None:
            return now
        if (live := self._live.get(call_id)) is None:
            return None
        return _Written(call=live.call, touch=live.touch, party=live.party, recent=live.recent)

    async def _record(
        self, uow: UnitOfWork, change: CallChange, written: dict[CallId, _Written]
    ) -> None:
        """Write what the change means for the history. Repeatable until committed."""
        call = change.call
        now = self._now_of(call.id, written)
        if now is None:
            now = await self._open(uow, call)
        fields: dict[str, object] = {}
        if isinstance(change, CallChangedParty | CallsMerged):
            now, fields = await self._identify(uow, call, now)
        if isinstance(change, CallAnswered | CallTransferred | CallsMerged | CallEnded):
            fields |= self._talked(call, now.touch)
        if isinstance(change, CallAnswered) and not now.touch.details:
            fields["details"] = {"outcome": _ANSWERED}  # should the end be hidden from us
        if isinstance(change, CallEnded):
            fields |= self._final(call, now.touch)
        if fields:
            now = replace(now, touch=await uow.touches.change(now.touch.id, **fields))
        written[call.id] = now
        if isinstance(change, CallsMerged):
            gone = self._now_of(change.merged, written)
            if gone is not None:
                touch = await uow.touches.change(
                    gone.touch.id,
                    outcome=Outcome.MERGED,
                    ended_at=self._maybe_time(change.at),
                    details={"merged_into": call.id},
                )
                written[change.merged] = replace(gone, touch=touch)

    async def _open(self, uow: UnitOfWork, call: Call) -> _Written:
        """The call's touch, new or left in progress by an earlier run of the daemon.

        Who it is was seen from the call's beginning then; what the PBX lists now may be less.
        """
        party = self._party(call)
        at = self._time(call.started_at)
        found, recent = await match_party(uow, party, own=self._own, at=at, recent=_RECENT + 1)
        user = self._own_caller(call)
        touch, created = await uow.touches.open(
            NewTouch(
                key=f"call:{call.id}",
                medium=Medium.PHONE,
                direction=Direction(call.direction.value),
                outcome=Outcome.IN_PROGRESS,
                at=at,
                party=party,
                match=found,
                agent=user.id if user else None,
                team=user.team if user else "",
                subject=self._dialed(call),
            )
        )
        earlier = _earlier(recent, touch) if created else await self._recent(uow, touch)
        return _Written(call=call, touch=touch, party=party, recent=earlier)

    async def _identify(
        self, uow: UnitOfWork, call: Call, now: _Written
    ) -> tuple[_Written, dict[str, object]]:
        """What is known better by now of who called whom."""
        touch = now.touch
        fields: dict[str, object] = {}
        party = self._party(call)
        if party != now.party:
            fields["party"] = party
            # A name alone makes nobody another customer, and unsays no agent's choice.
            if (party.kind, party.address) != (touch.party.kind, touch.party.address):
                match, recent = await match_party(
                    uow, party, own=self._own, at=touch.at, recent=_RECENT + 1
                )
                fields["match"] = match
                now = replace(now, recent=_earlier(recent, touch), identified=True)
            now = replace(now, party=party)
        if call.direction.value != touch.direction.value:
            fields["direction"] = Direction(call.direction.value)
        if (dialed := self._dialed(call)) != touch.subject:
            fields["subject"] = dialed
        user = self._own_caller(call)
        if user is not None and touch.agent is None:
            fields |= {"agent": user.id, "agent_name": user.name, "team": user.team}
        return now, fields

    async def _recent(self, uow: UnitOfWork, touch: Touch) -> tuple[Touch, ...]:
        contact = touch.match.contact
        if contact is None:
            return ()
        return _earlier(await uow.touches.of_contact(contact.contact, limit=_RECENT + 1), touch)

    def _talked(self, call: Call, touch: Touch) -> dict[str, object]:
        """The agent who talks with the customer now, if that is another one than before."""
        user = self._talker(call)
        if user is None or user.id == touch.agent:
            return {}
        return {"agent": user.id, "agent_name": user.name, "team": user.team}

    def _final(self, call: Call, touch: Touch) -> dict[str, object]:
        """The fields of a touch whose call is over."""
        if touch.outcome is Outcome.MERGED:
            return {}  # a restart tore the call in two: the other one has it all
        details = call_record(call)
        if call.partial:
            details["partial"] = True
        if call.gap is not None:
            details["gap"] = call.gap.value
        if call.lost and call.answered_at is not None:
            details["answered_at"] = call.answered_at
        if _hides_number(call):
            details["caller"] = {"number": "", "name": ""}
        outcome = Outcome(call.outcome.value) if call.outcome else Outcome.UNKNOWN
        if call.partial and touch.details.get("outcome") == _ANSWERED:
            outcome, details["outcome"] = Outcome.ANSWERED, _ANSWERED  # before a gap
        if call.lost and self._unsettled is not None:
            outcome = Outcome.IN_PROGRESS  # until it is found in the PBX's records, or is not
        fields: dict[str, object] = {
            "outcome": outcome,
            "subject": call.queue or self._dialed(call),
            "ring_s": call.ring_s,
            "wait_s": call.wait_s,
            "talk_s": call.talk_s,
            "hold_s": call.hold_s,
            "details": details,
        }
        if call.ended_at is not None:
            fields["ended_at"] = self._time(call.ended_at)
        elif call.started_at is None:  # a PBX that tells no times: the end is now
            fields["ended_at"] = self._time(None)
        rung = [user.team for user in self._rung(call) if user.team]
        if not touch.team and self._talker(call) is None and rung:
            # Nobody talked: the missed call belongs to the team whose phones rang.
            fields["team"] = Counter(rung).most_common(1)[0][0]
        return fields

    async def _settle_unfinished(self) -> None:
        """See to the touches of calls that were over before we could see it.

        Called once the PBX has told everything that is live now, and all of that is logged.
        """
        over: list[Touch] = []
        since, self._gap_since = self._gap_since, None
        until = self._now() if self._heard_at is None else self._heard_at

        async def settle(uow: UnitOfWork) -> None:
            left = await uow.touches.unfinished(key_prefix=f"call:{self.pbx}:")
            # Asked now: calls may have begun or ended since.
            alive = {call.id for call in self._tracker.calls()}
            alive |= self._live.keys() | {due.change.call.id for due in self._due}
            over[:] = [touch for touch in left if touch.key.removeprefix("call:") not in alive]
            if self._unsettled is None:
                over[:] = [
                    await uow.touches.change(touch.id, **_unknown_fields(touch)) for touch in over
                ]

        try:
            await self._repeat(settle)
        except Exception:
            log.exception(
                "%s: touches that were left in progress could not be ended",
                self.pbx,
                extra={"action": "settling_failed", "pbx": self.pbx},
            )
            return
        if self._unsettled is None:
            self._tell_ended(over)
            return
        self._unsettled(Unsettled(touches=over, since=since, until=until, gap=self._missed_in))

    def _tell_ended(self, ended: Sequence[Touch]) -> None:
        for touch in ended:
            log.info(
                "%s: touch %d ended while we could not see it",
                self.pbx,
                touch.id,
                extra={"action": "call_lost_in_gap", "pbx": self.pbx, "touch": touch.id},
            )
            agents = () if touch.agent is None else (touch.agent,)
            self._publish(TouchLogged(touch=touch, agents=agents, team=touch.team))

    # --- calls that ended unseen (`cti.recovery.search.Ledger`) -----------------------------------

    async def _remember(self) -> None:
        """Learn when an earlier run was last alive: calls since then may have been missed."""
        if self._unsettled is None:
            return
        last: list[float] = []

        async def look(uow: UnitOfWork) -> None:
            found, _ = await uow.touches.page(medium=Medium.PHONE, limit=200)
            mine = f"call:{self.pbx}:"
            last[:] = [touch.at.timestamp() for touch in found if touch.key.startswith(mine)]

        await self._repeat(look)
        if last and self._gap_since is None:
            self._gap_since = max(last)

    def live_ids(self) -> AbstractSet[str]:
        """The linkedids and Uniqueids of calls in progress."""
        calls = self._tracker.calls()
        ids = {leg.uniqueid for call in calls for leg in call.legs}
        return ids | {linkedid for call in calls for linkedid in call.linkedids}

    async def reconstructed(
        self, found: Reconstruction, touches: Sequence[Touch], missed_in: Gap
    ) -> bool:
        """Write what the PBX's records say of a call that ended unseen.

        A touch with a known outcome is never changed, and what we saw ourselves counts for more.
        False when there was nothing to write.
        """
        ended: list[Touch] = []
        call = found.call

        async def write(uow: UnitOfWork) -> None:
            ended.clear()
            keys = [f"call:{self.pbx}:{one}" for one in sorted(found.ids)]
            known = [touch for key in keys if (touch := await uow.touches.by_key(key))]
            known += [now for old in touches if (now := await uow.touches.get(old.id))]
            left = {touch.id: touch for touch in known if touch.outcome is Outcome.IN_PROGRESS}
            own = [touch for touch in left.values() if touch.key == f"call:{call.id}"]
            if known and not left:
                return
            first = (own or list(left.values()) or [(await self._open(uow, call)).touch])[0]
            gap = Gap.NOT_RUNNING if known else missed_in
            fields = self._found_fields(found, first, gap)
            ended.append(await uow.touches.change(first.id, **fields))
            for touch in left.values():
                if touch.id != first.id:
                    details = touch.details | {
                        "merged_into": first.key.removeprefix("call:"),
                        "reconstructed": {"source": found.source},
                    }
                    await uow.touches.change(touch.id, outcome=Outcome.MERGED, details=details)

        await self._repeat(write)
        for touch in ended:
            log.info(
                "%s: touch %d ended unseen and was found in the PBX's records: %s",
                self.pbx,
                touch.id,
                touch.outcome.value,
                extra={"action": "call_recovered", "pbx": self.pbx, "touch": touch.id},
            )
            agents = {user.id for user in self._rung(call)}
            agents |= set() if touch.agent is None else {touch.agent}
            self._publish(TouchLogged(touch=touch, agents=tuple(agents), team=touch.team))
        return bool(ended)

    def _found_fields(self, found: Reconstruction, touch: Touch, gap: Gap) -> dict[str, object]:
        """The fields of a touch whose call was found: ours where we know, else the records'.

        Who talked with whom is the records' business, they have all of the call.
        """
        call, seen = found.call, touch.details
        fields = self._final(call, touch) | self._talked(call, touch)
        for name in ("ring_s", "wait_s", "talk_s", "hold_s"):
            if (seconds := getattr(touch, name)) is not None:
                fields[name] = seconds
        if seen.get("outcome") == CallOutcome.ANSWERED.value:
            # We heard them talk, whatever the records say.
            fields["outcome"] = Outcome.ANSWERED
            if call.outcome is not CallOutcome.ANSWERED:
                fields |= {name: getattr(touch, name) for name in ("wait_s", "talk_s")}
        if not call.queue and touch.subject:
            del fields["subject"]
        record = call_record(call)
        answered_at = seen.get("answered_at")
        if (
            fields["talk_s"] is None
            and isinstance(answered_at, float)
            and call.ended_at is not None
            and len(call.talks) == 1
            and seen.get("talks") == record["talks"]
        ):  # the one talk that we saw begin, the records saw end
            fields["talk_s"] = max(0.0, call.ended_at - answered_at)
        details = {"gap": gap.value, **record, **_known(seen)}
        details |= {name: record[name] for name in ("legs", "talks") if record[name]}
        details |= {name: fields[name] for name in ("wait_s", "talk_s", "hold_s")}
        details |= {
            "outcome": fields["outcome"],
            "ended": True,
            "partial": True,
            "reconstructed": {"source": found.source},
        }
        if touch.party.kind is PartyKind.WITHHELD:  # a CDR has the number all the same
            details["caller"] = {"number": "", "name": ""}
        return fields | {"details": details}

    async def given_up(self, touches: Sequence[Touch]) -> None:
        """End touches of whose calls the PBX's records say nothing."""
        ended: list[Touch] = []

        async def end(uow: UnitOfWork) -> None:
            ended.clear()
            for old in touches:
                touch = await uow.touches.get(old.id)
                if touch is not None and touch.outcome is Outcome.IN_PROGRESS:
                    ended.append(await uow.touches.change(touch.id, **_unknown_fields(touch)))

        await self._repeat(end)
        self._tell_ended(ended)

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
        live = self._live[call.id]
        live.call = call
        match change:
            case CallStarted():
                yield from self._show_own_caller(live, at=change.at)
            case CallChangedParty():
                yield from self._party_changed(live)
                yield from self._show_own_caller(live, at=change.at)
            case CallQueued():
                live.waiting_in = change.queue
            case CallLeftQueue():
                if live.waiting_in == change.queue:
                    live.waiting_in = ""
            case CallRinging(leg=leg):
                user = self._user(leg)
                if user and leg.role is not LegRole.CALLER and self._may_show(live, user, leg):
                    yield self._show(live, user, ringing_at=change.at)
            case CallAnswered(leg=leg):
                live.waiting_in = ""
                yield from self._answered(live, leg, change.at)
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
                yield from self._ended(live, change)
            case _:
                pass
        yield CallChanged(call=self._live_call(live))

    def _may_show(self, live: _Live, user: User, leg: Leg) -> bool:
        """Not twice, and not for a phone that has stopped ringing while we waited."""
        return user.id not in live.pops and leg.uniqueid not in self._over

    def _show(
        self,
        live: _Live,
        user: User,
        *,
        ringing_at: float | None,
        state: PopState = PopState.RINGING,
        answered_at: float | None = None,
    ) -> PopShown:
        call = live.call
        waited_s = _since(call.started_at, ringing_at) if call.queue else None
        pop = ScreenPop(
            id=f"{call.id}/{user.id}",
            agent=user.id,
            call=call.id,
            touch=live.touch.id,
            state=state,
            direction=call.direction.value,
            party=live.touch.party,
            match=live.touch.match,
            dialed=self._dialed(call),
            queue=call.queue,
            waited_s=waited_s if state is PopState.RINGING else call.wait_s,
            ringing_at=self._maybe_time(ringing_at),
            answered_at=self._maybe_time(answered_at),
            recent=live.recent,
        )
        live.pops[user.id] = pop
        return PopShown(pop=pop)

    def _show_own_caller(self, live: _Live, *, at: float | None) -> Iterator[Notice]:
        """The card of whom an agent dials."""
        leg = self._own_caller_leg(live.call)
        user = self._user(leg) if leg else None
        if leg and user and self._may_show(live, user, leg):
            yield self._show(live, user, ringing_at=at)

    def _party_changed(self, live: _Live) -> Iterator[Notice]:
        for user_id in list(live.pops):
            yield self._update(
                live,
                user_id,
                direction=live.call.direction.value,
                party=live.touch.party,
                match=live.touch.match,
                dialed=self._dialed(live.call),
                recent=live.recent,
            )

    def _answered(self, live: _Live, leg: Leg, at: float | None) -> Iterator[Notice]:
        own = self._own_caller_leg(live.call)
        for mine in (leg, own):
            user = self._user(mine) if mine else None
            if mine is None or user is None:
                continue
            if user.id in live.pops:
                yield self._update(
                    live,
                    user.id,
                    state=PopState.CONNECTED,
                    answered_at=self._maybe_time(at),
                    waited_s=live.call.wait_s,
                    recent=live.recent,
                )
            elif self._may_show(live, user, mine):
                yield self._show(
                    live, user, ringing_at=None, state=PopState.CONNECTED, answered_at=at
                )
            return

    def _update(self, live: _Live, user_id: UserId, **fields: object) -> PopUpdated:
        pop = replace(live.pops[user_id], **fields)  # type: ignore[arg-type]
        live.pops[user_id] = pop
        return PopUpdated(pop=pop)

    def _end(self, live: _Live, user_id: UserId, at: float | None) -> PopUpdated:
        ended = self._update(live, user_id, state=PopState.ENDED, ended_at=self._time(at))
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
            not other.ended
            and other.uniqueid not in {leg.uniqueid} | self._over
            and self._user(other) == user
            for other in live.call.legs
        ):
            return  # another phone of the same agent is still part of it
        if leg.answered or live.pops[user.id].state is not PopState.RINGING:
            yield self._end(live, user.id, change.at)
            return
        by = self._user(change.answered_by) if change.answered_by else None
        name = by.name if by else change.answered_by.endpoint if change.answered_by else ""
        yield self._withdraw(live, user.id, _why_withdrawn(live.call, leg), name)

    def _merged(self, live: _Live, change: CallsMerged) -> Iterator[Notice]:
        """The cards of a consult call become cards of the customer's call."""
        yield from self._party_changed(live)
        gone = self._live.pop(change.merged, None)
        if gone is None:
            return
        for user_id, pop in list(gone.pops.items()):
            yield self._withdraw(gone, user_id, WithdrawReason.TRANSFERRED)
            user = self._directory.get(user_id)
            if user and user_id not in live.pops:
                talking = pop.state is not PopState.RINGING
                shown = self._show(
                    live,
                    user,
                    ringing_at=None,
                    state=pop.state,
                    answered_at=change.at if talking else None,
                )
                live.pops[user_id] = replace(shown.pop, ringing_at=pop.ringing_at)
                yield PopShown(pop=live.pops[user_id])
        yield CallChanged(call=replace(self._live_call(gone), state="ended"))

    def _ended(self, live: _Live, change: CallEnded) -> Iterator[Notice]:
        del self._live[live.call.id]
        for user_id, pop in list(live.pops.items()):
            if pop.state is PopState.RINGING:
                yield self._withdraw(live, user_id, _why_ended(live.call.outcome))
            else:
                yield self._end(live, user_id, change.at)
        # In progress: it could not be stored. Merged: it is shown as part of another.
        if live.touch.outcome not in {Outcome.IN_PROGRESS, Outcome.MERGED}:
            yield TouchLogged(touch=live.touch, agents=self._concerned(live), team=live.touch.team)

    def match_chosen(self, touch: Touch, recent: tuple[Touch, ...]) -> None:
        """An agent chose who the caller is: the cards of the call go on with that."""
        for live in self._live.values():
            if live.touch.id == touch.id:
                live.touch = replace(live.touch, match=touch.match)
                live.chosen, live.recent = True, recent
                for user_id, pop in live.pops.items():
                    live.pops[user_id] = replace(pop, match=touch.match, recent=recent)

    def _users_changed(self) -> None:
        """Show the cards of phones whose users we did not know when they began to ring."""
        for live in list(self._live.values()):
            for leg in live.call.legs:
                user = self._user(leg)
                if user is None or leg.ended or not self._may_show(live, user, leg):
                    continue
                if leg.role is LegRole.CALLEE and leg.answered:
                    self._publish(
                        self._show(
                            live,
                            user,
                            ringing_at=None,
                            state=PopState.CONNECTED,
                            answered_at=leg.answered_at,
                        )
                    )
                elif leg.role is LegRole.CALLEE and leg.rang:
                    self._publish(self._show(live, user, ringing_at=leg.ringing_at))

    # --- words ------------------------------------------------------------------------------------

    def calls(self) -> list[Call]:
        """The calls in progress that are logged."""
        return [live.call for live in self._live.values()]

    def who(self, uniqueid: str) -> tuple[CallId, Party, Match | None] | None:
        """The call, party and match of a channel in progress, for the queue board.

        The match is None until the call is logged.
        """
        for live in self._live.values():
            if any(leg.uniqueid == uniqueid for leg in live.call.legs):
                return live.call.id, live.touch.party, live.touch.match
        for call in self._tracker.calls():
            if any(leg.uniqueid == uniqueid for leg in call.legs):
                return call.id, self._party(call), None
        return None

    def _user(self, leg: Leg) -> User | None:
        return self._directory.at(self.pbx, leg.endpoint) if leg.is_phone else None

    def _own_caller_leg(self, call: Call) -> Leg | None:
        """The phone that dialled out, or None when the call came to us."""
        if call.direction is not CallDirection.OUTBOUND:
            return None
        return next((leg for leg in call.legs if leg.is_phone and leg.role is LegRole.CALLER), None)

    def _own_caller(self, call: Call) -> User | None:
        """The agent who dialled out, or None."""
        leg = self._own_caller_leg(call)
        return self._user(leg) if leg else None

    def _talker(self, call: Call) -> User | None:
        """The agent who talked last with the far end; for an internal call, who was called."""
        legs = {leg.channel: leg for leg in call.legs}
        internal = call.direction is CallDirection.INTERNAL
        for pair in reversed(call.talks):
            people = [legs[channel] for channel in pair if channel in legs]
            if not internal and all(leg.is_phone for leg in people):
                continue  # an agent asks a colleague
            for leg in people:
                if internal and leg.role is LegRole.CALLER:
                    continue
                if user := self._user(leg):
                    return user
        return None

    def _rung(self, call: Call) -> list[User]:
        """The agents whose phones rang, once each, in order."""
        rung = (leg for leg in call.legs if leg.rang and leg.role is not LegRole.CALLER)
        users = (self._user(leg) for leg in rung)
        return list({user.id: user for user in users if user}.values())

    def _party(self, call: Call) -> Party:
        """The far end of the call: the customer, or for an internal call the colleague."""
        if call.direction is CallDirection.OUTBOUND:
            return normalise(call.dialed, self._rules)
        if _hides_number(call):
            return Party(kind=PartyKind.WITHHELD, address="")
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
        found: dict[UserId, None] = {user.id: None for user in self._rung(live.call)}
        for leg in live.call.legs:
            if (leg.answered or leg.role is LegRole.CALLER) and (user := self._user(leg)):
                found[user.id] = None
        if live.touch.agent is not None:
            found[live.touch.agent] = None
        if live.touch.match.contact and live.touch.match.contact.owner is not None:
            found[live.touch.match.contact.owner] = None
        return tuple(found)

    def _live_call(self, live: _Live) -> LiveCall:
        call = live.call
        return LiveCall(
            id=call.id,
            pbx=self.pbx,
            direction=call.direction.value,
            state=_state(live),
            party=live.touch.party,
            match=live.touch.match,
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
                if leg.is_phone and not leg.ended
            ),
            team=live.touch.team,
        )

    def _time(self, at: float | None) -> datetime:
        try:
            return datetime.fromtimestamp(self._now() if at is None else at, UTC)
        except (ValueError, OverflowError, OSError):  # a PBX with a clock beyond all years
            return datetime.fromtimestamp(self._now(), UTC)

    def _maybe_time(self, at: float | None) -> datetime | None:
        return None if at is None else self._time(at)


def _unknown_fields(touch: Touch) -> dict[str, object]:
    """Of a call whose end nobody saw: what we saw before, else nothing."""
    talked = touch.details.get("outcome") == CallOutcome.ANSWERED.value
    return {
        "outcome": Outcome.ANSWERED if talked else Outcome.UNKNOWN,
        "details": {"gap": Gap.NOT_RUNNING.value, **touch.details},
    }


def _known(details: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in details.items() if value not in (None, [], "")}


def _state(live: _Live) -> str:
    call = live.call
    if call.ended:
        return "ended"
    if any(pop.state is PopState.HELD for pop in live.pops.values()):
        return "held"
    if live.waiting_in:
        return "queued"
    present = [leg for leg in call.legs if not leg.ended]
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


def _earlier(recent: Sequence[Touch], touch: Touch) -> tuple[Touch, ...]:
    """What was before this touch."""
    return tuple(other for other in recent if other.id != touch.id)[:_RECENT]


def _hides_number(call: Call) -> bool:
    """Whether the caller does not want to be known (`CID-CallingPres`, RFC 3323)."""
    return call.presentation.startswith("prohib")


def _why_withdrawn(call: Call, leg: Leg) -> WithdrawReason:
    if leg.role is LegRole.CALLER and leg.result is LegResult.CANCELLED:
        return WithdrawReason.ENDED  # the agent gave up dialling
    forwards = (t for t in call.transfers if t.kind is TransferKind.FORWARD)
    if any(transfer.by == leg.channel for transfer in forwards):
        return WithdrawReason.FORWARDED
    return _WITHDRAWN.get(leg.result, WithdrawReason.UNKNOWN)


def _why_ended(outcome: CallOutcome | None) -> WithdrawReason:
    match outcome:
        case CallOutcome.ANSWERED:
            return WithdrawReason.ENDED
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
