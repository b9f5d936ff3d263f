"""What the screens are told of a call: cards shown, updated and withdrawn, and the live call.

Pure: a change and the call in progress come in, notices go out, and `CallInProgress.pops` keeps
which cards are up. An agent has at most one card of a call, however many phones ring. A card that
rings is withdrawn with the reason; a card of somebody who talked stays and says that it has ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace

from crm_core.model import Outcome, User, UserId
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
from cti.clock import Moments
from cti.model import (
    Call,
    CallAnswered,
    CallChange,
    CallChangedParty,
    CallEnded,
    CallHeld,
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
    TransferKind,
)
from cti.people import People, own_caller_leg
from cti.progress import CallInProgress

_WITHDRAWN = {
    LegResult.ANSWERED_ELSEWHERE: WithdrawReason.ANSWERED_ELSEWHERE,
    LegResult.NO_ANSWER: WithdrawReason.NO_ANSWER,
    LegResult.BUSY: WithdrawReason.BUSY,
    LegResult.REJECTED: WithdrawReason.REJECTED,
    LegResult.CANCELLED: WithdrawReason.ABANDONED,
    LegResult.FAILED: WithdrawReason.FAILED,
}


class Cards:
    """Says what each change means on the screens of the agents of one PBX."""

    def __init__(self, *, people: People, moments: Moments, over: AbstractSet[str]) -> None:
        """`over`: the Uniqueids of legs that have ended, though that is not announced yet.

        They ring nowhere any more.
        """
        self._people = people
        self._moments = moments
        self._over = over

    def announce(
        self, change: CallChange, live: CallInProgress, merged: CallInProgress | None = None
    ) -> Iterator[Notice]:
        """What screens are told of a change, now that it is stored.

        `merged` is the call that a `CallsMerged` made a part of this one, if it was on screens.
        """
        live.call = change.call
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
                user = self._people.at(leg)
                if user and leg.role is not LegRole.CALLER and self._may_show(live, user, leg):
                    yield self._show(live, user, ringing_at=change.at)
            case CallAnswered(leg=leg):
                live.waiting_in = ""
                yield from self._answered(live, leg, change.at)
            case CallHeld(leg=leg) | CallResumed(leg=leg):
                user = self._people.at(leg)
                if user and user.id in live.pops:
                    state = PopState.HELD if isinstance(change, CallHeld) else PopState.CONNECTED
                    yield self._update(live, user.id, state=state)
            case LegEnded(leg=leg):
                yield from self._leg_ended(live, leg, change)
            case CallsMerged():
                yield from self._merged(live, merged, change.at)
            case CallEnded():
                yield from self._ended(live, change)
            case _:
                pass
        yield CallChanged(call=self._live_call(live))

    def users_changed(self, live: CallInProgress) -> Iterator[Notice]:
        """Show the cards of phones whose users we did not know when they began to ring."""
        for leg in live.call.legs:
            user = self._people.at(leg)
            if user is None or leg.ended or not self._may_show(live, user, leg):
                continue
            if leg.role is LegRole.CALLEE and leg.answered:
                yield self._show(
                    live,
                    user,
                    ringing_at=None,
                    state=PopState.CONNECTED,
                    answered_at=leg.answered_at,
                )
            elif leg.role is LegRole.CALLEE and leg.rang:
                yield self._show(live, user, ringing_at=leg.ringing_at)

    # --- what happened ----------------------------------------------------------------------------

    def _show_own_caller(self, live: CallInProgress, *, at: float | None) -> Iterator[Notice]:
        """The card of whom an agent dials."""
        leg = own_caller_leg(live.call)
        user = self._people.at(leg) if leg else None
        if leg and user and self._may_show(live, user, leg):
            yield self._show(live, user, ringing_at=at)

    def _party_changed(self, live: CallInProgress) -> Iterator[Notice]:
        for user_id in list(live.pops):
            yield self._update(
                live,
                user_id,
                direction=live.call.direction.value,
                party=live.touch.party,
                match=live.touch.match,
                dialed=self._people.dialed(live.call),
                recent=live.recent,
            )

    def _answered(self, live: CallInProgress, leg: Leg, at: float | None) -> Iterator[Notice]:
        own = own_caller_leg(live.call)
        for mine in (leg, own):
            user = self._people.at(mine) if mine else None
            if mine is None or user is None:
                continue
            if user.id in live.pops:
                yield self._update(
                    live,
                    user.id,
                    state=PopState.CONNECTED,
                    answered_at=self._moments.maybe(at),
                    waited_s=live.call.wait_s,
                    recent=live.recent,
                )
            elif self._may_show(live, user, mine):
                yield self._show(
                    live, user, ringing_at=None, state=PopState.CONNECTED, answered_at=at
                )
            return

    def _leg_ended(self, live: CallInProgress, leg: Leg, change: LegEnded) -> Iterator[Notice]:
        user = self._people.at(leg)
        if user is None or user.id not in live.pops:
            return
        if any(
            not other.ended
            and other.uniqueid not in {leg.uniqueid} | self._over
            and self._people.at(other) == user
            for other in live.call.legs
        ):
            return  # another phone of the same agent is still part of it
        if leg.answered or live.pops[user.id].state is not PopState.RINGING:
            yield self._end(live, user.id, change.at)
            return
        by = self._people.at(change.answered_by) if change.answered_by else None
        name = by.name if by else _bare(change.answered_by) if change.answered_by else ""
        yield self._withdraw(live, user.id, _why_withdrawn(live.call, leg), name)

    def _merged(
        self, live: CallInProgress, gone: CallInProgress | None, at: float | None
    ) -> Iterator[Notice]:
        """The cards of a consult call become cards of the customer's call."""
        yield from self._party_changed(live)
        if gone is None:
            return
        for user_id, pop in list(gone.pops.items()):
            yield self._withdraw(gone, user_id, WithdrawReason.TRANSFERRED)
            user = self._people.directory.get(user_id)
            if user and user_id not in live.pops:
                talking = pop.state is not PopState.RINGING
                shown = self._show(
                    live,
                    user,
                    ringing_at=None,
                    state=pop.state,
                    answered_at=at if talking else None,
                )
                live.pops[user_id] = replace(shown.pop, ringing_at=pop.ringing_at)
                yield PopShown(pop=live.pops[user_id])
        yield CallChanged(call=replace(self._live_call(gone), state="ended"))

    def _ended(self, live: CallInProgress, change: CallEnded) -> Iterator[Notice]:
        for user_id, pop in list(live.pops.items()):
            if pop.state is PopState.RINGING:
                yield self._withdraw(live, user_id, _why_ended(live.call.outcome))
            else:
                yield self._end(live, user_id, change.at)
        # In progress: it could not be stored. Merged: it is shown as part of another.
        if live.touch.outcome not in {Outcome.IN_PROGRESS, Outcome.MERGED}:
            agents = self._people.concerned(live.call, live.touch)
            yield TouchLogged(touch=live.touch, agents=agents, team=live.touch.team)

    # --- one card ---------------------------------------------------------------------------------

    def _may_show(self, live: CallInProgress, user: User, leg: Leg) -> bool:
        """Not twice, and not for a phone that has stopped ringing while we waited."""
        return user.id not in live.pops and leg.uniqueid not in self._over

    def _show(
        self,
        live: CallInProgress,
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
            dialed=self._people.dialed(call),
            queue=call.queue,
            waited_s=waited_s if state is PopState.RINGING else call.wait_s,
            ringing_at=self._moments.maybe(ringing_at),
            answered_at=self._moments.maybe(answered_at),
            recent=live.recent,
        )
        live.pops[user.id] = pop
        return PopShown(pop=pop)

    def _update(self, live: CallInProgress, user_id: UserId, **fields: object) -> PopUpdated:
        pop = replace(live.pops[user_id], **fields)  # type: ignore[arg-type]
        live.pops[user_id] = pop
        return PopUpdated(pop=pop)

    def _end(self, live: CallInProgress, user_id: UserId, at: float | None) -> PopUpdated:
        ended = self._update(live, user_id, state=PopState.ENDED, ended_at=self._moments.at(at))
        del live.pops[user_id]
        return ended

    def _withdraw(
        self, live: CallInProgress, user_id: UserId, reason: WithdrawReason, by: str = ""
    ) -> PopWithdrawn:
        pop = live.pops.pop(user_id)
        return PopWithdrawn(id=pop.id, agent=user_id, reason=reason, by=by)

    # --- the call on the board --------------------------------------------------------------------

    def _live_call(self, live: CallInProgress) -> LiveCall:
        call = live.call
        return LiveCall(
            id=call.id,
            pbx=self._people.pbx,
            direction=call.direction.value,
            state=live.state,
            party=live.touch.party,
            match=live.touch.match,
            dialed=self._people.dialed(call),
            queue=call.queue,
            started_at=self._moments.at(call.started_at),
            answered_at=self._moments.maybe(call.answered_at),
            participants=tuple(
                LiveParticipant(
                    endpoint=leg.endpoint,
                    agent=user.id if (user := self._people.at(leg)) else None,
                    name=user.name if user else "",
                    state=_leg_state(leg),
                )
                for leg in call.legs
                if leg.is_phone and not leg.ended
            ),
            team=live.touch.team,
        )


def _leg_state(leg: Leg) -> str:
    if leg.answered:
        return "talking"
    return "ringing" if leg.rang else "dialing"


def _bare(leg: Leg) -> str:
    """`1002` of `PJSIP/1002`: how people call a phone without a user."""
    return leg.endpoint.partition("/")[2] or leg.endpoint


def _since(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else max(0.0, end - start)


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
