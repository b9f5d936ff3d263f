"""Both sessions against the real Asterisk 22."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from cti.ami.actions import AmiActions
from cti.ami.events import (
    AmiEvent,
    FullyBooted,
    Malformed,
    QueueMember,
    QueueParams,
    SnapshotBegun,
    SnapshotEnded,
)
from cti.ami.link import LinkState
from cti.ami.source import AmiSource
from cti.ami.traces import read_trace, record_stream
from cti.errors import ActionFailed, LoginRefused
from cti.settings import PbxSettings
from tests.lab.asterisk import Asterisk

pytestmark = pytest.mark.asterisk


def settings_of(asterisk: Asterisk, **more: object) -> PbxSettings:
    return PbxSettings.model_validate(
        {
            "port": asterisk.ami_port,
            "events_user": "cti-events",
            "events_secret": asterisk.secret("cti-events"),
            "actions_user": "cti-actions",
            "actions_secret": asterisk.secret("cti-actions"),
            **more,
        }
    )


@asynccontextmanager
async def both_sessions(settings: PbxSettings) -> AsyncIterator[tuple[AmiSource, AmiActions]]:
    orders_up = asyncio.Event()

    def note(state: LinkState) -> None:
        assert state.up, state
        orders_up.set()

    source, orders = AmiSource(settings), AmiActions(settings, on_state=note)
    running = [
        asyncio.ensure_future(source.run()),  # noqa: TID251 - cancelled below
        asyncio.ensure_future(orders.run()),  # noqa: TID251 - cancelled below
    ]
    try:
        async with asyncio.timeout(20):
            await orders_up.wait()
        yield source, orders
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def until(source: AmiSource, kind: type[AmiEvent]) -> list[AmiEvent]:
    events: list[AmiEvent] = []
    async with asyncio.timeout(20):
        async for received in source.received():
            assert not isinstance(received.event, Malformed)
            events.append(received.event)
            if isinstance(received.event, kind):
                return events
    return events


@pytest.mark.parametrize("auth", ["plain", "md5"])
async def test_a_picture_of_queues_and_an_order_that_changes_it(
    asterisk: Asterisk, auth: str
) -> None:
    async with both_sessions(settings_of(asterisk, auth=auth)) as (source, orders):
        events = await until(source, SnapshotEnded)
        assert isinstance(events[0], FullyBooted)
        assert isinstance(events[1], SnapshotBegun)
        assert events[-1] == SnapshotEnded(complete=True)
        queues = {event.queue for event in events if isinstance(event, QueueParams)}
        assert {"support", "sales"} <= queues
        members = [e for e in events if isinstance(e, QueueMember) and e.queue == "support"]
        assert members
        interface = members[0].interface
        await orders.pause(interface, paused=True, queue="support", reason="öğle arası")
        changed = (await until(source, QueueMember))[-1]
        assert isinstance(changed, QueueMember)
        assert (changed.kind, changed.interface) == ("paused", interface)
        assert (changed.paused, changed.paused_reason) == (True, "öğle arası")
        await orders.pause(interface, paused=False, queue="support")
        changed = (await until(source, QueueMember))[-1]
        assert isinstance(changed, QueueMember)
        assert not changed.paused


async def test_orders_about_what_does_not_exist(asterisk: Asterisk) -> None:
    async with both_sessions(settings_of(asterisk)) as (_, orders):
        with pytest.raises(ActionFailed, match="No such channel"):
            await orders.hang_up("PJSIP/1001-0000ffff")
        with pytest.raises(ActionFailed, match="Channel specified does not exist"):
            await orders.transfer("PJSIP/1001-0000ffff", "1002")
        with pytest.raises(ActionFailed, match="Interface not found"):
            await orders.pause("PJSIP/9999", paused=True)


async def test_a_wrong_secret_is_refused(asterisk: Asterisk, tmp_path: Path) -> None:
    for auth in ("plain", "md5"):
        settings = settings_of(asterisk, auth=auth, events_secret=SecretStr("wrong"))
        with pytest.raises(LoginRefused, match="Authentication failed"):
            await record_stream(settings, tmp_path / "none.ami", asyncio.Event())


async def test_a_recording_can_be_read(asterisk: Asterisk, tmp_path: Path) -> None:
    stop = asyncio.Event()
    file = tmp_path / "idle.ami"
    settings = settings_of(asterisk)
    async with asyncio.TaskGroup() as tasks, both_sessions(settings) as (source, orders):
        recording = tasks.create_task(record_stream(settings, file, stop))
        await until(source, SnapshotEnded)
        await orders.pause("PJSIP/1001", paused=True)
        await orders.pause("PJSIP/1001", paused=False)
        stop.set()
        assert await recording > 0
    events = list(read_trace(file))
    assert isinstance(events[0], FullyBooted)
    assert not any(isinstance(event, Malformed) for event in events)
    assert asterisk.secret("cti-events").encode() not in file.read_bytes()
