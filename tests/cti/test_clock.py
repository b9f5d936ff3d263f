"""Times for events that have none."""

from __future__ import annotations

from cti.ami.events import CoreShowChannel, Newchannel, SnapshotBegun
from cti.clock import PbxClock
from tests.cti.pbx import Pbx


def test_an_event_keeps_the_time_that_it_tells() -> None:
    clock = PbxClock(now=lambda: 5000.0, monotonic_ns=lambda: 0)
    event = SnapshotBegun(at=1000.5)
    assert clock.stamped(event, 0) is event


def test_an_event_without_time_gets_that_of_its_arrival() -> None:
    clock = PbxClock(now=lambda: 5000.0, monotonic_ns=lambda: 2_000_000_000)
    assert clock.stamped(SnapshotBegun(), 500_000_000).at == 4998.5


def test_the_clock_of_the_pbx_counts_once_it_is_known() -> None:
    """Items of lists have no time even where events have."""
    clock = PbxClock(now=lambda: 5000.0, monotonic_ns=lambda: 0)
    pbx = Pbx()
    pbx.clock.now = 5060.0
    clock.stamped(pbx.trunk().calls("1001"), 0)
    listed = clock.stamped(pbx.trunk().listed("Dial"), 0)
    assert isinstance(listed, CoreShowChannel)
    assert listed.at == 5060.0
    assert isinstance(clock.stamped(pbx.trunk().calls("1001"), 0), Newchannel)
