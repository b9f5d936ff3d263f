"""`santral replay`: what it prints, and from what."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest

from cti.replay import replay_calls, replay_events
from cti.tracker import EndpointRules
from tests.cti.pbx import Pbx
from tests.cti.traces import TRACES, events_of

STORY = TRACES / "inbound" / "answered.ami"

CALL_KEYS = [
    "call",
    "linkedids",
    "direction",
    "outcome",
    "ended",
    "caller",
    "dialed",
    "queues",
    "legs",
    "talks",
    "transfers",
    "merged",
    "wait_s",
    "talk_s",
    "hold_s",
    "anomalies",
]
LEG_KEYS = ["uniqueid", "channel", "endpoint", "role", "rang", "answered", "result"]


def test_a_call_is_printed_as_promised() -> None:
    (call,) = replay_calls(STORY, "main")
    assert list(call) == CALL_KEYS
    assert [list(leg) for leg in call["legs"]] == [LEG_KEYS, LEG_KEYS]
    assert call["call"].startswith("main:")
    assert json.loads(json.dumps(call)) == call


def test_each_change_is_printed_in_order() -> None:
    changes = list(replay_events(STORY))
    assert [change["event"] for change in changes] == [
        "call_started",
        "call_ringing",
        "call_answered",
        "leg_ended",
        "leg_ended",
        "call_ended",
    ]
    assert all(isinstance(change["at"], float) for change in changes)
    assert changes[1]["leg"]["endpoint"] == "PJSIP/1001"
    assert changes[-1]["outcome"] == "answered"


def test_any_way_to_give_the_recording_gives_the_same(tmp_path: Path) -> None:
    raw = STORY.read_bytes()
    packed = tmp_path / "answered.ami.gz"
    packed.write_bytes(gzip.compress(raw))
    expected = list(replay_calls(STORY))
    assert list(replay_calls(str(STORY))) == expected
    assert list(replay_calls(io.BytesIO(raw))) == expected
    assert list(replay_calls(packed)) == expected
    assert list(replay_calls(events_of("inbound/answered"))) == expected


def test_the_rules_of_the_pbx_are_followed() -> None:
    (call,) = replay_calls(STORY, rules=EndpointRules(phones="trunk"))
    assert call["direction"] == "outbound"


def test_a_call_in_progress_has_no_outcome_yet() -> None:
    pbx = Pbx()
    a = pbx.trunk()
    (call,) = replay_calls([a.calls("902125550101")])
    assert (call["ended"], call["outcome"]) == (False, None)


def test_merged_calls_are_printed_once() -> None:
    calls = list(replay_calls(TRACES / "transfer" / "attended_answered.ami"))
    assert len(calls) == 1
    assert len(calls[0]["merged"]) == 1


def test_a_recording_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(replay_calls(tmp_path / "nothing"))
