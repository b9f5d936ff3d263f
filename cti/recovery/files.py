"""The source of records that reads the files which Asterisk writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from cti.errors import RecordsUnavailable
from cti.recovery.cdr import parse_cdr, rows_of
from cti.recovery.cel import parse_cel
from cti.recovery.queue_log import parse_queue_log
from cti.recovery.records import CdrRow, CelRow, QueueRow, Records

_BLOCK: Final = 1 << 20
_MOST: Final = 256 << 20
"""Bytes. So much of the end of a file is read at the most."""
_EARLIER_S: Final = 600.0
"""A call's rows are written at its end, but not in the order in which calls began."""

R = TypeVar("R", CdrRow, QueueRow, CelRow)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFiles:
    """Reads the ends of the files, and of their predecessors (`Master.csv.1`) where need be."""

    cdr_csv: Path | None = None
    cdr_columns: Sequence[str] = ()
    queue_log: Path | None = None
    cel_csv: Path | None = None
    cel_columns: Sequence[str] = ()

    async def since(self, at: float) -> Records:
        """All records of what ended at or after `at`.

        Raises:
            RecordsUnavailable: a file cannot be read.
        """
        return await asyncio.to_thread(self._read, at)

    def _read(self, at: float) -> Records:
        cdr: list[CdrRow] = []
        queue: list[QueueRow] = []
        cel: list[CelRow] = []
        if self.cdr_csv is not None:
            cdr = _tail(
                self.cdr_csv,
                lambda text: parse_cdr(rows_of(text), self.cdr_columns),
                lambda row: row.end,
                at,
            )
        if self.queue_log is not None:
            queue = _tail(
                self.queue_log,
                lambda text: parse_queue_log(rows_of(text)),
                lambda line: line.at,
                at,
            )
        if self.cel_csv is not None:
            cel = _tail(
                self.cel_csv,
                lambda text: parse_cel(rows_of(text), self.cel_columns),
                lambda event: event.at,
                at,
            )
        return Records(cdr=tuple(cdr), queue=tuple(queue), cel=tuple(cel))


def _tail(
    path: Path, parse: Callable[[str], list[R]], ended: Callable[[R], float], at: float
) -> list[R]:
    try:
        rows, whole = _end_of(path, parse, ended, at)
    except OSError as error:
        raise RecordsUnavailable(f"{path}: {error.strerror or error}") from error
    older = path.with_name(f"{path.name}.1")
    if whole and older.is_file():
        try:
            rows = _end_of(older, parse, ended, at)[0] + rows
        except OSError as error:
            raise RecordsUnavailable(f"{older}: {error.strerror or error}") from error
    return rows


def _end_of(
    path: Path, parse: Callable[[str], list[R]], ended: Callable[[R], float], at: float
) -> tuple[list[R], bool]:
    """The rows at the end of a file that may be as late as `at`, and whether that is all of it."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        length = min(size, _BLOCK)
        while True:
            file.seek(size - length)
            read = file.read(length)
            if length < size:
                read = read.partition(b"\n")[2]  # the first line is cut
            rows = parse(read.decode("utf-8", "replace"))
            if length == size:
                return rows, not rows or ended(rows[0]) >= at - _EARLIER_S
            if length >= _MOST or (rows and ended(rows[0]) < at - _EARLIER_S):
                return rows, False
            length = min(size, length * 4, _MOST)
