"""Looks for calls that ended unseen in the PBX's records, until found or until it is too late.

Asterisk writes the records of a call a moment after its hangup, or much later when `cdr.conf` says
`batch = yes`; rows of one call may come one after the other. So a call counts as found when two
looks in a row show the same of it, or when there is no more time to look.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final, NoReturn, Protocol

from crm_core.model import Touch, TouchId
from cti.errors import RecordsUnavailable
from cti.model import Gap
from cti.recovery.reconstruct import CallRecords, Reconstruction, by_call, reconstruct
from cti.recovery.records import Records, RecordSource
from cti.tracker.endpoints import EndpointRules

log = logging.getLogger(__name__)

_LONGEST_S: Final = 8.0
_ROUNDING_S: Final = 2.0
"""Times in the records are seconds, cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsettled:
    """What nobody saw the end of."""

    touches: Sequence[Touch]
    """In progress in the history, though their calls are over."""
    since: float | None
    """When we last heard of the PBX before the gap: calls since then may have been missed
    altogether. None: no call can have been missed."""
    until: float
    """When we had a picture again. Both by the PBX's clock."""
    gap: Gap
    """What hid them."""


class Ledger(Protocol):
    """Whoever writes the history. Nothing here raises while the database is away: it waits."""

    def live_ids(self) -> AbstractSet[str]:
        """The linkedids and Uniqueids of calls in progress."""
        ...

    async def reconstructed(
        self, found: Reconstruction, touches: Sequence[Touch], missed_in: Gap
    ) -> bool:
        """Write what was found of a call, into its touch if it has one. False: it was known.

        `missed_in` is what hid a call that has none.
        """
        ...

    async def given_up(self, touches: Sequence[Touch]) -> None:
        """End touches of whose calls nothing was found."""
        ...


@dataclass(slots=True)
class SearchMetrics:
    """What became of calls that ended unseen."""

    recovered: int = 0
    unknown: int = 0


@dataclass(slots=True)
class _Gap:
    kind: Gap
    since: float
    until: float
    deadline: float


@dataclass(slots=True)
class _Wanted:
    touch: Touch
    ids: frozenset[str]
    deadline: float


@dataclass(slots=True)
class _Seen:
    """What the looks so far showed."""

    calls: dict[str, CallRecords] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)


