"""Call changes become touches in the history and cards on screens.

This page is what the product does when a phone rings:

1. `CallService.take` asks the tracker what an event of the PBX means. It does no I/O, so a slow
   database never delays reading from the PBX.
2. `CallService.run` takes what has gathered since, and in ONE transaction finds out who each new
   caller is and writes the touches (`cti.touchlog`).
3. Only after the commit it tells the screens (`cti.cards`). A lost push is healed by the snapshot a
   browser gets; a lost touch would be healed by nothing.

A transaction that fails because the database is away is repeated whole: touches are opened by key,
so nothing is logged twice. What a transaction writes counts for the screens once it is committed
(`cti.progress`). A ring that was over before it could be logged is in the history, but shown to
nobody. Calls whose end nobody saw are seen to when the PBX has told what is live
(`cti.recovery.unseen`).
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from crm_core.directory import Directory
from crm_core.errors import StoreUnavailable
from crm_core.model import Match, Party, Touch
from crm_core.notices import Notice, PopShown
from crm_core.phone import PhoneRules
from crm_core.ports import Publisher, Store, UnitOfWork
from cti.ami.events import AmiEvent, SnapshotEnded
from cti.cards import Cards
from cti.clock import Moments
from cti.model import (
    ADOPTED_BY_AUDIT,
    CLOSED_BY_AUDIT,
    Anomaly,
    Call,
    CallAnswered,
    CallChange,
    CallEnded,
    CallId,
    CallsMerged,
    CallStarted,
    LegEnded,
)
from cti.people import People
from cti.progress import CallInProgress, Written
from cti.recovery.search import Unsettled
from cti.recovery.unseen import UnseenEnds
from cti.touchlog import TouchLog
from cti.tracker import CallTracker

log = logging.getLogger(__name__)

BATCH = 200
"""Changes that share one transaction: more only delay the first pop of the batch."""
MOST_WAITING = 20_000
"""Changes that may wait for the database, some 2 KB each; then the PBX has to wait (`room`)."""

_RETRY_FIRST_S, _RETRY_LONGEST_S = 0.2, 5.0
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
        answers to `unseen`. Without it, how they ended is unknown at once.
        """
        self.pbx = pbx
        self.metrics = CallMetrics()
        self._tracker = tracker
        self._store = store
        self._publisher = publisher
        self._announced = announced
        self._due: deque[_Due] = deque()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._live: dict[CallId, CallInProgress] = {}
        self._over: set[str] = set()
        """Legs that have ended, though that is not announced yet."""
        self._faulty: set[CallId] = set()
        """Calls in progress of which a change could not be logged."""
        self._closing = False
        self._settle = False
        """True when the PBX told everything that is live, and touches may be left over."""
        self._listed = False
        """True once the PBX told everything that is live for the first time."""
        self._people = People(pbx=pbx, directory=directory, rules=rules)
        moments = Moments(now)
        self._touchlog = TouchLog(
            people=self._people,
            moments=moments,
            live=self._live,
            own=own,
            lost_are_sought=unsettled is not None,
        )
        self._cards = Cards(people=self._people, moments=moments, over=self._over)
        self.unseen = UnseenEnds(
            tracker=tracker,
            people=self._people,
            touchlog=self._touchlog,
            transact=self._transact,
            publish=self._publish,
            unsettled=unsettled,
            now=now,
        )
        directory.watch(self._users_changed)

    # --- 1. what an event means -------------------------------------------------------------------

    def take(self, event: AmiEvent, received_ns: int) -> None:
        """Follow one event of the PBX. Never waits, never raises for what the PBX sends."""
        self.metrics.events += 1
        self.unseen.hear(event)
        for change in self._tracker.handle(event):
            if isinstance(change, Anomaly):
                self._wonder(change)
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
        await self.unseen.remember()
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
                await self.unseen.settle(self._alive)

    def close(self) -> None:
        """Let `run` return when everything that was taken is logged. Idempotent."""
        self._closing = True
        self._wake.set()

    async def _log(self, batch: Sequence[_Due]) -> None:
        try:
            await self._record(batch)
        except Exception as error:  # noqa: BLE001 - said with the change, by `_skip`
            if len(batch) > 1:
                # One of them is at fault: the others must not suffer for it.
                for due in batch:
                    await self._log([due])
                return
            self._skip(batch[0].change, error)
        for due in batch:
            self._tell(due)

    async def _record(self, batch: Sequence[_Due]) -> None:
        """Write what the batch means for the history, all of it or nothing."""
        if not any(self._touchlog.matters(due.change) for due in batch):
            return
        written: dict[CallId, Written] = {}

        async def record(uow: UnitOfWork) -> None:
            written.clear()
            for due in batch:
                await self._touchlog.record(uow, due.change, written)

        await self._transact(record)
        for call_id, now in written.items():
            live = self._live.get(call_id)
            if live is None:
                self._live[call_id] = CallInProgress.begun(now)
            else:
                live.keep(now)

    async def _transact(self, work: Callable[[UnitOfWork], Awaitable[None]]) -> None:
        """Do the work in a transaction; while the database is away, wait and begin again."""
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

    def _alive(self) -> AbstractSet[CallId]:
        """The calls that may still have an end of their own."""
        alive = {call.id for call in self._tracker.calls()}
        return alive | self._live.keys() | {due.change.call.id for due in self._due}

    # --- 3. tell the screens ----------------------------------------------------------------------

    def _tell(self, due: _Due) -> None:
        """Announce what is stored. Never raises: the next call must be told too."""
        change = due.change
        try:
            if (live := self._live.get(change.call.id)) is not None:
                self._say(change)
                for notice in self._announce(change, live):
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

    def _announce(self, change: CallChange, live: CallInProgress) -> Iterator[Notice]:
        """What screens are told of the change. A call that is over is forgotten first."""
        merged = None
        if isinstance(change, CallEnded):
            del self._live[change.call.id]
        elif isinstance(change, CallsMerged):
            merged = self._live.pop(change.merged, None)
        return self._cards.announce(change, live, merged)

    def _publish(self, notice: Notice, received_ns: int | None = None) -> None:
        self._publisher.publish(notice, received_ns=received_ns)
        if isinstance(notice, PopShown):
            log.info(
                "card %s shown: %s",
                notice.pop.id,
                notice.pop.match.result.value,
                extra={"action": "pop_shown", "pop": notice.pop.id},
            )

    def match_chosen(self, touch: Touch, recent: tuple[Touch, ...]) -> None:
        """An agent chose who the caller is: the cards of the call go on with that."""
        for live in self._live.values():
            if live.touch.id == touch.id:
                live.choose(touch.match, recent)

    def _users_changed(self) -> None:
        """Show the cards of phones whose users we did not know when they began to ring."""
        for live in list(self._live.values()):
            for notice in self._cards.users_changed(live):
                self._publish(notice)

    # --- what others ask --------------------------------------------------------------------------

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
                return call.id, self._people.party(call), None
        return None

    # --- what the log says ------------------------------------------------------------------------

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

    def _wonder(self, surprise: Anomaly) -> None:
        """Say that the PBX surprised us; an audit's find means that events were lost."""
        self.metrics.anomalies += 1
        closed, adopted = surprise.reason == CLOSED_BY_AUDIT, surprise.reason == ADOPTED_BY_AUDIT
        self.metrics.closed_by_audit += closed
        self.metrics.adopted_by_audit += adopted
        log.log(
            logging.WARNING if closed or adopted else logging.DEBUG,
            "%s: %s: %s",
            self.pbx,
            surprise.event,
            surprise.reason,
            extra={"action": "ami_surprise", "pbx": self.pbx},
        )

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

    def _say_away(self, error: StoreUnavailable) -> None:
        log.warning(
            "%s: the database is away, %d changes wait: %s",
            self.pbx,
            len(self._due),
            error,
            extra={"action": "database_away", "pbx": self.pbx, "waiting": len(self._due)},
        )
