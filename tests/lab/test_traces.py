"""The recorded traces are whole, hold no secret, and agree with their ground truth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.lab.known_wrong import KNOWN_WRONG

TRACES = Path(__file__).parents[1] / "traces"
RECORDED = sorted(TRACES.glob("*/*.ami"))


def messages(trace: Path) -> list[dict[str, str]]:
    """Return the headers of each message of a trace, first value wins."""
    raw = trace.read_bytes()
    assert raw.startswith(b"Asterisk Call Manager/")
    assert raw.endswith(b"\r\n\r\n")
    found = []
    for part in raw.decode().split("\r\n\r\n"):
        headers: dict[str, str] = {}
        for line in part.split("\r\n"):
            key, separator, value = line.partition(":")
            if separator:
                headers.setdefault(key, value.strip())
        found.append(headers)
    return found


@pytest.mark.parametrize("trace", RECORDED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_trace_is_whole(trace: Path) -> None:
    """Each channel is born and ends, each event has a time, no secret is told."""
    born, ended = set(), set()
    for message in messages(trace):
        if message.get("Event") == "Newchannel":
            born.add(message["Uniqueid"])
        elif message.get("Event") == "Hangup":
            ended.add(message["Uniqueid"])
        assert "Secret" not in message
        assert "Key" not in message
    assert born == ended


@pytest.mark.parametrize("trace", RECORDED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_ground_truth_names_what_the_trace_has(trace: Path) -> None:
    """Each endpoint of the truth has a channel, each queue a caller, each talk a bridge."""
    truth = json.loads(trace.with_suffix(".json").read_text())
    stream = messages(trace)
    channels = [m["Channel"] for m in stream if m.get("Event") == "Newchannel"]
    endpoints = {channel.rsplit("-", 1)[0] for channel in channels}
    bridged = {m["Channel"].rsplit("-", 1)[0] for m in stream if m.get("Event") == "BridgeEnter"}
    joined = [m["Queue"] for m in stream if m.get("Event") == "QueueCallerJoin"]
    assert truth["about"]
    assert bool(truth["calls"]) == bool(channels)
    for call in truth["calls"]:
        assert {leg["endpoint"] for leg in call.get("legs", [])} <= endpoints
        assert {endpoint for talk in call["talks"] for endpoint in talk} <= bridged
        assert set(call["queues"]) <= set(joined)
    assert sum(len(call["queues"]) for call in truth["calls"]) == len(joined)


def test_what_the_tracker_gets_wrong_is_told_beside_the_trace() -> None:
    """The list and the files agree, so that no story is excused unseen."""
    told = {
        trace.relative_to(TRACES).with_suffix("").as_posix(): truth["tracker"]
        for trace in RECORDED
        if "tracker" in (truth := json.loads(trace.with_suffix(".json").read_text()))
    }
    assert told == {name: f"known wrong: {reason}" for name, reason in KNOWN_WRONG.items()}
