"""What is written of a call into the history, each in a unit of work that its caller commits.

One touch a call, opened by key when the call begins and who it is is asked; so a transaction that
is repeated, a replay and a daemon that started anew all find the same touch. Later changes are
written only where they mean something for the history, and the end writes what the call came to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from crm_core.model import Direction, Medium, Outcome, Touch
from crm_core.ports import NewTouch, UnitOfWork
from crm_core.touches import match_party
from cti.clock import Moments
from cti.model import (
    Call,
    CallAnswered,
    CallChange,
    CallChangedParty,
    CallEnded,
    CallId,
    CallsMerged,
    CallTransferred,
)
from cti.people import People, hides_number
from cti.progress import CallInProgress, Written
from cti.record import call_record

_ANSWERED = Outcome.ANSWERED.value
_RECENT = 5
"""So many of a customer's last touches are on a card."""


class TouchLog:
    """Writes the touches of the calls of one PBX."""

    def __init__(
        self,
        *,
        people: People,
        moments: Moments,
        live: Mapping[CallId, CallInProgress],
        own: AbstractSet[str] = frozenset(),
        lost_are_sought: bool = False,
    ) -> None:
        """`live` is what was committed before, and is only read; `own` are our own numbers.

        `lost_are_sought`: calls that ended unseen stay in progress, somebody looks for their end.
        """
        self._people = people
        self._moments = moments
        self._live = live
        self._own = own
        self._lost_are_sought = lost_are_sought

    def matters(self, change: CallChange) -> bool:
        """Whether the change means anything for the history. A ring of a logged call does not."""
        live = self._live.get(change.call.id)
        if live is None:
            return True
        if isinstance(change, CallTransferred):
            talker = self._people.talker(change.call)
            return talker is not None and talker.id != live.touch.agent
        return isinstance(change, CallChangedParty | CallAnswered | CallsMerged | CallEnded)

    async def record(
        self, uow: UnitOfWork, change: CallChange, written: dict[CallId, Written]
    ) -> None:
        """Write what the change means for the history, and note it in `written`.

        Repeatable until committed.
        """
        call = change.call
        now = self._now_of(call.id, written)
        if now is None:
            now = await self.open(uow, call)
        fields: dict[str, object] = {}
        if isinstance(change, CallChangedParty | CallsMerged):
            now, fields = await self._identify(uow, call, now)
        if isinstance(change, CallAnswered | CallTransferred | CallsMerged | CallEnded):
            fields |= self.talked(call, now.touch)
        if isinstance(change, CallAnswered) and not now.touch.details:
            fields["details"] = {"outcome": _ANSWERED}  # should the end be hidden from us
        if isinstance(change, CallEnded):
            fields |= self.final(call, now.touch)
        if fields:
            now = replace(now, touch=await uow.touches.change(now.touch.id, **fields))
        written[call.id] = now
        if isinstance(change, CallsMerged):
            gone = self._now_of(change.merged, written)
            if gone is not None:
                touch = await uow.touches.change(
                    gone.touch.id,
                    outcome=Outcome.MERGED,
                    ended_at=self._moments.maybe(change.at),
                    details={"merged_into": call.id},
                )
                written[change.merged] = replace(gone, touch=touch)

    def _now_of(self, call_id: CallId, written: Mapping[CallId, Written]) -> Written | None:
        if (now := written.get(call_id)) is not None:
            return now
        live = self._live.get(call_id)
        return None if live is None else live.written()

    async def open(self, uow: UnitOfWork, call: Call) -> Written:
        """The call's touch, new or left in progress by an earlier run of the daemon.

        Who it is was seen from the call's beginning then; what the PBX lists now may be less.
        """
        party = self._people.party(call)
        at = self._moments.at(call.started_at)
        found, recent = await match_party(uow, party, own=self._own, at=at, recent=_RECENT + 1)
        user = self._people.own_caller(call)
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
                subject=self._people.dialed(call),
            )
        )
        earlier = _earlier(recent, touch) if created else await _recent(uow, touch)
        return Written(call=call, touch=touch, party=party, recent=earlier)

    async def _identify(
        self, uow: UnitOfWork, call: Call, now: Written
    ) -> tuple[Written, dict[str, object]]:
        """What is known better by now of who called whom."""
        touch = now.touch
        fields: dict[str, object] = {}
        party = self._people.party(call)
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
        if (dialed := self._people.dialed(call)) != touch.subject:
            fields["subject"] = dialed
        user = self._people.own_caller(call)
        if user is not None and touch.agent is None:
            fields |= {"agent": user.id, "agent_name": user.name, "team": user.team}
        return now, fields

    def talked(self, call: Call, touch: Touch) -> dict[str, object]:
        """The agent who talks with the customer now, if that is another one than before."""
        user = self._people.talker(call)
        if user is None or user.id == touch.agent:
            return {}
        return {"agent": user.id, "agent_name": user.name, "team": user.team}

    def final(self, call: Call, touch: Touch) -> dict[str, object]:
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
        if hides_number(call):
            details["caller"] = {"number": "", "name": ""}
        outcome = Outcome(call.outcome.value) if call.outcome else Outcome.UNKNOWN
        if call.partial and touch.details.get("outcome") == _ANSWERED:
            outcome, details["outcome"] = Outcome.ANSWERED, _ANSWERED  # before a gap
        if call.lost and self._lost_are_sought:
            outcome = Outcome.IN_PROGRESS  # until it is found in the PBX's records, or is not
        fields: dict[str, object] = {
            "outcome": outcome,
            "subject": call.queue or self._people.dialed(call),
            "ring_s": call.ring_s,
            "wait_s": call.wait_s,
            "talk_s": call.talk_s,
            "hold_s": call.hold_s,
            "details": details,
        }
        if call.ended_at is not None:
            fields["ended_at"] = self._moments.at(call.ended_at)
        elif call.started_at is None:  # a PBX that tells no times: the end is now
            fields["ended_at"] = self._moments.at(None)
        rung = [user.team for user in self._people.rung(call) if user.team]
        if not touch.team and self._people.talker(call) is None and rung:
            # Nobody talked: the missed call belongs to the team whose phones rang.
            fields["team"] = Counter(rung).most_common(1)[0][0]
        return fields


async def _recent(uow: UnitOfWork, touch: Touch) -> tuple[Touch, ...]:
    contact = touch.match.contact
    if contact is None:
        return ()
    return _earlier(await uow.touches.of_contact(contact.contact, limit=_RECENT + 1), touch)


def _earlier(recent: Sequence[Touch], touch: Touch) -> tuple[Touch, ...]:
    """What was before this touch."""
    return tuple(other for other in recent if other.id != touch.id)[:_RECENT]
