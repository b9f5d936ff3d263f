"""Reads channel event logs as `cel_custom` writes them: who was in which bridge, and from when on.

A CDR does not tell when two people began to talk where the dialplan had answered before: after an
IVR, in a queue, after a blind transfer. The bridges do, to the microsecond.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from cti.recovery.cdr import is_epoch, offsets_of, time_of
from cti.recovery.records import CelRow

NEEDED: Final = ("eventtype", "eventtime", "channame", "uniqueid", "eventextra")
"""The columns that a mapping must have, by the names of `cel_custom.conf`."""

_WANTED: Final = frozenset({"BRIDGE_ENTER", "BRIDGE_EXIT", "CHAN_START", "CHAN_END"})


def parse_cel(lines: Iterable[str], columns: Sequence[str]) -> list[CelRow]:
    """Read the rows about bridges; the others, and what is no row, are left out."""
    rows: list[tuple[CelRow, bool]] = []
    made: dict[str, float] = {}
    for line in lines:
        named = _named(line, columns)
        row = _row(named)
        if row is None:
            continue
        local = not is_epoch(named["eventtime"])
        rows.append((row, local))
        if local and row.event == "CHAN_START":
            made[row.uniqueid] = row.at
    offsets = offsets_of(made)
    usual = max(set(offsets.values()), key=list(offsets.values()).count, default=0)
    return [
        replace(row, at=row.at - offsets.get(row.uniqueid, usual)) if local else row
        for row, local in rows
    ]


def _named(line: str, columns: Sequence[str]) -> dict[str, str]:
    try:
        return dict(zip(columns, next(csv.reader([line]), []), strict=False))
    except csv.Error:
        return {}


def _row(named: Mapping[str, str]) -> CelRow | None:
    if named.get("eventtype") not in _WANTED or not named.get("uniqueid"):
        return None
    at = time_of(named.get("eventtime", ""))
    if at is None or not named.get("channame"):
        return None
    bridge, technology = _bridge(named.get("eventextra", ""))
    return CelRow(
        event=named["eventtype"],
        at=at,
        channel=named["channame"],
        uniqueid=named["uniqueid"],
        linkedid=named.get("linkedid", ""),
        bridge=bridge,
        holding=technology == "holding_bridge",
    )


def _bridge(extra: str) -> tuple[str, str]:
    try:
        told = json.loads(extra) if extra else {}
    except (ValueError, RecursionError):
        return "", ""
    if not isinstance(told, dict):
        return "", ""
    return str(told.get("bridge_id", "")), str(told.get("bridge_technology", ""))
