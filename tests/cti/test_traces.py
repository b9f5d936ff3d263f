"""Every recorded story gives exactly the calls that were played."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cti.replay import replay_calls, replay_events
from tests.cti.traces import TRACES, Json, assert_as_played, kept_file, names, truth_of


def stories() -> list[Any]:
    """All stories; those that the tracker is known to get wrong must fail, or the note goes."""
    return [
        pytest.param(name, marks=pytest.mark.xfail(reason=wrong, strict=True)) if wrong else name
        for name in names()
        for wrong in [truth_of(name).get("tracker", "")]
    ]


def kept(name: str) -> list[Json]:
    lines = kept_file(name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


RIGHT = [name for name in names() if "tracker" not in truth_of(name)]


@pytest.mark.parametrize("name", stories())
def test_a_recorded_story_gives_the_calls_that_were_played(name: str) -> None:
    assert_as_played(list(replay_calls(TRACES / f"{name}.ami")), truth_of(name))


@pytest.mark.parametrize("name", RIGHT)
def test_the_calls_that_are_kept_are_those_that_were_played(name: str) -> None:
    """No wrong answer can be kept as the expected one."""
    assert_as_played(kept(name), truth_of(name))


@pytest.mark.parametrize("name", RIGHT)
def test_the_whole_answer_stays_as_it_was_kept(name: str) -> None:
    assert list(replay_calls(TRACES / f"{name}.ami")) == kept(name)


def test_no_answer_is_kept_that_is_known_to_be_wrong() -> None:
    files = set(TRACES.rglob("*.calls.json"))
    assert files == {kept_file(name) for name in RIGHT}


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