class Search:
    """Looks for the calls of one PBX. `look_for` asks, `run` works."""

    def __init__(
        self,
        *,
        pbx: str,
        sources: Sequence[RecordSource],
        endpoints: EndpointRules,
        ledger: Ledger,
        wait_s: float = 30.0,
        longest_gap_s: float = 86_400.0,
        first_s: float = 0.5,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`wait_s`: how long records are waited for; `longest_gap_s`: how far back to look.

        The first look is after `first_s`, the pause to the next always twice as long.
        """
        self.pbx = pbx
        self.metrics = SearchMetrics()
        self._sources = sources
        self._endpoints = endpoints
        self._ledger = ledger
        self._wait_s = wait_s
        self._longest_gap_s = longest_gap_s
        self._first_s = first_s
        self._monotonic = monotonic
        self._wanted: dict[TouchId, _Wanted] = {}
        self._gaps: list[_Gap] = []
        self._seen = _Seen()
        self._asked = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def look_for(self, unsettled: Unsettled) -> None:
        """Begin to look. What is looked for already is not asked for anew."""
        deadline = self._monotonic() + self._wait_s
        for touch in unsettled.touches:
            if touch.id not in self._wanted:
                self._wanted[touch.id] = _Wanted(touch, _ids_of(touch, self.pbx), deadline)
        if unsettled.since is not None:
            since = max(unsettled.since, unsettled.until - self._longest_gap_s)
            self._gaps.append(_Gap(unsettled.gap, since, unsettled.until, deadline))
        if self.busy:
            self._idle.clear()
            self._asked.set()

    @property
    def busy(self) -> bool:
        """Whether anything is looked for."""
        return bool(self._wanted or self._gaps)

    async def idle(self) -> None:
        """Wait until nothing is looked for."""
        await self._idle.wait()

    async def run(self) -> NoReturn:
        """Look whenever asked, with growing pauses. Ends only by cancellation."""
        pause = self._first_s
        while True:
            if not self.busy:
                self._seen = _Seen()
                self._idle.set()
                await self._asked.wait()
            if self._asked.is_set():
                self._asked.clear()
                pause = self._first_s
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_S)
            try:
                await self._look()
            except Exception:
                # A defect of ours: what was looked for is looked for again after the next gap.
                log.exception(
                    "%s: calls that ended unseen could not be recovered",
                    self.pbx,
                    extra={"action": "recovery_failed", "pbx": self.pbx},
                )
                self._wanted.clear()
                self._gaps.clear()

    async def _look(self) -> None:
        live = self._ledger.live_ids()
        for records, found in await self._read():
            if found.ids & live or found.call.id in self._seen.done:
                continue
            wanted = [one for one in self._wanted.values() if one.ids & found.ids]
            gap = self._gap_of(records)
            if not wanted and gap is None:
                continue
            now = self._monotonic()
            late = any(one.deadline <= now for one in wanted) or self._gaps_are_over(now)
            if self._seen.calls.get(found.call.id) != records and not late:
                self._seen.calls[found.call.id] = records
                continue
            self._seen.done.add(found.call.id)
            missed_in = gap.kind if gap is not None else Gap.NOT_RUNNING
            for one in wanted:
                self._wanted.pop(one.touch.id, None)
            await self._write(found, [one.touch for one in wanted], missed_in)
        await self._give_up()

    async def _write(self, found: Reconstruction, touches: Sequence[Touch], missed_in: Gap) -> None:
        try:
            if await self._ledger.reconstructed(found, touches, missed_in):
                self.metrics.recovered += 1
        except Exception:
            log.exception(
                "%s: call %s was found, and could not be written",
                self.pbx,
                found.call.id,
                extra={"action": "recovery_failed", "pbx": self.pbx, "call": found.call.id},
            )

    async def _give_up(self) -> None:
        """Let go of what there is no more time for."""
        now = self._monotonic()
        over = [one for one in self._wanted.values() if one.deadline <= now]
        for one in over:
            del self._wanted[one.touch.id]
        self._gaps = [gap for gap in self._gaps if gap.deadline > now]
        if over:
            self.metrics.unknown += len(over)
            await self._ledger.given_up([one.touch for one in over])

    def _gaps_are_over(self, now: float) -> bool:
        return bool(self._gaps) and all(gap.deadline <= now for gap in self._gaps)

    def _gap_of(self, records: CallRecords) -> _Gap | None:
        """The gap in which all of the call was."""
        for gap in self._gaps:
            if (
                gap.since - _ROUNDING_S <= records.started_at
                and records.ended_at <= gap.until + _ROUNDING_S
            ):
                return gap
        return None

    async def _read(self) -> list[tuple[CallRecords, Reconstruction]]:
        since = min(
            [one.touch.at.timestamp() for one in self._wanted.values()]
            + [gap.since for gap in self._gaps],
            default=None,
        )
        if since is None:
            return []
        found = []
        for source in self._sources:
            try:
                found.append(await source.since(since - _ROUNDING_S))
            except RecordsUnavailable as error:
                log.warning(
                    "%s: the records of calls cannot be read: %s",
                    self.pbx,
                    error,
                    extra={"action": "records_unavailable", "pbx": self.pbx},
                )
        return await asyncio.to_thread(self._tell, found)

    def _tell(self, found: Sequence[Records]) -> list[tuple[CallRecords, Reconstruction]]:
        records = Records(
            cdr=tuple(row for one in found for row in one.cdr),
            queue=tuple(line for one in found for line in one.queue),
        )
        told = []
        for of_call in by_call(records):
            try:
                made = reconstruct(of_call, self.pbx, self._endpoints)
            except Exception:
                log.exception(
                    "%s: the records of a call are not understood: %s",
                    self.pbx,
                    sorted(of_call.ids),
                    extra={"action": "recovery_failed", "pbx": self.pbx},
                )
                continue
            if made is not None:
                told.append((of_call, made))
        return sorted(told, key=lambda one: one[0].started_at)


def _ids_of(touch: Touch, pbx: str) -> frozenset[str]:
    """The linkedids and Uniqueids under which a touch's call may be in the records."""
    ids = {touch.key.removeprefix(f"call:{pbx}:")}
    linkedids = touch.details.get("linkedids")
    if isinstance(linkedids, list):
        ids |= {str(linkedid) for linkedid in linkedids}
    return frozenset(ids)
