"""Whatever is missing from a stream or comes twice: no exception, no ghost, no leak.

Each property is tried on all recorded stories. Cuts are tried at every place; the rest is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cti.ami.events import (
    AmiEvent,
    ChannelEvent,
    ChannelSnapshot,
    ChannelState,
    CoreShowChannel,
    Hangup,
    Linkedid,
    LinkLost,
    SnapshotBegun,
    SnapshotEnded,
    Uniqueid,
)
from cti.model import (
    Anomaly,
    Call,
    CallChange,
    CallEnded,
    CallId,
    CallOutcome,
    CallRinging,
    CallsMerged,
    CallStarted,
    LegRole,
)
from cti.tracker import CallTracker
from tests.cti.traces import events_of, names

STORIES = names()
NEAR = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Followed:
    """A tracker that was fed, and what it said."""

    def __init__(self, events: Iterable[AmiEvent]) -> None:
        self.tracker = CallTracker("pbx")
        self.changes: list[CallChange] = []
        self.surprises: list[Anomaly] = []
        for event in events:
            self.feed(event)

    def feed(self, event: AmiEvent) -> None:
        """Feed an event and check the tables."""
        for change in self.tracker.handle(event):
            if isinstance(change, Anomaly):
                self.surprises.append(change)
            else:
                self.changes.append(change)
        self.check()

    def check(self) -> None:
        """Hold what must be true after every event."""
        for channel in self.tracker._channels.values():
            assert channel.call.id in self.tracker._calls
            assert channel in channel.call.channels
            if channel.bridge is not None:
                assert channel in channel.bridge.members
                assert self.tracker._bridges[channel.bridge.id] is channel.bridge
            for other, talk in channel.talks.items():
                assert other.talks[channel] is talk
                assert talk.open

    @property
    def outcomes(self) -> dict[CallId, CallOutcome | None]:
        """How each call ended."""
        return {
            change.call.id: change.call.outcome
            for change in self.changes
            if isinstance(change, CallEnded)
        }

    def assert_each_call_began_and_ended_once(self) -> None:
        """Check the order of what was said."""
        open_calls: set[CallId] = set()
        over: set[CallId] = set()
        for change in self.changes:
            match change:
                case CallStarted():
                    assert change.call.id not in open_calls | over
                    open_calls.add(change.call.id)
                case CallsMerged():
                    assert change.merged in open_calls
                    assert change.call.id in open_calls
                    open_calls.remove(change.merged)
                    over.add(change.merged)
                case CallEnded():
                    assert change.call.id in open_calls
                    assert change.call.outcome is not None
                    open_calls.remove(change.call.id)
                    over.add(change.call.id)
                case _:
                    assert change.call.id in open_calls
        assert open_calls == {call.id for call in self.tracker.calls()}

    def assert_rang_once(self) -> None:
        """Check that no phone rang twice."""
        rings = [change.leg.uniqueid for change in self.changes if isinstance(change, CallRinging)]
        assert len(set(rings)) == len(rings)

    def assert_nothing_left(self) -> None:
        """Check that no memory is left."""
        tracker = self.tracker
        assert not tracker.calls()
        assert not tracker._channels
        assert not tracker._calls
        assert not tracker._by_linkedid
        assert not tracker._bridges
        assert not tracker._halves

    def hang_up_what_is_left(self) -> None:
        """Send the hangups that are missing."""
        for channel in list(self.tracker._channels.values()):
            self.feed(
                Hangup(
                    channel=ChannelSnapshot(
                        channel=channel.name,
                        uniqueid=channel.uniqueid,
                        linkedid=channel.linkedid,  # type: ignore[arg-type]
                    )
                )
            )

    def assert_sound(self) -> None:
        """Let all hang up, and check everything."""
        self.hang_up_what_is_left()
        self.assert_each_call_began_and_ended_once()
        self.assert_rang_once()
        self.assert_nothing_left()


def assert_figures_are_sane(call: Call) -> None:
    for seconds in (call.ring_s, call.wait_s, call.talk_s, call.hold_s):
        assert seconds is None or seconds >= 0.0


@pytest.mark.parametrize("name", STORIES)
def test_a_whole_story_leaves_nothing_behind(name: str) -> None:
    followed = Followed(events_of(name))
    followed.assert_nothing_left()
    followed.assert_each_call_began_and_ended_once()
    followed.assert_rang_once()
    assert not followed.surprises
    for change in followed.changes:
        assert_figures_are_sane(change.call)


@pytest.mark.parametrize("name", STORIES)
def test_joining_a_story_late(name: str) -> None:
    """Every beginning may be missing; every channel that is alive hangs up in the end."""
    events = events_of(name)
    for missed in range(1, len(events)):
        followed = Followed(events[missed:])
        followed.assert_nothing_left()
        followed.assert_each_call_began_and_ended_once()
        followed.assert_rang_once()


@pytest.mark.parametrize("name", STORIES)
def test_leaving_a_story_early(name: str) -> None:
    """A call in progress is told as it stands, and ends when its channels hang up."""
    events = events_of(name)
    for seen in range(0, len(events), 7):
        Followed(events[:seen]).assert_sound()


@pytest.mark.parametrize("name", STORIES)
def test_every_event_may_come_twice(name: str) -> None:
    """A repeated event changes no outcome and ends nothing twice."""
    events = events_of(name)
    plain = Followed(events)
    for index, event in enumerate(events):
        followed = Followed([*events[: index + 1], event, *events[index + 1 :]])
        followed.assert_nothing_left()
        followed.assert_rang_once()
        assert followed.outcomes == plain.outcomes


@given(data=st.data(), name=st.sampled_from(STORIES))
@NEAR
def test_a_late_copy_of_an_event_unmakes_no_answer(data: st.DataObject, name: str) -> None:
    events = events_of(name)
    first = data.draw(st.integers(0, len(events) - 1))
    later = data.draw(st.integers(first, len(events)))
    followed = Followed([*events[:later], events[first], *events[later:]])
    followed.assert_sound()
    for call, outcome in Followed(events).outcomes.items():
        if outcome is CallOutcome.ANSWERED and call in followed.outcomes:
            assert followed.outcomes[call] is CallOutcome.ANSWERED


@given(data=st.data(), name=st.sampled_from(STORIES))
@NEAR
def test_a_middle_may_be_missing(data: st.DataObject, name: str) -> None:
    events = events_of(name)
    start = data.draw(st.integers(0, len(events)))
    end = data.draw(st.integers(start, len(events)))
    Followed([*events[:start], *events[end:]]).assert_sound()


@given(data=st.data(), name=st.sampled_from(STORIES))
@NEAR
def test_the_link_breaks_and_a_list_comes(data: st.DataObject, name: str) -> None:
    """After a gap the list says what is left; here nothing: each call ends, none is invented."""
    events = events_of(name)
    start = data.draw(st.integers(0, len(events)))
    followed = Followed(events[:start])
    before = {call.id for call in followed.tracker.calls()}
    for said in (LinkLost(), SnapshotBegun(), SnapshotEnded(complete=True)):
        followed.feed(said)
    followed.assert_nothing_left()
    followed.assert_each_call_began_and_ended_once()
    assert before <= set(followed.outcomes)
    for event in events[start:]:
        followed.feed(event)
    followed.assert_sound()


def listed(tracker: CallTracker) -> list[AmiEvent]:
    """What CoreShowChannels would list now."""
    return [
        CoreShowChannel(
            channel=ChannelSnapshot(
                channel=channel.name,
                uniqueid=channel.uniqueid,
                linkedid=Linkedid(channel.linkedid),
                state=channel.state,
            ),
            application=(
                "AppDial" if channel.leg and channel.leg.role is LegRole.CALLEE else "Dial"
            ),
            bridge=channel.bridge.id if channel.bridge else "",
        )
        for channel in tracker._channels.values()
    ]


@given(data=st.data(), name=st.sampled_from(STORIES))
@NEAR
def test_a_short_gap_in_which_nothing_happened_changes_nothing(
    data: st.DataObject, name: str
) -> None:
    events = events_of(name)
    at = data.draw(st.integers(0, len(events)))
    followed = Followed(events[:at])
    for event in (
        LinkLost(),
        SnapshotBegun(),
        *listed(followed.tracker),
        SnapshotEnded(complete=True),
        *events[at:],
    ):
        followed.feed(event)
    assert not followed.surprises
    for call, outcome in Followed(events).outcomes.items():
        # A phone may have rung unseen when we saw none ring.
        assert followed.outcomes[call] in (outcome, CallOutcome.UNKNOWN)
        if outcome in (CallOutcome.ANSWERED, CallOutcome.ABANDONED):
            assert followed.outcomes[call] is outcome
    followed.assert_sound()


@given(data=st.data(), name=st.sampled_from(STORIES))
@NEAR
def test_starting_in_the_middle_with_a_list(data: st.DataObject, name: str) -> None:
    """Calls in progress are found; those that talk, or will, are answered."""
    events = events_of(name)
    at = data.draw(st.integers(0, len(events)))
    before = Followed(events[:at])
    talking = any(channel.talks for channel in before.tracker._channels.values())
    followed = Followed(
        [SnapshotBegun(), *listed(before.tracker), SnapshotEnded(complete=True), *events[at:]]
    )
    assert not followed.surprises
    followed.assert_sound()
    if talking:
        assert CallOutcome.ANSWERED in followed.outcomes.values()


@given(data=st.data(), name=st.sampled_from(STORIES), other=st.sampled_from(STORIES))
@NEAR
def test_two_stories_at_once(data: st.DataObject, name: str, other: str) -> None:
    """Calls of others change nothing about a call: events of two PBXs' clocks are mixed."""
    mine = events_of(name)
    theirs = [renamed(event, "x") for event in events_of(other)]
    order = data.draw(st.permutations([True] * min(len(mine), 40) + [False] * min(len(theirs), 40)))
    mixed: list[AmiEvent] = []
    left, right = list(mine), list(theirs)
    mixed.extend((left if is_mine else right).pop(0) for is_mine in order)
    followed = Followed([*mixed, *left, *right])
    followed.assert_nothing_left()
    ours = {call: outcome for call, outcome in followed.outcomes.items() if ":x" not in call}
    assert ours == Followed(mine).outcomes


