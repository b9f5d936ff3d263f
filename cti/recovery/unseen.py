"""What becomes of the touches of calls whose end nobody saw.

A daemon that was not running, or a link that was lost, hides ends of calls and whole calls. When
the PBX has told what is live, touches in progress whose calls are not are `Unsettled`: somebody
looks for them in the PBX's records (`search`), and what is found or given up is written here.
Where nobody looks, how they ended is unknown at once.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from crm_core.model import Medium, Outcome, PartyKind, Touch
from crm_core.notices import Notice, TouchLogged
from crm_core.ports import UnitOfWork
from cti.ami.events import AmiEvent, LinkLost
from cti.model import CallId, CallOutcome, Gap
from cti.people import People
from cti.record import call_record
from cti.recovery.reconstruct import Reconstruction
from cti.recovery.search import Unsettled
from cti.touchlog import TouchLog
from cti.tracker import CallTracker

log = logging.getLogger(__name__)

Transact = Callable[[Callable[[UnitOfWork], Awaitable[None]]], Awaitable[None]]
"""Does the work in a transaction of its own, again and again while the database is away."""


class UnseenEnds:
    """Sees to the touches of calls of one PBX that ended unseen."""

    def __init__(
        self,
        *,
        tracker: CallTracker,
        people: People,
        touchlog: TouchLog,
        transact: Transact,
        publish: Callable[[Notice], None],
        now: Callable[[], float],
        unsettled: Callable[[Unsettled], None] | None = None,
    ) -> None:
        """`unsettled` is told of calls that ended unseen, to look for them in the PBX's records.

        It answers by `reconstructed` or `given_up`.
        """
        self.pbx = people.pbx
        self._tracker = tracker
        self._people = people
        self._touchlog = touchlog
        self._transact = transact
        self._publish = publish
        self._now = now
        self._unsettled = unsettled
        self._heard_at: float | None = None
        """When the PBX last told anything, by its own clock."""
        self._gap_since: float | None = None
        """Calls may have been missed since then."""
        self._missed_in = Gap.NOT_RUNNING

    # --- what was missed --------------------------------------------------------------------------

    def hear(self, event: AmiEvent) -> None:
        """Note when the PBX was last heard, and since when it is not."""
        if isinstance(event, LinkLost):
            if self._gap_since is None:
                self._gap_since, self._missed_in = self._heard_at, Gap.LINK_LOST
        elif event.at is not None:
            self._heard_at = event.at

    async def remember(self) -> None:
        """Learn when an earlier run was last alive: calls since then may have been missed."""
        if self._unsettled is None:
            return
        last: list[float] = []

        async def look(uow: UnitOfWork) -> None:
            found, _ = await uow.touches.page(medium=Medium.PHONE, limit=200)
            mine = f"call:{self.pbx}:"
            last[:] = [touch.at.timestamp() for touch in found if touch.key.startswith(mine)]

        await self._transact(look)
        if last and self._gap_since is None:
            self._gap_since = max(last)

    async def settle(self, alive: Callable[[], AbstractSet[CallId]]) -> None:
        """See to the touches of calls that were over before we could see it.

        Called once the PBX has told everything that is live now, and all of that is logged. Which
        calls are `alive` is asked in the transaction: some may have begun or ended since.
        """
        over: list[Touch] = []
        since, self._gap_since = self._gap_since, None
        until = self._now() if self._heard_at is None else self._heard_at

        async def settle(uow: UnitOfWork) -> None:
            left = await uow.touches.unfinished(key_prefix=f"call:{self.pbx}:")
            calls = alive()
            over[:] = [touch for touch in left if touch.key.removeprefix("call:") not in calls]
            if self._unsettled is None:
                over[:] = [
                    await uow.touches.change(touch.id, **_unknown_fields(touch)) for touch in over
                ]

        try:
            await self._transact(settle)
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

    # --- what the search answers (`cti.recovery.search.Ledger`) -----------------------------------

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
            first, *_ = own or left.values() or [(await self._touchlog.open(uow, call)).touch]
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

        await self._transact(write)
        for touch in ended:
            log.info(
                "%s: touch %d ended unseen and was found in the PBX's records: %s",
                self.pbx,
                touch.id,
                touch.outcome.value,
                extra={"action": "call_recovered", "pbx": self.pbx, "touch": touch.id},
            )
            agents = {user.id for user in self._people.rung(call)}
            agents |= set() if touch.agent is None else {touch.agent}
            self._publish(TouchLogged(touch=touch, agents=tuple(agents), team=touch.team))
        return bool(ended)

    def _found_fields(self, found: Reconstruction, touch: Touch, gap: Gap) -> dict[str, object]:
        """The fields of a touch whose call was found: ours where we know, else the records'.

        Who talked with whom is the records' business, they have all of the call.
        """
        call, seen = found.call, touch.details
        fields = self._touchlog.final(call, touch) | self._touchlog.talked(call, touch)
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

        await self._transact(end)
        self._tell_ended(ended)

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


def _unknown_fields(touch: Touch) -> dict[str, object]:
    """Of a call whose end nobody saw: what we saw before, else nothing."""
    talked = touch.details.get("outcome") == CallOutcome.ANSWERED.value
    return {
        "outcome": Outcome.ANSWERED if talked else Outcome.UNKNOWN,
        "details": {"gap": Gap.NOT_RUNNING.value, **touch.details},
    }


def _known(details: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in details.items() if value not in (None, [], "")}
