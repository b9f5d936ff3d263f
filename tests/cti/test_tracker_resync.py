"""After a gap: what goes on is the same call, what is gone is not invented."""

from __future__ import annotations

import pytest

from cti.ami.events import (
    ChannelState,
    LinkLost,
    QueueEntry,
    QueueParams,
    SnapshotBegun,
    SnapshotEnded,
    Uniqueid,
)
from cti.model import LegResult
from tests.cti.pbx import Pbx
from tests.cti.playbook import Playbook, leg_of
from tests.cti.test_tracker import DID, STARTED, connected, over, ringing

LOST = LinkLost(reason="reset")
BEGUN = SnapshotBegun()
ENDED = SnapshotEnded(complete=True)


@pytest.fixture
def pbx() -> Pbx:
    return Pbx()


def test_a_call_that_is_still_there_goes_on_as_the_same_call(pbx: Pbx) -> None:
    play, a, b = connected(pbx)
    play.sent(LOST, BEGUN, a.listed("Dial", "b1"), b.listed("AppDial", "b1"), ENDED).silence()
    pbx.clock.after(60)
    play.sent(*over(a, b)).expect(
        "leg PJSIP/trunk answered", "leg PJSIP/1001 answered", "ended answered"
    )
    call = play.over()
    assert call.partial
    assert call.talk_s == 60.0


def test_a_call_that_was_ringing_and_is_gone_ended_we_do_not_know_how(pbx: Pbx) -> None:
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    play = Playbook().sent(a.calls(DID), *ringing(a, b)).expect(STARTED, "ringing PJSIP/1001")
    play.sent(LOST, BEGUN, ENDED).expect(
        "leg PJSIP/trunk unknown", "leg PJSIP/1001 unknown", "ended unknown"
    )
    call = play.over()
    assert call.partial
    assert (call.ended_at, call.ring_s, call.wait_s) == (None, None, None)


def test_a_call_that_was_answered_and_is_gone_was_answered(pbx: Pbx) -> None:
    """That two people talked is a fact; how long is not known."""
    play, _a, _b = connected(pbx)
    play.sent(LOST, BEGUN, ENDED).expect(
        "leg PJSIP/trunk answered", "leg PJSIP/1001 answered", "ended answered"
    )
    call = play.over()
    assert call.partial
    assert call.talk_s is None
    assert call.wait_s == 0.0


def test_an_incomplete_list_proves_nothing(pbx: Pbx) -> None:
    play, _a, _b = connected(pbx)
    play.sent(LOST, BEGUN, SnapshotEnded(complete=False)).silence().goes_on()


def test_a_call_in_progress_is_found_at_the_start(pbx: Pbx) -> None:
    """The list may name the phone before the caller."""
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    a.exten, a.state, b.state = DID, ChannelState.RING, ChannelState.RINGING
    play = Playbook().sent(BEGUN, b.listed("AppDial"), a.listed("Dial"), ENDED)
    play.expect(STARTED, "ringing PJSIP/1001")
    call = play.goes_on()
    assert call.partial
    assert call.id == "pbx:100.0"


def test_people_who_talk_are_found_at_the_start(pbx: Pbx) -> None:
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    a.exten = DID
    a.state = b.state = ChannelState.UP
    play = Playbook().sent(BEGUN, a.listed("Dial", "b1", 90.0), b.listed("AppDial", "b1"), ENDED)
    play.expect(STARTED, "answered PJSIP/1001")
    play.sent(*over(a, b)).expect(
        "leg PJSIP/trunk answered", "leg PJSIP/1001 answered", "ended answered"
    ).over()


def test_members_behind_local_channels_are_found_at_the_start(pbx: Pbx) -> None:
    """The list does not say which halves belong together; their names do."""
    a = pbx.trunk()
    x1 = pbx.channel("Local/1001@from-queue;1", of=a)
    x2 = pbx.channel("Local/1001@from-queue;2", of=a)
    b = pbx.phone("1001", of=a)
    a.exten = DID
    for channel in (a, x1, x2, b):
        channel.state = ChannelState.UP
    play = Playbook().sent(BEGUN, a.listed("Queue", "b2"), x1.listed("AppQueue", "b2"))
    play.sent(x2.listed("Dial", "b1"), b.listed("AppDial", "b1"), ENDED)
    play.expect(STARTED, "answered PJSIP/1001")
    assert play.goes_on().talks == ((a.name, b.name),)