@given(data=st.data(), name=st.sampled_from(STORIES))
@NEAR
def test_the_linkedid_changes_anywhere(data: st.DataObject, name: str) -> None:
    """From some event on, all channels show another linkedid: still the same calls."""
    events = events_of(name)
    start = data.draw(st.integers(0, len(events) - 1))
    changed = [
        event if index < start else with_linkedid(event, "9999999999.9")
        for index, event in enumerate(events)
    ]
    Followed(changed).assert_sound()


SNAPSHOTS = st.builds(
    ChannelSnapshot,
    channel=st.sampled_from(
        [
            "PJSIP/1001-00000001",
            "PJSIP/trunk-00000002",
            "Local/1@x-00000003;1",
            "Local/1@x-00000003;2",
            "",
        ]
    ),
    uniqueid=st.sampled_from(["1.1", "1.2", "1.3", "1.4"]),
    linkedid=st.sampled_from(["1.1", "1.2", "1.9"]),
    state=st.sampled_from(list(ChannelState)),
    exten=st.sampled_from(["", "s", "1001", "902125550101"]),
)


def any_event() -> st.SearchStrategy[AmiEvent]:
    """Draw any event with any fields: what no PBX would send."""
    kinds = [kind for kind in CallTracker("pbx")._handlers if kind is not AmiEvent]
    return st.one_of([st.builds(kind, **_fields(kind)) for kind in kinds])


