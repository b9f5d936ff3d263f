"""What supervisors see of one PBX: queues, who waits in them, agents and what they do.

The board of queues (`cti.queues`) knows channels and devices; here they become customers and
agents, and what changed is told to screens. Changes within a moment are told once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from crm_core.directory import Directory
from crm_core.errors import StoreUnavailable
from crm_core.model import Medium, Touch, User, UserId
from crm_core.notices import (
    AgentChanged,
    LiveAgent,
    LiveEntry,
    LiveMember,
    LiveQueue,
    QueueChanged,
)
from crm_core.phone import PhoneRules, normalise
from crm_core.ports import Publisher, Store
from cti.ami.events import AmiEvent, SnapshotEnded
from cti.model import (
    CallChange,
    CallChangedParty,
    CallEnded,
    CallLeftQueue,
    CallOutcome,
    CallQueued,
    CallsMerged,
)
from cti.queues import MemberNow, PhoneNow, PhoneState, QueueBoard, QueueNow, WaitingCaller
from cti.service import CallService

log = logging.getLogger(__name__)

GATHER_S = 0.05
"""How long changes are gathered before they are told: no eye sees the difference."""

DAY_S = 30.0
"""How late a new day may be noticed when nothing happens around midnight."""
_LONGEST_CALL = timedelta(hours=12)
"""A call that began so long before midnight did not end after it."""

_AGENT_STATES = {
    PhoneState.IDLE: "available",
    PhoneState.RINGING: "ringing",
    PhoneState.IN_USE: "talking",
    PhoneState.ON_HOLD: "held",
    PhoneState.PAUSED: "paused",
    PhoneState.UNAVAILABLE: "unavailable",
}
_BUSIEST = ("talking", "held", "ringing", "paused", "available", "unavailable", "offline")
_UNANSWERED = {
    CallOutcome.NO_ANSWER,
    CallOutcome.BUSY,
    CallOutcome.FAILED,
    CallOutcome.VOICEMAIL,
}
"""The caller did not give up, and yet nobody answered. How an unknown call ended nobody can say."""
_COUNTED = {CallOutcome.ANSWERED, CallOutcome.ABANDONED} | _UNANSWERED


class LiveBoard:
    """Tells screens of the queues and agents of one PBX."""

    def __init__(
        self,
        *,
        board: QueueBoard,
        service: CallService,
        store: Store,
        publisher: Publisher,
        directory: Directory,
        rules: PhoneRules,
        queues: Iterable[str] = (),
        now: Callable[[], float] = time.time,
    ) -> None:
        """`queues` names the queues to show; none means all."""
        self._pbx = board.pbx
        self._board = board
        self._service = service
        self._store = store
        self._publisher = publisher
        self._directory = directory
        self._rules = rules
        self._shown = frozenset(queues)
        self._now = now
        self._changed_queues: set[str] = set()
        self._changed_phones: set[str] = set()
        self._wake = asyncio.Event()
        self._today: date | None = None
        self._results: dict[str, tuple[str, str]] = {}
        """Of each queue call whose end today is known: the queue and the outcome."""
        self._told: dict[UserId, LiveAgent] = {}
        directory.watch(self._mark_all)

    # --- in -----------------------------------------------------------------------------------

    def take(self, event: AmiEvent) -> None:
        """Follow one event of the PBX. Never waits."""
        change = self._board.handle(event)
        if change:
            self._mark(change.queues, change.endpoints)
        if isinstance(event, SnapshotEnded):
            self._mark_all()

    def follow(self, change: CallChange) -> None:
        """A call change was logged: names of waiting callers and figures may be different now."""
        call = change.call
        if isinstance(change, CallEnded) and call.queue and call.outcome in _COUNTED:
            self._roll_over()
            self._results[call.id] = (call.queue, call.outcome.value)
        queues: Iterable[str] = ()
        if isinstance(
            change, CallQueued | CallLeftQueue | CallChangedParty | CallsMerged | CallEnded
        ):
            queues = call.queues
        self._mark(queues, [leg.endpoint for leg in call.legs if leg.is_phone])

    def _mark(self, queues: Iterable[str], phones: Iterable[str]) -> None:
        self._changed_queues.update(queues)
        self._changed_phones.update(phones)
        self._wake.set()

    def _mark_all(self) -> None:
        known = [p.name for u in self._directory.all() for p in u.phones if p.pbx == self._pbx]
        self._mark((q.name for q in self._board.queues()), known)

    # --- out ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Tell screens of what changed, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            # The board does not wait for the database, its figures of the day do.
            tasks.create_task(self._remember_today(), name=f"figures {self._pbx}")
            while True:
                try:
                    async with asyncio.timeout(DAY_S):
                        await self._wake.wait()
                except TimeoutError:
                    self._roll_over()
                    continue
                await asyncio.sleep(GATHER_S)
                self._wake.clear()
                self._roll_over()
                self._tell()

    def _tell(self) -> None:
        queues, self._changed_queues = self._changed_queues, set()
        phones, self._changed_phones = self._changed_phones, set()
        for name in sorted(queues):
            if not self._shown or name in self._shown:
                queue = self._board.queue(name) or QueueNow(name=name)
                self._publisher.publish(QueueChanged(queue=self._live_queue(queue)))
        people = {u.id: u for p in phones if (u := self._directory.at(self._pbx, p)) is not None}
        for user in people.values():
            self._tell_agent(self._live_agent(user))
        for id_, before in list(self._told.items()):
            now = self._directory.get(id_)
            if now is None or not any(phone.pbx == self._pbx for phone in now.phones):
                # No notice takes an agent back; offline is what is left of one who was removed.
                gone = replace(before, state="offline", since=self._time(None), call="", queues=())
                self._publisher.publish(AgentChanged(agent=gone))
                del self._told[id_]

    def _tell_agent(self, agent: LiveAgent) -> None:
        if self._told.get(agent.agent) != agent:
            self._told[agent.agent] = agent
            self._publisher.publish(AgentChanged(agent=agent))

    def _live_queue(self, queue: QueueNow) -> LiveQueue:
        outcomes = [outcome for name, outcome in self._results.values() if name == queue.name]
        return LiveQueue(
            pbx=self._pbx,
            name=queue.name,
            entries=tuple(self._live_entry(entry) for entry in queue.entries),
            members=tuple(self._live_member(member) for member in queue.members),
            answered_today=outcomes.count(CallOutcome.ANSWERED.value),
            abandoned_today=outcomes.count(CallOutcome.ABANDONED.value),
            unanswered_today=sum(outcome in _UNANSWERED for outcome in outcomes),
        )

    def _live_entry(self, entry: WaitingCaller) -> LiveEntry:
        known = self._service.who(entry.uniqueid)
        name = ""
        if known is None:
            call, party = "", normalise(entry.number, self._rules, name=entry.name)
        else:
            call, party, match = known
            name = match.contact.name if match and match.contact else ""
        return LiveEntry(
            call=call,
            party=party,
            name=name,
            position=entry.position,
            since=self._time(entry.since),
        )

    def _live_member(self, member: MemberNow) -> LiveMember:
        user = self._directory.at(self._pbx, member.endpoint)
        return LiveMember(
            interface=member.interface,
            name=user.name if user else member.name or member.interface,
            agent=user.id if user else None,
            state=member.state.value,
            reason=member.reason,
            since=None if member.since is None else self._time(member.since),
            calls_taken=member.calls_taken,
        )

    def _live_agent(self, user: User) -> LiveAgent:
        """What an agent does: the busiest of their phones on this PBX."""
        names = [phone.name for phone in user.phones if phone.pbx == self._pbx]
        phones = [phone for name in names if (phone := self._board.phone(name)) is not None]
        state, phone = "offline", None
        for one in phones:
            found = _AGENT_STATES[one.state]
            if phone is None or _BUSIEST.index(found) < _BUSIEST.index(state):
                state, phone = found, one
        return LiveAgent(
            agent=user.id,
            name=user.name,
            team=user.team,
            state=state,
            since=self._since(user, state, phone),
            reason=phone.reason if phone else "",
            call=self._call_of(user),
            queues=tuple(sorted({queue for one in phones for queue in one.queues})),
        )

    def _since(self, user: User, state: str, phone: PhoneNow | None) -> datetime:
        if phone is not None and phone.since is not None:
            return self._time(phone.since)
        before = self._told.get(user.id)
        return before.since if before and before.state == state else self._time(None)

    def _call_of(self, user: User) -> str:
        """The call the user is in: one they talk in rather than one that only rings."""
        found = [
            (leg.answered, call.id)
            for call in self._service.calls()
            for leg in call.legs
            if not leg.ended and self._directory.at(self._pbx, leg.endpoint) == user
        ]
        talking = [call for answered, call in found if answered]
        return next(iter(talking or [call for _, call in found]), "")

    def _time(self, at: float | None) -> datetime:
        try:
            return datetime.fromtimestamp(self._now() if at is None else at, UTC)
        except (ValueError, OverflowError, OSError):  # a PBX with a clock beyond all years
            return datetime.fromtimestamp(self._now(), UTC)

    # --- figures of the day -------------------------------------------------------------------

    def _roll_over(self) -> None:
        """Begin anew at midnight of this machine's time zone."""
        today = self._day(self._now())
        if self._today is not None and today != self._today:
            self._results.clear()
            self._mark((queue.name for queue in self._board.queues()), ())
        self._today = today

    @staticmethod
    def _day(at: float) -> date:
        return datetime.fromtimestamp(at, UTC).astimezone().date()

    async def _remember_today(self) -> None:
        """Count the queue calls that ended today before this daemon started."""
        self._roll_over()
        while True:
            try:
                results = await self._results_of_today()
            except StoreUnavailable as error:
                log.debug("the day's figures wait for the database: %s", error)
                await asyncio.sleep(1)
                continue
            self._results = results | self._results
            self._mark_all()
            return

    async def _results_of_today(self) -> dict[str, tuple[str, str]]:
        found: dict[str, tuple[str, str]] = {}
        after: str | None = None
        today = self._day(self._now())
        async with self._store.begin() as uow:
            while True:
                page, after = await uow.touches.page(medium=Medium.PHONE, after=after, limit=200)
                for touch in page:
                    if self._day((touch.at + _LONGEST_CALL).timestamp()) < today:
                        return found
                    ended = touch.ended_at or touch.at
                    if self._day(ended.timestamp()) == today and (queue := self._queue_of(touch)):
                        found[touch.key.removeprefix("call:")] = (queue, touch.outcome.value)
                if after is None:
                    return found

    def _queue_of(self, touch: Touch) -> str:
        queues = touch.details.get("queues")
        ours = touch.key.startswith(f"call:{self._pbx}:")
        counted = touch.outcome.value in _COUNTED
        if not (ours and counted and isinstance(queues, list) and queues):
            return ""
        return str(queues[-1])
