"""The streams recorded from the real Asterisk 22."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from cti.ami.events import AmiEvent
from cti.ami.traces import read_trace

TRACES: Final = Path(__file__).parent.parent / "traces"


def names() -> list[str]:
    """Return the stories that have a record and a ground truth, as `inbound/answered`."""
    return [
        path.relative_to(TRACES).with_suffix("").as_posix()
        for path in sorted(TRACES.rglob("*.ami"))
        if path.with_suffix(".json").exists()
    ]


@cache
def events_of(name: str) -> tuple[AmiEvent, ...]:
    """Return the events of a story."""
    return tuple(read_trace(TRACES / f"{name}.ami"))
