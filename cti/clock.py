"""What time it is at a PBX, for events that do not say, and what the history calls that time.

Asterisk tells the time of an event only with `timestampevents = yes`, and never that of an item of
a list. Without times there would be no seconds in the history, so such events get the time at which
they left the socket, by the PBX's clock as far as that is known.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

from cti.ami.events import AmiEvent

E = TypeVar("E", bound=AmiEvent)


class PbxClock:
    """Knows how far the clock of one PBX is from ours."""

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.time,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._now = now
        self._monotonic_ns = monotonic_ns
        self._ahead_s = 0.0
        """How far its clock is ahead of ours, transport included."""

    def stamped(self, event: E, received_ns: int) -> E:
        """The event with a time: its own, else when it came (`time.monotonic_ns`)."""
        came = self._now() - (self._monotonic_ns() - received_ns) / 1e9
        if event.at is not None:
            self._ahead_s = event.at - came
            return event
        return replace(event, at=came + self._ahead_s)


@dataclass(frozen=True, slots=True)
class Moments:
    """Turns the seconds since 1970 of a PBX into the times of the history."""

    now: Callable[[], float] = time.time

    def at(self, at: float | None) -> datetime:
        """This time, or the time now when the PBX told none, or one beyond all years."""
        try:
            return datetime.fromtimestamp(self.now() if at is None else at, UTC)
        except (ValueError, OverflowError, OSError):  # a PBX with a clock beyond all years
            return datetime.fromtimestamp(self.now(), UTC)

    def maybe(self, at: float | None) -> datetime | None:
        """This time, or None when there is none."""
        return None if at is None else self.at(at)
