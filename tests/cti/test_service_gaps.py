"""Recorded calls with a gap at every moment: our restart, a lost link, a stream without times.

After each, every call is one touch whose end is known or unknown, and no card stays up.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

import pytest

from crm_core.memory import MemoryStore
from crm_core.model import Outcome
from crm_core.notices import PopShown, PopState, PopUpdated, PopWithdrawn
from cti.ami.events import (
    AmiEvent,
    BridgeEnter,
    BridgeLeave,
    ChannelEvent,
    ChannelSnapshot,
    CoreShowChannel,
    DialBegin,
    Hangup,
    LinkLost,
    QueueCallerJoin,
    QueueCallerLeave,
    QueueEntry,
    QueueParams,
    SnapshotBegun,
    SnapshotEnded,
    Uniqueid,
)
from cti.ami.traces import read_trace
from tests.cti.stories import RECORDED, TRACES
from tests.cti.switchboard import Switchboard

SHORT = (
    "inbound/answered",
    "inbound/caller_cancels",
    "outbound/answered",
    "click_to_call/answered",
    "queue/ringall_answered",
    "queue/ringall_abandoned",
    "ring_group/second_answers",
    "transfer/attended_answered",
    "transfer/blind_answered",
)


class Picture:
    """What a PBX would list, from what it told so far."""

    def __init__(self) -> None:
        self.channels: dict[str, ChannelSnapshot] = {}
        self.bridges: dict[str, str] = {}
        self.dialled: set[str] = set()
        self.waiting: dict[str, str] = {}

    def follow(self, event: AmiEvent) -> None:
        """Take what the PBX told."""
        match event:
            case Hangup():
                self.channels.pop(event.channel.uniqueid, None)
                return
            case BridgeEnter():
                self.bridges[event.channel.uniqueid] = event.bridge
            case BridgeLeave():
                self.bridges.pop(event.channel.uniqueid, None)
            case QueueCallerJoin():
                self.waiting[event.channel.uniqueid] = event.queue
            case QueueCallerLeave():
                self.waiting.pop(event.channel.uniqueid, None)
            case DialBegin():
                self.dialled.add(event.dest.uniqueid)
            case _:
                pass
        if isinstance(event, ChannelEvent):
            self.channels[event.channel.uniqueid] = event.channel

    def listed(self) -> list[AmiEvent]:
        """The lists after a connect."""
        events: list[AmiEvent] = [SnapshotBegun()]
        events += [
            CoreShowChannel(
                channel=channel,
                application="AppDial" if uniqueid in self.dialled else "Dial",
                bridge=self.bridges.get(uniqueid, ""),
                duration_s=1.0,
            )
            for uniqueid, channel in self.channels.items()
        ]
        events += [QueueParams(queue=queue) for queue in dict.fromkeys(self.waiting.values())]
        events += [
            QueueEntry(queue=queue, position=1, channel="", uniqueid=Uniqueid(uniqueid), wait_s=1.0)
            for uniqueid, queue in self.waiting.items()
            if uniqueid in self.channels
        ]
        return [*events, SnapshotEnded(complete=True)]


def outcomes_of(story: str) -> list[str | None]:
    """How its calls ended; None where nobody can say."""
    calls = json.loads((TRACES / f"{story}.json").read_text())["calls"]
    return [call.get("outcome") for call in calls]


def cards_up(boards: Iterable[Switchboard]) -> set[str]:
    """The cards that are still up; a restart clears the screens."""
    up: set[str] = set()
    for board in boards:
        up.clear()
        for notice in board.screens.notices:
            match notice:
                case PopShown(pop=pop):
                    assert pop.id not in up
                    up.add(pop.id)
                case PopUpdated(pop=pop):
                    assert pop.id in up
                    if pop.state is PopState.ENDED:
                        up.remove(pop.id)
                case PopWithdrawn():
                    up.remove(notice.id)
                case _:
                    pass
    return up


async def check(board: Switchboard, story: str) -> None:
    """One touch a call, with its end or without, and nothing left over."""
    assert not board.service.calls()
    assert board.service.metrics.skipped == 0
    expected = outcomes_of(story)
    touches = await board.touches()
    assert len(touches) <= len(expected)
    for touch, outcome in zip(touches, expected, strict=False):
        # Nobody talked, but why not may be hidden from us.
        assert (touch.outcome is Outcome.ANSWERED) <= (outcome in {"answered", None})
        # They talked: that is known, or it is known that it is not.
        if outcome == "answered":
            assert touch.outcome in {Outcome.ANSWERED, Outcome.UNKNOWN}


@pytest.mark.parametrize("story", SHORT)
async def test_a_restart_at_any_moment(story: str) -> None:
    events = list(read_trace(TRACES / f"{story}.ami"))
    moments = [at for at, event in enumerate(events) if isinstance(event, ChannelEvent)]
    for moment in moments:
        store, picture = MemoryStore(), Picture()
        async with Switchboard(store) as board:
            for event in events[:moment]:
                picture.follow(event)
                await board.hears(event)
        async with Switchboard(store) as again:
            await again.hears(*picture.listed(), *events[moment:])
            await check(again, story)
            assert not cards_up([again])


@pytest.mark.parametrize("story", SHORT)
async def test_a_link_that_is_lost_at_any_moment(story: str) -> None:
    """Everything after the loss up to the hangups is told by the next lists alone."""
    events = list(read_trace(TRACES / f"{story}.ami"))
    moments = [at for at, event in enumerate(events) if isinstance(event, ChannelEvent)]
    for moment in moments[:: max(1, len(moments) // 12)]:
        picture = Picture()
        async with Switchboard() as board:
            for at, event in enumerate(events):
                picture.follow(event)
                if at == moment:
                    await board.hears(LinkLost(reason="reset"))
                if moment <= at < moment + 8:
                    continue  # what happened in the gap
                if at == moment + 8:
                    await board.hears(*picture.listed())
                await board.hears(event)
            await board.hears(SnapshotBegun(), SnapshotEnded(complete=True))
            await check(board, story)
            assert not cards_up([board])


@pytest.mark.parametrize("story", RECORDED)
async def test_a_pbx_that_tells_no_times(story: str) -> None:
    """`timestampevents` is off in Asterisk's default: all but the seconds must be right."""
    async with Switchboard() as board:
        for event in read_trace(TRACES / f"{story}.ami"):
            await board.hears(replace(event, at=None))
        touches = await board.touches()
        assert [
            expected is None or touch.outcome.value == expected
            for touch, expected in zip(touches, outcomes_of(story), strict=True)
        ] == [True] * len(touches)
        assert all(touch.talk_s is None for touch in touches)
        assert not cards_up([board])
        assert not board.service.calls()


@pytest.mark.parametrize("story", RECORDED)
@pytest.mark.parametrize("part", [0.2, 0.5, 0.8])
async def test_a_stream_that_begins_anywhere(story: str, part: float) -> None:
    """Nobody told us what was before, and no list is read."""
    events = list(read_trace(TRACES / f"{story}.ami"))
    async with Switchboard() as board:
        await board.hears(*events[int(len(events) * part) :])
        assert board.service.metrics.skipped == 0
        live = {pop.id for live in board.service._live.values() for pop in live.pops.values()}
        assert cards_up([board]) == live
        tracked = {call.id for call in board.service._tracker.calls()}
        assert {call.id for call in board.service.calls()} == tracked
