"""Calls in progress: what of them is stored in the history, and what of them is on screens. Pure.

What a transaction writes is `Written` and counts only once it is committed; then it is kept as
`CallInProgress`, of which the screens are told.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from crm_core.model import Match, Party, Touch, UserId
from crm_core.notices import PopState, ScreenPop
from cti.model import Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a transaction makes of a call; it counts once it is committed."""

    call: Call
    touch: Touch
    party: Party
    """The far end as the call last showed it; what is stored may be better (`TouchLog.open`)."""
    recent: tuple[Touch, ...] = ()
    """The customer's last touches before this one."""
    identified: bool = False
    """True when who it is was asked anew."""


@dataclass(slots=True)
class CallInProgress:
    """What we know beyond the tracker about a call in progress."""

    call: Call
    touch: Touch
    """As it is stored."""
    party: Party
    recent: tuple[Touch, ...] = ()
    """The last two as in `Written`."""
    chosen: bool = False
    """True when an agent said who it is; that outlives a transaction that is under way."""
    pops: dict[UserId, ScreenPop] = field(default_factory=dict)
    waiting_in: str = ""
    """The queue it waits in now."""

    @classmethod
    def begun(cls, written: Written) -> CallInProgress:
        """The call whose touch was opened."""
        return cls(
            call=written.call, touch=written.touch, party=written.party, recent=written.recent
        )

    def written(self) -> Written:
        """What was committed of it, for the next transaction to begin with."""
        return Written(call=self.call, touch=self.touch, party=self.party, recent=self.recent)

    def keep(self, written: Written) -> None:
        """Know what was committed."""
        touch, recent = written.touch, written.recent
        if self.chosen and not written.identified:
            # Chosen while the transaction was under way, which did not know of it.
            touch, recent = replace(touch, match=self.touch.match), self.recent
        self.chosen &= not written.identified
        self.touch, self.party, self.recent = touch, written.party, recent

    def choose(self, match: Match, recent: tuple[Touch, ...]) -> None:
        """An agent chose who the caller is: the cards of the call go on with that."""
        self.touch = replace(self.touch, match=match)
        self.chosen, self.recent = True, recent
        for user_id, pop in self.pops.items():
            self.pops[user_id] = replace(pop, match=match, recent=recent)

    @property
    def state(self) -> str:
        """The state as `LiveCall` has it."""
        call = self.call
        if call.ended:
            return "ended"
        if any(pop.state is PopState.HELD for pop in self.pops.values()):
            return "held"
        if self.waiting_in:
            return "queued"
        present = [leg for leg in call.legs if not leg.ended]
        if call.answered_at is not None and any(leg.answered for leg in present):
            return "talking"
        if any(leg.rang and not leg.answered for leg in present):
            return "ringing"
        return "started" if call.answered_at is None else "talking"
