"""After a gap: was the PBX restarted, or was only the connection away?"""

from __future__ import annotations

import pytest

from cti.ami.events import FullyBooted, LinkLost, SnapshotBegun, SnapshotEnded
from cti.model import CallOutcome, Gap
from tests.cti.pbx import Pbx
from tests.cti.playbook import Playbook
from tests.cti.stories import DID, answered, over, ringing
from tests.cti.switchboard import Switchboard

LOST = LinkLost(reason="reset")
BEGUN = SnapshotBegun()
STARTED = f"started inbound 905321112233 > {DID}"
GONE = ("leg PJSIP/trunk unknown", "leg PJSIP/1001 unknown", "ended unknown")


def booted(at: float, uptime: float | None) -> FullyBooted:
    return FullyBooted(at=at, uptime_s=uptime)


def rings(pbx: Pbx, *first: FullyBooted) -> Playbook:
    """A phone rings, at 1000 s by the PBX's clock."""
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    play = Playbook().sent(*first, a.calls(DID), *ringing(a, b))
    return play.expect(STARTED, "ringing PJSIP/1001")


@pytest.mark.parametrize(
    ("before", "after", "gap"),
    [
        # when, and the uptime that the PBX told: before the call, and after the gap
        ((990.0, 500.0), (1060.4, 570.0), Gap.LINK_LOST),
        ((990.0, 500.0), (1060.4, 12.0), Gap.PBX_RESTART),
        # longer up than it was when we first heard it, but not for all of the time
        ((990.0, 5.0), (1060.0, 30.0), Gap.PBX_RESTART),
        # twice within seconds
        ((990.0, 2.0), (1001.0, 0.0), Gap.PBX_RESTART),
        # rounded to seconds
        ((990.0, 500.9), (1060.9, 571.0), Gap.LINK_LOST),
        # what FullyBooted was given for a time was ours at first, an hour behind the PBX's
        ((-2610.0, 500.0), (1060.4, 570.0), Gap.LINK_LOST),
        ((990.0, None), (1060.0, 3.0), Gap.PBX_RESTART),
        ((990.0, 500.0), (1060.0, None), Gap.LINK_LOST),
    ],
)
@pytest.mark.parametrize("lost_at", [None, 1020.0])
def test_a_restart_is_told_from_a_gap_by_the_uptime(
    before: tuple[float, float | None],
    after: tuple[float, float | None],
    gap: Gap,
    lost_at: float | None,
) -> None:
    play = rings(Pbx(), booted(*before))
    play.sent(LinkLost(at=lost_at), booted(*after), BEGUN, SnapshotEnded()).expect(*GONE)
    call = play.over()
    assert (call.outcome, call.gap, call.lost) == (CallOutcome.UNKNOWN, gap, True)


def test_no_channel_outlives_a_restart_even_when_the_list_failed() -> None:
    play = rings(Pbx(), booted(990, 500))
    play.sent(LOST, booted(1060, 3), BEGUN, SnapshotEnded(complete=False)).expect(*GONE)
    assert play.over().gap is Gap.PBX_RESTART


def test_an_incomplete_list_after_a_gap_proves_nothing() -> None:
    play = rings(Pbx(), booted(990, 500))
    play.sent(LOST, booted(1060, 570), BEGUN, SnapshotEnded(complete=False)).silence()
    call = play.goes_on()
    assert (call.gap, call.lost) == (Gap.LINK_LOST, False)


def test_a_restart_is_over_with_its_first_list() -> None:
    """What goes missing in a later gap did not go with the restart."""
    pbx = Pbx()
    play = rings(pbx, booted(990, 500))
    play.sent(LOST, booted(1060, 3), BEGUN, SnapshotEnded()).expect(*GONE)
    a = pbx.trunk()
    pbx.clock.after(100)
    play.sent(a.calls(DID)).expect(STARTED)
    play.sent(LOST, booted(1163, 106), BEGUN, SnapshotEnded())
    play.expect("leg PJSIP/trunk unknown", "ended unknown")
    assert play.over().gap is Gap.LINK_LOST


async def test_the_history_says_what_hid_the_end() -> None:
    pbx = Pbx()
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    c = pbx.trunk()
    async with Switchboard() as board:
        await board.hears(booted(990, 500), a.calls(DID), *ringing(a, b), *answered(a, b))
        await board.hears(LOST, booted(1020, 530), BEGUN)
        await board.hears(a.listed("Dial", "b1"), b.listed("AppDial", "b1"), SnapshotEnded())
        await board.hears(*over(a, b), c.calls(DID))
        await board.hears(LOST, booted(1060, 1), BEGUN, SnapshotEnded())
        seen, gone = await board.touches()
        assert (seen.outcome.value, seen.details["gap"]) == ("answered", "link_lost")
        assert (gone.outcome.value, gone.details["gap"]) == ("unknown", "pbx_restart")