def _fields(kind: type[AmiEvent]) -> dict[str, st.SearchStrategy[Any]]:
    values: dict[str, st.SearchStrategy[Any]] = {}
    for field in fields(kind):
        wanted = str(field.type)
        if wanted.startswith("ChannelSnapshot"):
            values[field.name] = st.none() | SNAPSHOTS if wanted.endswith("None") else SNAPSHOTS
        elif wanted == "str":
            values[field.name] = st.sampled_from(["", "b1", "b2", "Success", "support", "basic"])
        elif wanted == "Uniqueid":
            values[field.name] = st.sampled_from(["1.1", "1.2", "1.7"])
        elif wanted == "bool":
            values[field.name] = st.booleans()
        elif wanted == "int":
            values[field.name] = st.sampled_from([0, 16, 17, 21, 26])
        elif "float" in wanted:
            values[field.name] = st.sampled_from([1.0, 2.0, 3.0])
    return values


@given(events=st.lists(any_event(), max_size=40))
@settings(max_examples=300, deadline=None)
def test_nonsense_is_survived(events: Sequence[AmiEvent]) -> None:
    followed = Followed(events)
    followed.assert_sound()
    for change in followed.changes:
        assert_figures_are_sane(change.call)


def renamed(event: AmiEvent, prefix: str) -> AmiEvent:
    """Return the event as of other channels."""
    changed: dict[str, Any] = {}
    for field in fields(event):
        value = getattr(event, field.name)
        if isinstance(value, ChannelSnapshot):
            changed[field.name] = replace(
                value,
                uniqueid=Uniqueid(prefix + value.uniqueid),
                linkedid=Linkedid(prefix + value.linkedid),
                channel=value.channel.replace("/", f"/{prefix}-", 1),
            )
        elif "bridge" in field.name and isinstance(value, str) and field.name != "bridge_type":
            changed[field.name] = prefix + value
    return replace(event, **changed)


def with_linkedid(event: AmiEvent, linkedid: str) -> AmiEvent:
    """Return the event with another linkedid."""
    if isinstance(event, ChannelEvent):
        return replace(event, channel=replace(event.channel, linkedid=Linkedid(linkedid)))
    return event
