"""Reads `queue_log`: `time|callid|queue|agent|event|data…`, one line for each thing that happens.

Source: Asterisk's documentation of queue logs, and the lab's Asterisk 22.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cti.recovery.records import QueueRow

_FEWEST: Final = 5
_LATEST: Final = 1e11


def parse_queue_log(lines: Iterable[str]) -> list[QueueRow]:
    """Read the lines about callers; the others (pauses, restarts) and what is no line are left out.

    A name may hold a `|`: then the line is not understood, and left out.
    """
    rows: list[QueueRow] = []
    for line in lines:
        at, *rest = line.rstrip("\r").split("|")
        if len(rest) < _FEWEST - 1 or rest[0] in ("", "NONE") or rest[3] not in _OF_CALLERS:
            continue
        try:
            when = float(at)
        except ValueError:
            continue
        if not 0 < when < _LATEST:
            continue
        callid, queue, agent, event, *args = rest
        rows.append(
            QueueRow(
                at=when, callid=callid, queue=queue, agent=agent, event=event, args=tuple(args)
            )
        )
    return rows


_OF_CALLERS: Final = frozenset(
    {
        *("ENTERQUEUE", "CONNECT", "COMPLETECALLER", "COMPLETEAGENT", "ABANDON", "EXITEMPTY"),
        *("EXITWITHKEY", "EXITWITHTIMEOUT", "WITHDRAW", "RINGNOANSWER", "RINGCANCELED"),
        *("TRANSFER", "BLINDTRANSFER", "ATTENDEDTRANSFER"),
    }
)
