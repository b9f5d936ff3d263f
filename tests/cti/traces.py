"""The streams recorded from the real Asterisk: what is expected of each, and how it is compared.

`<name>.ami` is what Asterisk sent, `<name>.json` what the lab's phones did (the ground truth),
`<name>.calls.json` the whole answer of `santral replay`.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from cti.ami.events import AmiEvent
from cti.ami.traces import read_trace

TRACES: Final = Path(__file__).parent.parent / "traces"

Json = dict[str, Any]


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


def truth_of(name: str) -> Json:
    """Return what the phones of a story did."""
    truth: Json = json.loads((TRACES / f"{name}.json").read_text(encoding="utf-8"))
    return truth


def kept_file(name: str) -> Path:
    """Return the file with the calls of a story that are agreed upon."""
    return TRACES / f"{name}.calls.json"


def assert_as_played(calls: list[Json], truth: Json) -> None:
    """Compare what is said of calls with all that the ground truth knows of them.

    Raises:
        AssertionError: They differ.

    """
    assert len(calls) == len(truth["calls"])
    for call, expected in zip(calls, truth["calls"], strict=True):
        wanted = {
            key: value
            for key, value in expected.items()
            if key in call and key != "legs" and not key.endswith("_s")
        }
        assert _seen(call, wanted) == wanted
        if "legs" in expected:
            assert not _legs_differ(call["legs"], expected["legs"])
        for key in ("wait_s", "talk_s", "hold_s"):
            if key in expected:
                assert call[key] == pytest.approx(expected[key], abs=truth["tolerance_s"]), key
        assert call["anomalies"] == 0


def _endpoint(channel: str) -> str:
    return channel.rpartition("-")[0]


def _seen(call: Json, truth: Json) -> Json:
    """The same facts of a call as the ground truth has, in its terms: endpoints, not channels."""
    facts = {key: call[key] for key in truth if key in call}
    if "talks" in truth:
        facts["talks"] = [[_endpoint(one), _endpoint(other)] for one, other in call["talks"]]
    if "transfers" in truth:
        facts["transfers"] = [
            transfer
            | {"by": _endpoint(transfer["by"]), "to": [_endpoint(to) for to in transfer["to"]]}
            for transfer in call["transfers"]
        ]
    return facts


def _legs_differ(legs: list[Json], expected: list[Json]) -> str:
    """Compare legs in any order, by what the ground truth says of each."""
    left = list(legs)
    for wanted in expected:
        found = next((leg for leg in left if wanted.items() <= leg.items()), None)
        if found is None:
            return f"{wanted} is not among {left}"
        left.remove(found)
    return f"not expected: {left}" if left else ""
