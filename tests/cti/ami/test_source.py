"""Hearing one PBX through all that goes wrong: every row of "Connection", "Dispatch" and "Sync"."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cti.ami.events import (
    AmiEvent,
    CoreShowChannel,
    DeviceStateChange,
    FullyBooted,
    Hangup,
    LinkLost,
    Newchannel,
    QueueMember,
    QueueParams,
    Shutdown,
    SnapshotBegun,
    SnapshotEnded,
)
from cti.ami.link import LinkState, retry_delays
from cti.ami.source import AmiSource, Received
from tests.cti.ami.settings import SECRET, pbx_settings
from tests.servers.ami import AmiServer, channel, event, message


class Listener:
    """A source that runs, and what its consumer got."""

    def __init__(self, port: int, **settings: Any) -> None:
        self.states: list[LinkState] = []
        self._changed = asyncio.Event()
        self.source = AmiSource(pbx_settings(port, **settings), on_state=self._on_state)
        self.got: list[Received] = []
        self._events = self.source.received()

    def _on_state(self, state: LinkState) -> None:
        self.states.append(state)
        self._changed.set()

    async def next(self) -> AmiEvent:
        """The next event."""
        async with asyncio.timeout(5):
            received = await anext(self._events)
        self.got.append(received)
        return received.event

    async def names(self, count: int) -> list[str]:
        """The kinds of the next events."""
        return [type(await self.next()).__name__ for _ in range(count)]

    async def until(self, kind: type[AmiEvent]) -> list[str]:
        """The kinds of the next events up to one of this kind."""
        names: list[str] = []
        while not names or names[-1] != kind.__name__:
            names += await self.names(1)
        return names

    async def state(self, *, up: bool) -> LinkState:
        """Wait until the light is green, or red."""
        async with asyncio.timeout(5):
            while self.source.state.up != up:
                self._changed.clear()
                await self._changed.wait()
        return self.source.state


@asynccontextmanager
async def listening(**settings: Any) -> AsyncIterator[tuple[AmiServer, Listener]]:
    async with AmiServer() as pbx:
        listener = Listener(pbx.port, **settings)
        running = asyncio.ensure_future(listener.source.run())  # noqa: TID251 - cancelled below
        try:
            yield pbx, listener
        finally:
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running


def newchannel(uniqueid: str, name: str = "Newchannel") -> bytes:
    return message({"Event": name} | channel(uniqueid=uniqueid))


def shown(uniqueid: str) -> bytes:
    headers = channel(uniqueid=uniqueid) | {"BridgeId": "", "Duration": "00:00:05"}
    return message({"Event": "CoreShowChannel"} | headers)


# --- a good session ---


async def test_a_picture_first_then_what_happened_since_the_login() -> None:
    async with listening() as (pbx, listener):
        session = await pbx.accepted()
        login = await session.accept_login()
        assert (login["Username"], login["Secret"]) == ("cti-events", SECRET)
        session.send(newchannel("1.1"))  # before the PBX says that it is ready
        session.booted("5")
        order = await session.expect("CoreShowChannels")
        session.send(newchannel("1.2"))  # before the list
        session.reply(order, "Success", EventList="start")
        session.send(
            shown("1.1").replace(b"\r\n", f"\r\nActionID: {order['ActionID']}\r\n".encode(), 1)
        )
        session.send(newchannel("1.3"))  # within the list
        session.event("CoreShowChannelsComplete", ActionID=order["ActionID"])
        await session.answer_list(
            "QueueStatus",
            event("QueueParams", Queue="support"),
            event("QueueMember", Queue="support", Name="A", Location="PJSIP/1001"),
        )
        await session.answer_list(
            "DeviceStateList", event("DeviceStateChange", Device="PJSIP/1001", State="INUSE")
        )
        session.send(newchannel("1.1", "Hangup"))
        events = [await listener.next() for _ in range(11)]
        assert [type(e) for e in events] == [
            FullyBooted,
            SnapshotBegun,
            CoreShowChannel,
            QueueParams,
            QueueMember,
            DeviceStateChange,
            SnapshotEnded,
            *[Newchannel] * 3,
            Hangup,
        ]
        assert events[0] == FullyBooted(uptime_s=5.0, seq=3)
        assert events[6] == SnapshotEnded(complete=True)
        uniqueids = [e.channel.uniqueid for e in events if isinstance(e, Newchannel)]
        assert uniqueids == ["1.1", "1.2", "1.3"]
        assert listener.source.state.up
        assert [state.up for state in listener.states] == [True]
        times = [r.received_ns for r in listener.got]
        assert all(time > 0 for time in times)
        assert {r.pbx for r in listener.got} == {"test"}


async def test_events_of_no_interest_are_not_even_queued() -> None:
    async with listening() as (pbx, listener):
        session = await pbx.accepted()
        await session.go_live()
        await listener.until(SnapshotEnded)
        for _ in range(100):
            session.event("RTCPReceived", channel())
            session.event("VarSet", channel() | {"Variable": "X", "Value": "Y"})
        session.event("CoreShowChannel", channel())  # late item of a list
        session.send(newchannel("1.1"))
        assert isinstance(await listener.next(), Newchannel)


async def test_the_stream_ends_after_the_last_event_when_it_is_stopped() -> None:
    async with listening() as (pbx, listener):
        session = await pbx.accepted()
        await session.go_live()
        await listener.state(up=True)
    async with asyncio.timeout(5):
        rest = [type(r.event).__name__ async for r in listener.source.received()]
    assert rest == ["FullyBooted", "SnapshotBegun", "SnapshotEnded", "LinkLost"]


# --- the PBX is not ready, or not willing ---


async def test_fully_booted_may_come_late_then_a_new_picture_is_taken() -> None:
    async with listening(link={"booted_s": 0.01}) as (pbx, listener):
        session = await pbx.accepted()
        await session.accept_login()
        await session.answer_lists()
        assert await listener.until(SnapshotEnded) == ["SnapshotBegun", "SnapshotEnded"]
        session.booted()
        await session.answer_lists(shown("1.1"))
        assert await listener.until(SnapshotEnded) == [
            "FullyBooted",
            "SnapshotBegun",
            "CoreShowChannel",
            "SnapshotEnded",
        ]
        assert pbx.connections == 1


async def test_a_list_that_is_refused_makes_the_picture_incomplete() -> None:
    async with listening() as (pbx, listener):
        session = await pbx.accepted()
        await session.accept_login()
        session.booted()
        order = await session.expect("CoreShowChannels")
        session.reply(order, "Error", Message="Permission denied")
        await session.answer_list("QueueStatus")
        await session.answer_list("DeviceStateList")
        await listener.names(2)
        assert await listener.next() == SnapshotEnded(complete=False)
        assert (await listener.state(up=True)).up


async def test_a_pbx_without_queues_or_device_states_has_a_complete_picture() -> None:
    async with listening() as (pbx, listener):
        session = await pbx.accepted()
        await session.accept_login()
        session.booted()
        await session.answer_list("CoreShowChannels")
        for name in ("QueueStatus", "DeviceStateList"):
            order = await session.expect(name)
            session.reply(order, "Error", Message="Invalid/unknown command: x")
        await listener.names(2)
        assert await listener.next() == SnapshotEnded(complete=True)


async def test_a_list_that_does_not_end_makes_the_picture_incomplete() -> None:
    async with listening(link={"list_s": 0.2}) as (pbx, listener):
        session = await pbx.accepted()
        await session.accept_login()
        session.booted()
        order = await session.expect("CoreShowChannels")
        session.reply(order, "Success", EventList="start")
        await session.answer_list("QueueStatus")
        await session.answer_list("DeviceStateList")
        await listener.names(2)
        assert await listener.next() == SnapshotEnded(complete=False)


async def test_a_refused_login_is_reported_once_and_tried_rarely(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with listening(link={"retry_refused_s": 0.03, "retry_first_s": 0.001}) as (
        pbx,
        listener,
    ):
        begun = asyncio.get_running_loop().time()
        for _ in range(3):
            session = await pbx.accepted()
            login = await session.expect("Login")
            session.reply(login, "Error", Message="Authentication failed")
            await session.close()
        assert asyncio.get_running_loop().time() - begun >= 2 * 0.03
        assert len(listener.states) == 1
        assert listener.states[0].reason == "login refused: Login: Authentication failed"
        assert len([r for r in caplog.records if r.levelno >= logging.WARNING]) == 1
        assert SECRET not in caplog.text
        session = await pbx.accepted()  # the operator has put it right
        await session.go_live()
        assert (await listener.state(up=True)).reason == ""


async def test_nobody_listens_yet() -> None:
    async with AmiServer() as pbx:
        port = pbx.port
    listener = Listener(port)
    running = asyncio.ensure_future(listener.source.run())  # noqa: TID251 - cancelled below
    async with asyncio.timeout(5):
        while not listener.states:
            listener._changed.clear()
            await listener._changed.wait()
    later = AmiServer()
    later.port = port
    async with later:
        session = await later.accepted()
        await session.go_live()
        await listener.state(up=True)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_pbx_that_accepts_and_closes_is_tried_again(how: str) -> None:
    async with listening() as (pbx, listener):
        for _ in range(3):
            session = await pbx.accepted()
            if how == "close":
                await session.close()
            else:
                session.reset()
        session = await pbx.accepted()
        await session.go_live()
        await listener.state(up=True)
        assert pbx.connections == 4
        assert await listener.until(SnapshotEnded) == [
            "FullyBooted",
            "SnapshotBegun",
            "SnapshotEnded",
        ]


async def test_a_login_that_is_not_answered_is_tried_again() -> None:
    async with listening(link={"login_s": 0.3}) as (pbx, listener):
        silent = await pbx.accepted()
        await (await pbx.accepted()).go_live()
        await listener.state(up=True)
        assert b"Action: Login" in await silent.ended()


# --- the link breaks ---


async def test_after_a_break_everything_is_looked_at_again_and_nothing_sent_again() -> None:
    async with listening() as (pbx, listener):
        first = await pbx.accepted()
        await first.go_live(shown("1.1"))
        await listener.until(SnapshotEnded)
        first.send(newchannel("1.2"))
        await first.close()
        second = await pbx.accepted()
        await second.go_live(shown("1.2"))
        assert await listener.names(6) == [
            "Newchannel",
            "LinkLost",
            "FullyBooted",
            "SnapshotBegun",
            "CoreShowChannel",
            "SnapshotEnded",
        ]
        lost = next(r.event for r in listener.got if isinstance(r.event, LinkLost))
        assert lost.reason == "closed by the PBX"
        assert [a["Action"] for a in second.seen] == [a["Action"] for a in first.seen]
        assert [state.up for state in listener.states] == [True, False, True]
        assert listener.states[0].since <= listener.states[1].since <= listener.states[2].since


async def test_a_break_within_a_list() -> None:
    async with listening() as (pbx, listener):
        session = await pbx.accepted()
        await session.accept_login()
        session.booted()
        order = await session.expect("CoreShowChannels")
        session.reply(order, "Success", EventList="start")
        session.send(newchannel("1.7"))
        session.reset()
        assert await listener.names(2) == ["FullyBooted", "SnapshotBegun"]
        assert await listener.next() == SnapshotEnded(complete=False)
        rest = await listener.until(LinkLost)
        assert rest in (["Newchannel", "LinkLost"], ["LinkLost"])  # a reset may lose what was sent
        await (await pbx.accepted()).go_live()
        await listener.state(up=True)


async def test_a_break_within_a_message_invents_nothing() -> None:
    async with listening() as (pbx, listener):
        session = await pbx.accepted()
        await session.go_live()
        await listener.until(SnapshotEnded)
        session.send(newchannel("1.1")[:-20])
        await session.close()
        assert await listener.names(1) == ["LinkLost"]


async def test_a_pbx_that_falls_silent_is_noticed() -> None:
    async with listening(link={"ping_every_s": 0.2, "ping_answer_s": 0.2}) as (pbx, listener):
        session = await pbx.accepted()
        await session.go_live()
        await listener.until(SnapshotEnded)
        event = await listener.next()
        assert event == LinkLost(reason="the PBX does not answer a ping")
        await (await pbx.accepted()).go_live()


async def test_a_pbx_that_answers_pings_is_left_alone() -> None:
    async with listening(link={"ping_every_s": 0.005}) as (pbx, listener):
        session = await pbx.accepted()
        await session.go_live()
        for _ in range(3):
            ping = await session.expect("Ping")
            session.reply(ping, "Success", Ping="Pong")
        assert pbx.connections == 1
        assert (await listener.state(up=True)).up


async def test_a_pbx_that_shuts_down_is_left_to_close() -> None:
    async with listening() as (pbx, listener):
        session = await pbx.accepted()
        await session.go_live()
        await listener.until(SnapshotEnded)
        session.event("Shutdown", Shutdown="Cleanly", Restart="True")
        session.send(newchannel("1.1", "Hangup"))
        await session.close()
        assert await listener.next() == Shutdown(restart=True, seq=listener.got[-1].event.seq)
        assert await listener.names(1) == ["Hangup"]
        assert await listener.next() == LinkLost(reason="the PBX shut down")


async def test_a_pbx_that_shuts_down_and_does_not_close_is_left() -> None:
    async with listening(link={"ping_answer_s": 0.02}) as (pbx, listener):
        session = await pbx.accepted()
        await session.go_live()
        await listener.until(SnapshotEnded)
        session.event("Shutdown")
        await session.ended()
        assert await listener.until(LinkLost) == ["Shutdown", "LinkLost"]


async def test_stopping_while_it_waits_to_try_again() -> None:
    async with listening(link={"retry_first_s": 3600, "retry_most_s": 3600}) as (pbx, listener):
        await (await pbx.accepted()).close()
        await asyncio.wait_for(listener._changed.wait(), 5)
    assert pbx.connections == 1


# --- a consumer that cannot follow ---


async def test_an_inbox_that_is_full_drops_the_link_and_takes_it_up_again() -> None:
    async with listening(inbox_size=100) as (pbx, listener):
        session = await pbx.accepted()
        await session.go_live()
        await listener.state(up=True)
        session.send(b"".join(newchannel(f"1.{n}") for n in range(500)))
        state = await listener.state(up=False)
        assert state.reason == "the inbox is full"
        assert listener.source.overflows == 1
        assert len(listener.source.inbox) == 101  # and the word that the link was lost
        names = await listener.until(LinkLost)
        assert names[:3] == ["FullyBooted", "SnapshotBegun", "SnapshotEnded"]
        assert names.count("Newchannel") == 97
        await (await pbx.accepted()).go_live()
        await listener.state(up=True)


async def test_a_consumer_that_is_behind_is_not_given_a_new_link() -> None:
    async with listening(inbox_size=100) as (pbx, listener):
        session = await pbx.accepted()
        await session.accept_login()
        session.send(b"".join(newchannel(f"1.{n}") for n in range(500)))  # held for the lists
        assert (await listener.state(up=False)).reason
        await session.ended()
        assert pbx.connections == 1
        await listener.until(LinkLost)
        await (await pbx.accepted()).go_live()


# --- backoff ---


def test_delays_grow_and_are_random() -> None:
    delays = retry_delays(1, 60, chance=lambda: 1.0)
    assert [next(delays) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    delays = retry_delays(1, 60, chance=iter([0.5, 0.0, 0.25]).__next__)
    assert [next(delays) for _ in range(3)] == [0.5, 0.0, 1.0]
