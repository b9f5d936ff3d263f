"""Every recorded story gives exactly the calls that were played.

`<name>.ami` is what Asterisk 22 sent, `<name>.json` what the lab's phones did (the ground truth),
`<name>.calls.json` the whole answer of `santral replay`, looked through by a person.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cti.replay import replay_calls, replay_events
from tests.cti.traces import TRACES, names

Json = dict[str, Any]


def truth_of(name: str) -> Json:
    truth: Json = json.loads((TRACES / f"{name}.json").read_text())
    return truth


def endpoint(channel: str) -> str:
    return channel.rpartition("-")[0]


def seen(call: Json, truth: Json) -> Json:
    """The same facts of a call as the ground truth has, in its terms: endpoints, not channels."""
    facts = {key: call[key] for key in truth if key in call}
    if "talks" in truth:
        facts["talks"] = [[endpoint(one), endpoint(other)] for one, other in call["talks"]]
    if "transfers" in truth:
        facts["transfers"] = [
            transfer
            | {"by": endpoint(transfer["by"]), "to": [endpoint(to) for to in transfer["to"]]}
            for transfer in call["transfers"]
        ]
    return facts


def legs_differ(legs: list[Json], expected: list[Json]) -> str:
    """Compare legs in any order, by what the ground truth says of each."""
    left = list(legs)
    for wanted in expected:
        found = next((leg for leg in left if wanted.items() <= leg.items()), None)
        if found is None:
            return f"{wanted} is not among {left}"
        left.remove(found)
    return f"not expected: {left}" if left else ""


def stories() -> list[Any]:
    """All stories; those that the tracker is known to get wrong must fail, or the note goes."""
    return [
        pytest.param(name, marks=pytest.mark.xfail(reason=wrong, strict=True)) if wrong else name
        for name in names()
        for wrong in [truth_of(name).get("tracker", "")]
    ]


@pytest.mark.parametrize("name", stories())
def test_a_recorded_story_gives_the_calls_that_were_played(name: str) -> None:
    truth = truth_of(name)
    calls = list(replay_calls(TRACES / f"{name}.ami"))
    assert len(calls) == len(truth["calls"])
    for call, expected in zip(calls, truth["calls"], strict=True):
        wanted = {
            key: value
            for key, value in expected.items()
            if key in call and key != "legs" and not key.endswith("_s")
        }
        assert seen(call, wanted) == wanted
        if "legs" in expected:
            assert not legs_differ(call["legs"], expected["legs"])
        for key in ("wait_s", "talk_s", "hold_s"):
            if key in expected:
                assert call[key] == pytest.approx(expected[key], abs=truth["tolerance_s"]), key
        assert call["anomalies"] == 0


@pytest.mark.parametrize("name", names())
def test_the_whole_answer_stays_as_it_was_looked_through(name: str) -> None:
    kept = TRACES / f"{name}.calls.json"
    if not kept.exists():
        pytest.skip("not looked through yet")
    expected = [json.loads(line) for line in kept.read_text().splitlines()]
    assert list(replay_calls(TRACES / f"{name}.ami")) == expected


@pytest.mark.parametrize("name", names())
def test_each_phone_rings_once_and_each_call_begins_and_ends_once(name: str) -> None:
    changes = list(replay_events(TRACES / f"{name}.ami"))
    rings = Counter(
        (change["call"], change["leg"]["uniqueid"])
        for change in changes
        if change["event"] == "call_ringing"
    )
    assert set(rings.values()) <= {1}
    started = [change["call"] for change in changes if change["event"] == "call_started"]
    over = [
        change["call"] if change["event"] == "call_ended" else change["merged"]
        for change in changes
        if change["event"] in ("call_ended", "calls_merged")
    ]
    assert len(set(started)) == len(started)
    assert sorted(started) == sorted(over)


def test_there_are_traces() -> None:
    assert Path(TRACES).is_dir()
    assert names()
