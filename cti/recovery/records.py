"""What a PBX wrote down about calls, and where that is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class CdrRow:
    """One row of Asterisk's call detail records: one party calling another, never a whole call.

    Times are seconds since the epoch. Asterisk writes a row after the hangup of its party A, and
    all rows of a party A together.
    """

    uniqueid: str
    """Of `channel`, the party A."""
    linkedid: str = ""
    """Empty when the PBX does not write it."""
    sequence: int = 0
    channel: str
    dstchannel: str = ""
    src: str = ""
    dst: str = ""
    name: str = ""
    """Of the caller."""
    lastapp: str = ""
    start: float
    answer: float | None = None
    """When party A was answered: by a person, or by the dialplan."""
    end: float
    disposition: str = ""
    """`ANSWERED`, `NO ANSWER`, `BUSY`, `FAILED`, `CONGESTION`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """One line of `queue_log`. Its time has no fractions of a second."""

    at: float
    callid: str
    """The Uniqueid of the caller's channel."""
    queue: str
    agent: str
    """The member's name, or its interface."""
    event: str
    args: tuple[str, ...] = ()

    def seconds(self, index: int) -> float | None:
        """The argument at this place as seconds; None when it is none."""
        try:
            seconds = float(self.args[index])
        except (IndexError, ValueError):
            return None
        return seconds if 0 <= seconds < 1e7 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CelRow:
    """A channel that began, ended, or entered or left a bridge."""

    event: str
    at: float
    channel: str
    uniqueid: str
    linkedid: str = ""
    bridge: str = ""
    holding: bool = False
    """True for a bridge in which channels only wait side by side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What a source has for a time."""

    cdr: tuple[CdrRow, ...] = ()
    queue: tuple[QueueRow, ...] = ()
    cel: tuple[CelRow, ...] = ()


class RecordSource(Protocol):
    """A place in which the PBX keeps records: files, or a table."""

    async def since(self, at: float) -> Records:
        """All records of what ended at or after `at`, in any order; older ones do no harm.

        Raises:
            RecordsUnavailable: they cannot be read now.
        """
        ...
