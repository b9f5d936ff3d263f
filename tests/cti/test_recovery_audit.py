"""Audits: the list of channels against what the events told."""

from __future__ import annotations

import asyncio
import logging

import pytest

from cti.ami.events import (
    AuditBegun,
    AuditEnded,
    LinkLost,
    Newchannel,
    SnapshotBegun,
    SnapshotEnded,
)
from cti.ami.source import AmiSource
from cti.flight.ids import is_landmark
from cti.model import ADOPTED_BY_AUDIT, CLOSED_BY_AUDIT, CallOutcome, Gap
from tests.cti.ami.settings import pbx_settings
from tests.cti.ami.test_source import listening, newchannel, shown
from tests.cti.pbx import Pbx
from tests.cti.playbook import Playbook
from tests.cti.stories import DID, answered, over, ringing
from tests.cti.switchboard import Switchboard
from tests.servers.ami import AmiServer, Session

BEGUN, ENDED = AuditBegun(), AuditEnded()
CLOSED = f"surprise: {CLOSED_BY_AUDIT} (AuditEnded)"
ADOPTED = f"surprise: {ADOPTED_BY_AUDIT} (AuditEnded)"
STARTED = f"started inbound 905321112233 > {DID}"


@pytest.fixture
def pbx() -> Pbx:
    return Pbx()


def test_an_audit_of_a_world_as_we_know_it_says_nothing(pbx: Pbx) -> None:
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    play = Playbook().sent(a.calls(DID), *ringing(a, b), *answered(a, b))
    play.expect(STARTED, "ringing PJSIP/1001", "answered PJSIP/1001")
    listed = a.listed("Dial", "b1"), b.listed("AppDial", "b1")
    play.sent(BEGUN, *listed, ENDED, BEGUN, *listed, ENDED).silence()
    play.sent(*over(a, b)).expect(
        "leg PJSIP/trunk answered", "leg PJSIP/1001 answered", "ended answered"
    )
    assert not play.over().partial


def test_a_hangup_that_never_came_is_noticed_by_the_second_audit(pbx: Pbx) -> None:
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    play = Playbook().sent(a.calls(DID), *ringing(a, b)).expect(STARTED, "ringing PJSIP/1001")
    play.sent(BEGUN, ENDED).silence()
    play.sent(BEGUN, ENDED).expect(
        CLOSED,
        "leg PJSIP/trunk unknown",
        CLOSED,
        "leg PJSIP/1001 unknown",
        "ended unknown",
    )
    call = play.over()
    assert (call.outcome, call.gap, call.lost) == (CallOutcome.UNKNOWN, Gap.NOT_LISTED, True)


@pytest.mark.parametrize(
    "between",
    [
        (AuditBegun(), AuditEnded(complete=False)),
        (LinkLost(), SnapshotBegun(), SnapshotEnded(complete=False)),
    ],
)
def test_only_complete_lists_in_a_row_count(
    pbx: Pbx, between: tuple[AuditBegun | AuditEnded | LinkLost, ...]
) -> None:
    a = pbx.trunk()
    play = Playbook().sent(a.calls(DID)).expect(STARTED)
    play.sent(BEGUN, ENDED, *between, BEGUN, ENDED).silence().goes_on()


def test_a_channel_of_which_an_event_spoke_is_not_gone(pbx: Pbx) -> None:
    a = pbx.trunk()
    play = Playbook().sent(a.calls(DID)).expect(STARTED)
    play.sent(BEGUN, ENDED, a.up(), BEGUN, ENDED).silence()
    play.sent(BEGUN, ENDED).expect(CLOSED, "leg PJSIP/trunk unknown", "ended unknown")
    play.over()


def test_a_channel_that_is_made_while_the_list_comes_is_not_gone(pbx: Pbx) -> None:
    a = pbx.trunk()
    play = Playbook().sent(BEGUN, a.calls(DID), ENDED).expect(STARTED)
    play.sent(BEGUN, a.listed("Dial"), ENDED).silence().goes_on()


