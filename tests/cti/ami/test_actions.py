"""Orders on their own session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cti.ami.actions import AmiActions
from cti.ami.link import LinkState
from cti.errors import ActionFailed, ActionRefused, PeerUnavailable
from tests.cti.ami.settings import pbx_settings
from tests.servers.ami import AmiServer, Session


class Desk:
    """The orders session of a test."""

    def __init__(self, port: int, **settings: Any) -> None:
        self.changed = asyncio.Event()
        self.orders = AmiActions(pbx_settings(port, **settings), on_state=self._on_state)

    def _on_state(self, state: LinkState) -> None:
        assert state.session == "orders"
        self.changed.set()

    async def wait(self, *, up: bool) -> None:
        """Wait until the link is up, or down."""
        async with asyncio.timeout(5):
            while self.orders.state.up != up:
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def desk(**settings: Any) -> AsyncIterator[tuple[AmiServer, Session, Desk]]:
    async with AmiServer() as pbx:
        it = Desk(pbx.port, **settings)
        running = asyncio.ensure_future(it.orders.run())  # noqa: TID251 - cancelled below
        try:
            session = await pbx.accepted()
            await session.accept_login()
            session.booted()
            await it.wait(up=True)
            yield pbx, session, it
        finally:
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running


async def test_the_session_asks_for_no_events() -> None:
    async with desk() as (_, session, __):
        assert session.seen[0]["Username"] == "cti-actions"
        assert session.seen[0]["Events"] == "off"


async def test_pause_call_hang_up_and_transfer() -> None:
    async with desk(dial_context="outbound", dial_timeout_s=20) as (_, session, it):
        orders = it.orders

        async def serve() -> None:
            for name in ("QueuePause", "Originate", "Hangup", "BlindTransfer"):
                session.reply(await session.expect(name), "Success", Message="fine")

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(serve())
            await orders.pause("PJSIP/1001", paused=True, reason="öğle")
            uniqueid = await orders.call("PJSIP/1001", "905321112233", key="42")
            await orders.hang_up("PJSIP/1001-0000002a")
            await orders.transfer("PJSIP/1001-0000002a", "1002")
        pause, call, hangup, transfer = session.seen[-4:]
        assert (pause["Paused"], pause["Reason"]) == ("true", "öğle")
        assert uniqueid == call["ChannelId"] == "santral-42"
        assert (call["Context"], call["Timeout"], call["Async"]) == ("outbound", "20000", "true")
        assert hangup["Channel"] == "PJSIP/1001-0000002a"
        assert (transfer["Exten"], transfer["Context"]) == ("1002", "outbound")


async def test_a_refused_order_is_not_sent_and_a_failed_one_is_told() -> None:
    async with desk() as (_, session, it):
        with pytest.raises(ActionRefused):
            await it.orders.call("PJSIP/1001", "1\nApplication: System")
        with pytest.raises(ActionRefused):
            await it.orders.hang_up("/PJSIP.*/")

        async def refuse() -> None:
            order = await session.expect("QueuePause")
            session.reply(order, "Error", Message="Interface not found")

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(refuse())
            with pytest.raises(ActionFailed, match="Interface not found"):
                await it.orders.pause("PJSIP/9999", paused=True)


async def test_an_order_without_an_answer_fails_in_time_and_the_link_stays() -> None:
    async with desk(link={"order_s": 0.02}) as (pbx, _, it):
        with pytest.raises(ActionFailed, match="no answer"):
            await it.orders.hang_up("PJSIP/1001-0000002a")
        assert it.orders.state.up
        assert pbx.connections == 1


async def test_an_order_that_the_link_lost_is_never_sent_again() -> None:
    async with desk() as (pbx, session, it):

        async def drop() -> None:
            await session.expect("Hangup")
            await session.close()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(drop())
            with pytest.raises(PeerUnavailable):
                await it.orders.hang_up("PJSIP/1001-0000002a")
        await it.wait(up=False)
        with pytest.raises(PeerUnavailable, match="test: "):
            await it.orders.hang_up("PJSIP/1001-0000002a")
        again = await pbx.accepted()
        await again.accept_login()
        again.booted()
        await it.wait(up=True)

        async def serve() -> None:
            again.reply(await again.expect("QueuePause"), "Success")

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(serve())
            await it.orders.pause("PJSIP/1001", paused=False)
        assert [action["Action"] for action in again.seen] == ["Login", "QueuePause"]


async def test_orders_before_the_first_connection_fail() -> None:
    orders = AmiActions(pbx_settings(1))
    with pytest.raises(PeerUnavailable, match="not connected yet"):
        await orders.pause("PJSIP/1001", paused=True)
