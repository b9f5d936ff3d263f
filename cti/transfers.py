"""Hand-overs within a call: who handed on, who follows, and whether somebody took the call.

Asterisk tells that a transfer was tried, never whether the customer reached anybody: "Success" of
an attended transfer only means that the transferer was let go. So a transfer stays open until the
one who was handed on talks with somebody new, or the call ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cti.model import Transfer, TransferKind

if TYPE_CHECKING:
    from cti.tracker.calls import LiveLeg


_RECALLED = frozenset({TransferKind.BLIND, TransferKind.ATTENDED, TransferKind.BLONDE})
"""When nobody takes these, Asterisk or the dialplan rings the transferer again."""


class LiveTransfer:
    """A transfer whose result may not be known yet."""

    __slots__ = ("by", "by_legs", "follower", "kind", "order", "result", "timed_out", "to")

    def __init__(
        self,
        kind: TransferKind,
        *,
        by: str,
        by_legs: tuple[LiveLeg, ...],
        follower: LiveLeg | None,
        order: int,
        to: Iterable[LiveLeg] = (),
    ) -> None:
        self.kind = kind
        self.by = by
        self.by_legs = by_legs
        self.follower = follower
        """Who was handed on. None when Asterisk does not say (more than two in the bridge)."""
        self.order = order
        """When it was tried, on the tracker's counter."""
        self.to = list(to)
        self.result = ""
        self.timed_out = False
        """True when nobody came to take the parked call: then it goes back to who parked it."""

    @property
    def open(self) -> bool:
        """True until the result is known."""
        return not self.result

    def connected(self, one: LiveLeg, other: LiveLeg, legs: list[LiveLeg]) -> bool:
        """Two people of the call talk now: return whether that settles this transfer.

        Args:
            one: One of them.
            other: The other.
            legs: All of the call.

        """
        if self.kind is TransferKind.PICKUP:
            if not any(leg in self.by_legs for leg in (one, other)):
                return False
            return self.settle("answered", list(self.by_legs))
        taker = self._taker(one, other)
        if taker is None:
            return False
        if self.kind in _RECALLED or self.timed_out:
            own = {leg.endpoint for leg in self.by_legs}
            # Who meets them in a conference room came there with a call of their own.
            if taker.endpoint in own and taker in legs:
                tried = [leg for leg in self._tried(legs) if leg.endpoint not in own]
                return self.settle("failed", tried)
        return self.settle("answered", [taker])

    def ended(self, legs: list[LiveLeg]) -> bool:
        """The call is over: return whether that settles this transfer."""
        if not self.open:
            return False
        gave_up = self.follower is not None and self.follower.hung_up
        return self.settle("abandoned" if gave_up else "failed", self._tried(legs))

    def settle(self, result: str, to: list[LiveLeg]) -> bool:
        """Note the result; return True."""
        self.result = result
        self.to = list(to)
        return True

    def freeze(self) -> Transfer:
        """Return an immutable copy."""
        return Transfer(
            kind=self.kind,
            by=self.by,
            to=tuple(leg.channel for leg in self.to),
            result=self.result,
        )

    def _tried(self, legs: list[LiveLeg]) -> list[LiveLeg]:
        return self.to or [
            leg for leg in legs if leg.number > self.order and leg not in self.by_legs
        ]

    def _taker(self, one: LiveLeg, other: LiveLeg) -> LiveLeg | None:
        if self.follower is None:
            # Whoever joined after the transfer is the one it was for.
            pair = [leg for leg in (one, other) if leg.number > self.order]
        elif self.follower is one:
            pair = [other]
        elif self.follower is other:
            pair = [one]
        else:
            pair = []
        return next((leg for leg in pair if leg not in self.by_legs), None)
