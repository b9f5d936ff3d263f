"""Rows of the table that `make bench` prints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: what was measured, the value, the rival's value in the same run, and the aim."""

    what: str
    ours: str
    rival: str = ""
    ratio: str = ""
    aim: str = ""


def quantile(values: Sequence[float], q: float) -> float:
    """The value below which the share `q` of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def printed(rows: Iterable[Row]) -> str:
    """The rows as an aligned table."""
    lines = [("what", "ours", "rival", "ratio", "aim")]
    lines += [(row.what, row.ours, row.rival, row.ratio, row.aim) for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