def test_a_waiting_caller_is_found_at_the_start(pbx: Pbx) -> None:
    a = pbx.trunk()
    a.exten, a.state = DID, ChannelState.UP
    other = pbx.trunk()
    play = Playbook().sent(other.calls(DID)).expect(STARTED)
    entry = QueueEntry(
        queue="support", position=2, channel=a.name, uniqueid=Uniqueid(a.uniqueid), wait_s=40.0
    )
    listed = [a.listed("Queue"), other.listed(), QueueParams(queue="support"), entry]
    play.sent(BEGUN, *listed, ENDED).expect(STARTED, "queued support 2")
    pbx.clock.after(20)
    play.sent(a.asks_to_hang_up(), a.abandons("support"), a.leaves_queue("support"), a.hangs_up())
    play.expect("left support", "leg PJSIP/trunk cancelled", "ended abandoned")
    assert play.ended[0].wait_s == 60.0
    play.goes_on()


def test_a_caller_who_left_the_queue_in_the_gap(pbx: Pbx) -> None:
    a = pbx.trunk()
    play = Playbook().sent(a.calls(DID), a.up(), a.joins("support"))
    play.expect(STARTED, "queued support 1")
    play.sent(LOST, BEGUN, a.listed("Playback"), QueueParams(queue="support"), ENDED)
    play.expect("left support")
    assert play.goes_on().wait_s is None


def test_a_phone_that_began_to_ring_in_the_gap_rings_once(pbx: Pbx) -> None:
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    play = Playbook().sent(a.calls(DID)).expect(STARTED)
    b.state = ChannelState.RINGING
    play.sent(LOST, BEGUN, a.listed("Dial"), b.listed("AppDial"), ENDED)
    play.expect("ringing PJSIP/1001")
    play.sent(BEGUN, a.listed("Dial"), b.listed("AppDial"), ENDED).silence().goes_on()


def test_a_phone_that_answered_in_the_gap(pbx: Pbx) -> None:
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    play = Playbook().sent(a.calls(DID), *ringing(a, b)).expect(STARTED, "ringing PJSIP/1001")
    a.state = b.state = ChannelState.UP
    play.sent(LOST, BEGUN, a.listed("Dial", "b1"), b.listed("AppDial", "b1"), ENDED)
    play.expect("answered PJSIP/1001").goes_on()


def test_a_hangup_that_was_on_its_way_counts_more_than_the_list(pbx: Pbx) -> None:
    """It may come before the list in which the channel still is."""
    play, a, b = connected(pbx)
    listed = [a.listed("Dial", "b1"), b.listed("AppDial", "b1")]
    play.sent(LOST, BEGUN, *over(a, b)).expect(
        "leg PJSIP/trunk answered", "leg PJSIP/1001 answered", "ended answered"
    )
    play.sent(*listed, ENDED).silence().over()


def test_a_channel_made_while_the_list_comes_is_not_lost(pbx: Pbx) -> None:
    a = pbx.trunk()
    play = Playbook().sent(BEGUN, a.calls(DID)).expect(STARTED)
    play.sent(ENDED).silence().goes_on()


def test_one_leg_is_gone_the_call_goes_on(pbx: Pbx) -> None:
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    play = Playbook().sent(a.calls(DID), *ringing(a, b)).expect(STARTED, "ringing PJSIP/1001")
    play.sent(LOST, BEGUN, a.listed("VoiceMail"), ENDED).expect("leg PJSIP/1001 unknown")
    call = play.goes_on()
    assert leg_of(call, "PJSIP/1001").result is LegResult.UNKNOWN


def test_a_list_that_somebody_else_asked_for_changes_nothing(pbx: Pbx) -> None:
    a = pbx.trunk()
    play = Playbook().sent(a.listed("Dial")).silence()
    assert not play.tracker.calls()
    Playbook.unfinished.clear()
