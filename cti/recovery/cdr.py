"""Reads call detail records as `cdr_csv` (`Master.csv`) and `cdr_custom` write them.

`Master.csv` has no names for its columns; which ones there are depends on `cdr.conf`
(`cdr_csv.c`, `build_csv_record`): sixteen always, then `uniqueid` and `userfield` where they are
switched on, then three more with `newcdrcolumns`. Its times have no zone: they are local to the PBX
unless `usegmtime` is set. Each row also has its Uniqueid, which begins with the second at which the
channel was made, so the zone is seen from the rows.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from cti.recovery.records import CdrRow

COLUMNS: Final = (
    *("accountcode", "src", "dst", "dcontext", "clid", "channel", "dstchannel", "lastapp"),
    *("lastdata", "start", "answer", "end", "duration", "billsec", "disposition", "amaflags"),
)
"""The columns that `Master.csv` always has."""
_NEWER: Final = ("peeraccount", "linkedid", "sequence")
_NEEDED: Final = ("uniqueid", "channel", "start", "end", "disposition")

_UNIQUEID: Final = re.compile(r"(?:.*-)?(\d{9,11})\.\d+", re.ASCII | re.DOTALL)
"""`1795559849.0`, or `pbx1-1795559849.0` with a system name."""
_EPOCH: Final = re.compile(r"\d{9,11}(?:\.\d+)?", re.ASCII)
_NAME: Final = re.compile(r'"(.*)" <[^<>]*>', re.DOTALL)
_QUARTER_S: Final = 900
_WIDEST_S: Final = 14 * 3600
"""No zone is farther from Greenwich."""


def parse_cdr(lines: Iterable[str], columns: Sequence[str] = ()) -> list[CdrRow]:
    """Read what can be read; a line that is no record is left out.

    Args:
        lines: Each a row.
        columns: The columns of a `cdr_custom` mapping, by the names that `CDR()` has for them;
            none for `Master.csv`.

    """
    rows: list[tuple[CdrRow, bool]] = []
    for line in lines:
        values = _values(line)
        named = dict(zip(columns, values, strict=False)) if columns else _master(values)
        row = _row(named)
        if row is not None:
            rows.append((row, not is_epoch(named["start"])))
    offsets = _offsets([row for row, local in rows if local])
    return [_moved(row, offsets) if local else row for row, local in rows]


def epoch_of(uniqueid: str) -> float | None:
    """When a channel was made, to the second: its Uniqueid begins with that."""
    found = _UNIQUEID.fullmatch(uniqueid)
    return float(found[1]) if found else None


def _values(line: str) -> list[str]:
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return []


def _master(values: list[str]) -> dict[str, str]:
    """Name the columns of a row of `Master.csv` by how many there are."""
    more: tuple[str, ...]
    match len(values) - len(COLUMNS):
        case 1:
            more = ("uniqueid",)
        case 2:
            more = ("uniqueid", "userfield")
        case 4:
            more = ("uniqueid", *_NEWER)
        case 5:
            more = ("uniqueid", "userfield", *_NEWER)
        case _:
            return {}
    return dict(zip((*COLUMNS, *more), values, strict=True))


def _row(named: Mapping[str, str]) -> CdrRow | None:
    if any(not named.get(name) for name in _NEEDED) or not _UNIQUEID.fullmatch(named["uniqueid"]):
        return None
    start, end = time_of(named["start"]), time_of(named["end"])
    if start is None or end is None:
        return None
    name = _NAME.fullmatch(named.get("clid", ""))
    sequence = named.get("sequence", "")
    return CdrRow(
        uniqueid=named["uniqueid"],
        linkedid=named.get("linkedid", ""),
        sequence=int(sequence) if sequence.isascii() and sequence.isdecimal() else 0,
        channel=named["channel"],
        dstchannel=named.get("dstchannel", ""),
        src=named.get("src", ""),
        dst=named.get("dst", ""),
        name=name[1].replace('\\"', '"') if name else "",
        lastapp=named.get("lastapp", ""),
        start=start,
        answer=time_of(named.get("answer", "")),
        end=max(start, end),
        disposition=named["disposition"].upper(),
    )


def is_epoch(text: str) -> bool:
    """Tell whether a time is written as seconds since the epoch."""
    return _EPOCH.fullmatch(text) is not None


def time_of(text: str) -> float | None:
    """Seconds since the epoch; a local time as if it were Greenwich's. None for "not at all"."""
    if _EPOCH.fullmatch(text):
        return float(text) or None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    try:
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (OverflowError, ValueError):
        return None


def _offsets(rows: Sequence[CdrRow]) -> dict[str, int]:
    first: dict[str, float] = {}
    for row in rows:
        first[row.uniqueid] = min(first.get(row.uniqueid, row.start), row.start)
    return offsets_of(first)


def offsets_of(first: Mapping[str, float]) -> dict[str, int]:
    """How far the times of each channel's rows are ahead of Greenwich, by Uniqueid.

    Args:
        first: When each channel was made, by Uniqueid, in the time of the rows. What is later, as
            the rows of a channel may be cut off, is not taken: only a zone that many show is one.

    """
    seen = {uniqueid: _offset(uniqueid, start) for uniqueid, start in first.items()}
    usual = Counter(offset for offset in seen.values() if offset is not None)
    zones = {offset for offset, times in usual.items() if times * 10 >= sum(usual.values())}
    most = usual.most_common(1)[0][0] if usual else 0
    return {
        uniqueid: offset if offset is not None and offset in zones else most
        for uniqueid, offset in seen.items()
    }


def _offset(uniqueid: str, start: float) -> int | None:
    made = epoch_of(uniqueid)
    if made is None:
        return None
    offset = round((start - made) / _QUARTER_S) * _QUARTER_S
    return offset if abs(offset) <= _WIDEST_S else None


def _moved(row: CdrRow, offsets: Mapping[str, int]) -> CdrRow:
    offset = offsets[row.uniqueid]
    if not offset:
        return row
    return replace(
        row,
        start=row.start - offset,
        end=row.end - offset,
        answer=None if row.answer is None else row.answer - offset,
    )


def rows_of(text: str) -> Iterator[str]:
    """The lines of a file. A carriage return or another odd separator in a name is no line end."""
    yield from text.split("\n")