def test_a_channel_that_we_never_heard_of_is_taken_up_by_the_second_audit(pbx: Pbx) -> None:
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    a.calls(DID), a.up(), b.new(), b.up()
    listed = a.listed("Dial", "b1"), b.listed("AppDial", "b1")
    play = Playbook().sent(BEGUN, *listed, ENDED).silence()
    play.sent(BEGUN, *listed, ENDED).expect(
        ADOPTED, ADOPTED, f"started inbound 905321112233 > {DID}", "answered PJSIP/1001"
    )
    play.sent(BEGUN, *listed, ENDED).silence()
    play.sent(*over(a, b)).expect(
        "leg PJSIP/trunk answered", "leg PJSIP/1001 answered", "ended answered"
    )
    assert play.over().partial


def test_a_hangup_between_two_audits_leaves_nothing_to_take_up(pbx: Pbx) -> None:
    a = pbx.trunk()
    a.calls(DID)
    listed = a.listed("Dial")
    play = Playbook().sent(BEGUN, listed, ENDED, a.hangs_up())
    play.expect("surprise: unknown channel (Hangup)").sent(BEGUN, listed, ENDED).silence()
    Playbook.unfinished.remove(play)


async def test_what_an_audit_changes_is_logged_and_counted(
    pbx: Pbx, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = pbx.trunk(), pbx.trunk()
    b.calls(DID)
    async with Switchboard() as board:
        with caplog.at_level(logging.WARNING):
            await board.hears(a.calls(DID), *[BEGUN, b.listed("Dial"), ENDED] * 2)
        metrics = board.service.metrics
        assert (metrics.closed_by_audit, metrics.adopted_by_audit) == (1, 1)
        touch, _ = await board.touches()
        assert (touch.outcome.value, touch.details["gap"]) == ("unknown", "not_listed")
    assert caplog.text.count("no event said so") == 2


async def test_the_channels_are_listed_now_and_then() -> None:
    async with listening(link={"audit_every_s": 0.05}) as (pbx, listener):
        session = await pbx.accepted()
        await session.go_live()
        await listener.until(SnapshotEnded)
        session.send(newchannel("1.1"))
        assert isinstance(await listener.next(), Newchannel)
        for channels in (("1.1",), ("1.1", "1.2")):
            await session.answer_list("CoreShowChannels", *map(shown, channels))
            assert await listener.until(AuditEnded) == [
                "AuditBegun",
                *["CoreShowChannel"] * len(channels),
                "AuditEnded",
            ]


async def test_an_audit_that_the_pbx_refuses_is_incomplete() -> None:
    async with listening(link={"audit_every_s": 0.05}) as (pbx, listener):
        session: Session = await pbx.accepted()
        await session.go_live()
        await listener.until(SnapshotEnded)
        action = await session.expect("CoreShowChannels")
        session.reply(action, "Error", Message="Permission denied")
        assert isinstance(await listener.next(), AuditBegun)
        assert await listener.next() == AuditEnded(complete=False)
        assert listener.source.state.up


async def test_the_lists_of_audits_are_no_landmarks_of_a_recording() -> None:
    """Else the whole recording would have to be read to find one call in it."""
    heard: list[bytes] = []
    async with AmiServer() as pbx:
        settings = pbx_settings(pbx.port, link={"audit_every_s": 0.05})
        source = AmiSource(settings, recording=lambda: heard.append)
        events = source.received()
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(source.run())
            session = await pbx.accepted()
            await session.go_live()
            await session.answer_list("CoreShowChannels", shown("1.1"))
            while not isinstance((await anext(events)).event, AuditEnded):
                pass
            running.cancel()
    messages = b"".join(heard).split(b"\r\n\r\n")
    ends = [one + b"\r\n" for one in messages if one.startswith(b"Event: CoreShowChannelsComplete")]
    assert [is_landmark(one) for one in ends] == [True, False]
