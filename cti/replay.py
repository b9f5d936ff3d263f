"""A recorded stream becomes lines of JSON: what `santral replay` prints.

The recording goes through the same codec and tracker as live traffic.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from cti.ami.events import AmiEvent
from cti.ami.traces import read_trace
from cti.model import (
    Anomaly,
    Call,
    CallAnswered,
    CallChange,
    CallChangedParty,
    CallEnded,
    CallHeld,
    CallId,
    CallLeftQueue,
    CallQueued,
    CallResumed,
    CallRinging,
    CallsMerged,
    CallStarted,
    CallTransferred,
    LegEnded,
)
from cti.record import call_record, leg_record, transfer_record
from cti.tracker import CallTracker, EndpointRules

PBX: Final = "pbx"
"""The name of a PBX whose settings are not known."""

Source = str | Path | BinaryIO | Iterable[AmiEvent]

_WORDS: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


def replay_events(
    source: Source, pbx: str = PBX, rules: EndpointRules | None = None
) -> Iterator[dict[str, Any]]:
    """Yield each change of a call, in order, as an object for JSON. Surprises are left out.

    Args:
        source: A recording, `-` for standard input, or events.
        pbx: The name of the PBX, a part of each call's id.
        rules: Which of its endpoints are phones.

    Raises:
        OSError: The recording cannot be read.

    """
    tracker = CallTracker(pbx, rules)
    for event in _events(source):
        for change in tracker.handle(event):
            if not isinstance(change, Anomaly):
                yield change_record(change)


def replay_calls(
    source: Source, pbx: str = PBX, rules: EndpointRules | None = None
) -> Iterator[dict[str, Any]]:
    """Yield each call, in the order in which they began, as an object for JSON.

    A call that was merged into another is a part of that one. A call that is still in progress when
    the recording ends has `ended` false and no outcome. Arguments as for `replay_events`.

    Raises:
        OSError: The recording cannot be read.

    """
    tracker = CallTracker(pbx, rules)
    calls: dict[CallId, Call] = {}
    for event in _events(source):
        for change in tracker.handle(event):
            match change:
                case Anomaly():
                    pass
                case CallsMerged():
                    calls.pop(change.merged, None)
                    calls[change.call.id] = change.call
                case _:
                    calls[change.call.id] = change.call
    for call in tracker.calls():
        calls[call.id] = call
    for call in calls.values():
        yield call_record(call)


def _events(source: Source) -> Iterable[AmiEvent]:
    if isinstance(source, str | Path):
        return read_trace(source)
    # Asking a stream for `read` is enough: standard input, files and sockets all have it.
    return read_trace(cast("BinaryIO", source)) if hasattr(source, "read") else source


def change_record(change: CallChange) -> dict[str, Any]:
    """Return a change as an object for JSON."""
    record: dict[str, Any] = {
        "event": _WORDS.sub("_", type(change).__name__).lower(),
        "call": change.call.id,
        "at": change.at,
    }
    match change:
        case CallStarted() | CallChangedParty():
            record |= {
                "direction": change.call.direction.value,
                "caller": {"number": change.call.caller.number, "name": change.call.caller.name},
                "dialed": change.call.dialed,
            }
        case CallQueued():
            record |= {"queue": change.queue, "position": change.position}
        case CallLeftQueue():
            record |= {"queue": change.queue}
        case CallRinging():
            record |= {"leg": leg_record(change.leg), "queue": change.queue}
        case CallAnswered() | CallHeld() | CallResumed():
            record |= {"leg": leg_record(change.leg)}
        case LegEnded():
            by = change.answered_by
            record |= {"leg": leg_record(change.leg), "answered_by": by.channel if by else None}
        case CallTransferred():
            record |= {"transfer": transfer_record(change.transfer)}
        case CallsMerged():
            record |= {"merged": change.merged}
        case CallEnded():
            record |= {
                key: value
                for key, value in call_record(change.call).items()
                if key in ("outcome", "wait_s", "talk_s", "hold_s")
            }
    return record
