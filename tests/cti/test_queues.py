"""The board of queues, members and phones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.ami.events import (
    DeviceStateChange,
    QueueEntry,
    QueueMember,
    QueueParams,
    SnapshotBegun,
    SnapshotEnded,
    Uniqueid,
)
from cti.queues import PhoneState, QueueBoard
from tests.cti.pbx import Channel, Pbx
from tests.cti.traces import events_of, names


@pytest.fixture
def pbx() -> Pbx:
    return Pbx()


@pytest.fixture
def board() -> QueueBoard:
    return QueueBoard("pbx")


def member(interface: str = "PJSIP/1001", **more: Any) -> QueueMember:
    values: dict[str, Any] = {
        "kind": "status",
        "queue": "support",
        "member": "Zoë",
        "status": 1,
        "at": 1000.0,
        **more,
    }
    return QueueMember(interface=interface, **values)


def waiting(board: QueueBoard, queue: str = "support") -> list[tuple[int, str]]:
    found = board.queue(queue)
    assert found is not None
    return [(entry.position, entry.uniqueid) for entry in found.entries]


def test_callers_join_and_leave(board: QueueBoard, pbx: Pbx) -> None:
    first, second, urgent = pbx.trunk(), pbx.trunk(), pbx.trunk()
    assert board.handle(first.joins("support", 1)).queues == {"support"}
    board.handle(second.joins("support", 2))
    board.handle(urgent.joins("support", 1))  # a caller of higher priority
    assert waiting(board) == [(1, "100.2"), (2, "100.0"), (3, "100.1")]
    assert not board.handle(first.joins("support", 1))
    assert board.handle(urgent.leaves_queue("support")).queues == {"support"}
    assert not board.handle(urgent.leaves_queue("support"))
    assert waiting(board) == [(1, "100.0"), (2, "100.1")]
    (entry, _) = board.queues()[0].entries
    assert (entry.number, entry.name, entry.since) == ("905321112233", "Zoë", 1000.0)


def test_a_caller_who_hung_up_does_not_wait(board: QueueBoard, pbx: Pbx) -> None:
    a, b = pbx.trunk(), pbx.trunk()
    board.handle(a.joins("support", 1))
    board.handle(b.joins("support", 2))
    assert board.handle(a.hangs_up()).queues == {"support"}
    assert waiting(board) == [(1, "100.1")]
    assert not board.handle(a.hangs_up())


def test_the_customer_takes_the_transferers_place(board: QueueBoard, pbx: Pbx) -> None:
    a, b, b2 = pbx.trunk(), pbx.phone("1001"), pbx.phone("1001")
    board.handle(b2.joins("support", 1))
    pbx.clock.after(5)
    assert board.handle(b.connects(b2, a, None, dest_type="App")).queues == {"support"}
    board.handle(b2.hangs_up())
    queue = board.queue("support")
    assert queue is not None
    (entry,) = queue.entries
    assert (entry.uniqueid, entry.number, entry.since) == (a.uniqueid, "905321112233", 1000.0)


@pytest.mark.parametrize(
    ("status", "paused", "state"),
    [
        (0, False, PhoneState.IDLE),
        (1, False, PhoneState.IDLE),
        (1, True, PhoneState.PAUSED),
        (2, False, PhoneState.IN_USE),
        (2, True, PhoneState.IN_USE),
        (3, False, PhoneState.IN_USE),
        (4, False, PhoneState.UNAVAILABLE),
        (5, True, PhoneState.UNAVAILABLE),
        (6, False, PhoneState.RINGING),
        (7, False, PhoneState.RINGING),
        (8, False, PhoneState.ON_HOLD),
        (99, False, PhoneState.UNAVAILABLE),
    ],
)
def test_the_state_of_a_member(
    board: QueueBoard, status: int, paused: bool, state: PhoneState
) -> None:
    change = board.handle(member(status=status, paused=paused))
    assert change.queues == {"support"}
    assert change.endpoints == {"PJSIP/1001"}
    assert board.queues()[0].members[0].state is state


def test_since_when_a_member_is_what_it_is(board: QueueBoard) -> None:
    board.handle(member(status=1))
    board.handle(member(status=6, at=1010.0))
    board.handle(member(status=6, penalty=1, at=1012.0))
    (now,) = board.queues()[0].members
    assert (now.since, now.penalty) == (1010.0, 1)
    assert not board.handle(member(status=6, penalty=1, at=1013.0))


def test_a_member_is_paused_with_a_reason(board: QueueBoard) -> None:
    board.handle(member())
    pause = member(kind="paused", paused=True, paused_reason="lunch", at=1030.0)
    assert board.handle(pause)
    (now,) = board.queues()[0].members
    assert (now.state, now.reason, now.since) == (PhoneState.PAUSED, "lunch", 1030.0)
    phone = board.phone("PJSIP/1001")
    assert phone is not None
    assert (phone.state, phone.reason, phone.queues) == (PhoneState.PAUSED, "lunch", ("support",))


def test_a_member_paused_in_one_of_two_queues_is_not_paused(board: QueueBoard) -> None:
    board.handle(member())
    board.handle(member(queue="sales", paused=True, paused_reason="lunch"))
    phone = board.phone("PJSIP/1001")
    assert phone is not None
    assert (phone.state, phone.queues) == (PhoneState.IDLE, ("sales", "support"))


def test_wrap_up_after_the_last_call(board: QueueBoard) -> None:
    board.handle(member(last_call=990.0, wrapup_s=30))
    assert board.queues()[0].members[0].wrapup_until == 1020.0


def test_a_member_is_added_and_removed(board: QueueBoard) -> None:
    assert board.handle(member(kind="added"))
    assert board.handle(member(kind="removed")).endpoints == {"PJSIP/1001"}
    assert not board.handle(member(kind="removed"))
    assert board.queues()[0].members == ()
    assert board.phone("PJSIP/1001") is None


@pytest.mark.parametrize(
    ("interface", "state_interface", "endpoint"),
    [
        ("PJSIP/1001", "PJSIP/1001", "PJSIP/1001"),
        ("Local/1001@from-queue/n", "hint:1001@from-internal", "PJSIP/1001"),
        ("Local/1001@from-queue/n", "SIP/1001", "SIP/1001"),
        ("Local/1001@from-queue/n", "Local/1001@from-queue/n", "PJSIP/1001"),
        ("Local/1001@from-queue", "", "PJSIP/1001"),
        ("Agent/1001", "Agent/1001", "PJSIP/1001"),
        ("Local/mobile-zoe@outside/n", "", "Local/mobile-zoe@outside/n"),
        ("PJSIP/trunk", "", "PJSIP/trunk"),
    ],
)
def test_the_phone_behind_a_member(
    board: QueueBoard, interface: str, state_interface: str, endpoint: str
) -> None:
    board.handle(member(interface, state_interface=state_interface))
    assert board.queues()[0].members[0].endpoint == endpoint


def test_the_phone_of_a_number_is_the_one_the_pbx_has(board: QueueBoard) -> None:
    board.handle(DeviceStateChange(device="SIP/1001", state="NOT_INUSE"))
    board.handle(member("Local/1001@from-queue/n"))
    assert board.queues()[0].members[0].endpoint == "SIP/1001"


def test_the_state_of_a_phone(board: QueueBoard) -> None:
    assert not board.handle(DeviceStateChange(device="PJSIP/trunk", state="INUSE"))
    assert not board.handle(DeviceStateChange(device="PJSIP/1001", state="SOMETHING"))
    change = board.handle(DeviceStateChange(device="PJSIP/1001", state="RINGING", at=5.0))
    assert change.endpoints == {"PJSIP/1001"}
    assert not board.handle(DeviceStateChange(device="PJSIP/1001", state="RINGING", at=6.0))
    (phone,) = board.phones()
    assert (phone.state, phone.since) == (PhoneState.RINGING, 5.0)
    board.handle(DeviceStateChange(device="PJSIP/1001", state="INUSE", at=7.0))
    (phone,) = board.phones()
    assert (phone.state, phone.since) == (PhoneState.IN_USE, 7.0)


def entry(caller: Channel, position: int, wait_s: float) -> QueueEntry:
    return QueueEntry(
        queue="support",
        position=position,
        channel=caller.name,
        uniqueid=Uniqueid(caller.uniqueid),
        wait_s=wait_s,
    )


def test_a_list_replaces_what_was_missed(board: QueueBoard, pbx: Pbx) -> None:
    gone, stays, new, late = pbx.trunk(), pbx.trunk(), pbx.trunk(), pbx.trunk()
    board.handle(gone.joins("support", 1))
    board.handle(stays.joins("support", 2))
    board.handle(member("PJSIP/1001"))
    board.handle(member("PJSIP/1002"))
    board.handle(member("PJSIP/1009", queue="closed"))
    board.handle(SnapshotBegun())
    board.handle(QueueParams(queue="support", strategy="ringall"))
    board.handle(member("PJSIP/1001", kind="listed", at=None))
    board.handle(entry(stays, 1, 12.0))
    board.handle(entry(new, 2, 7.0))
    board.handle(late.joins("support", 3))
    change = board.handle(SnapshotEnded(complete=True))
    assert change.queues == {"support", "closed"}
    assert change.endpoints == {"PJSIP/1002", "PJSIP/1009"}
    (queue,) = board.queues()
    assert queue.strategy == "ringall"
    assert [one.uniqueid for one in queue.entries] == ["100.1", "100.2", "100.3"]
    assert [one.since for one in queue.entries] == [1000.0, 993.0, 1000.0]
    assert [one.endpoint for one in queue.members] == ["PJSIP/1001"]


def test_an_incomplete_list_removes_nothing(board: QueueBoard) -> None:
    board.handle(member())
    board.handle(SnapshotBegun())
    board.handle(QueueParams(queue="sales"))
    assert not board.handle(SnapshotEnded(complete=False))
    assert board.phone("PJSIP/1001") is not None


def test_a_list_without_queues_removes_none(board: QueueBoard) -> None:
    board.handle(member())
    board.handle(SnapshotBegun())
    assert not board.handle(SnapshotEnded(complete=True))
    assert board.phone("PJSIP/1001") is not None


def test_a_listed_member_is_what_it_is_since_its_last_call_or_pause(board: QueueBoard) -> None:
    board.handle(member("PJSIP/1001", kind="listed", last_call=900.0, at=None))
    board.handle(member("PJSIP/1002", kind="listed", paused=True, last_pause=950.0, at=None))
    board.handle(member("PJSIP/1003", kind="listed", status=2, last_call=900.0, at=None))
    assert [one.since for one in board.queues()[0].members] == [900.0, 950.0, None]


@pytest.mark.parametrize("name", names())
def test_after_a_recorded_story_nobody_waits(name: str) -> None:
    board = QueueBoard("pbx")
    for event in events_of(name):
        board.handle(event)
    assert all(not queue.entries for queue in board.queues())
    assert all(phone.state is not PhoneState.RINGING for phone in board.phones())


def test_the_board_of_an_idle_pbx() -> None:
    """As the real Asterisk lists it: members behind Local channels are phones too."""
    board = QueueBoard("pbx")
    for event in events_of("loose/idle_with_queue_status"):
        board.handle(event)
    assert [queue.name for queue in board.queues()] == ["fpbx", "office", "sales", "support"]
    phone = board.phone("PJSIP/1001")
    assert phone is not None
    assert (phone.state, phone.queues) == (PhoneState.IDLE, ("fpbx", "support"))


@given(data=st.data(), name=st.sampled_from(names()))
def test_a_board_survives_any_cut_and_copy(data: st.DataObject, name: str) -> None:
    events = events_of(name)
    start = data.draw(st.integers(0, len(events)))
    board = QueueBoard("pbx")
    for event in (*events[start:], *events[:start]):
        board.handle(event)
        board.handle(replace(event, at=None))
    board.phones()
    for queue in board.queues():
        assert len({entry.uniqueid for entry in queue.entries}) == len(queue.entries)
