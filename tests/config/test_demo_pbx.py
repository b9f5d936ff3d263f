"""The demo's PBX: answers like a PBX, and plays recorded calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import pytest
from pydantic import SecretStr

from config.demo.center import STORIES, recordings
from config.demo.pbx import DemoPbx, parse_recording
from cti.ami.source import AmiSource
from cti.clock import PbxClock
from cti.model import CallAnswered, CallEnded, CallStarted
from cti.queues import PhoneState, QueueBoard
from cti.settings import PbxSettings
from cti.tracker import CallTracker
from tests.config.calls import TRACES

DEADLINE_S = 10.0
MEMBERS = {
    "support": [("Ayşe Yılmaz", "PJSIP/1001"), ("Jonas Weber", "PJSIP/1002")],
    "sales": [("Ayşe Yılmaz", "PJSIP/1001")],
}


class Client:
    """The other end of an AMI session, by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def __aenter__(self) -> Self:
        banner = await self.reader.readline()
        assert banner.startswith(b"Asterisk Call Manager/")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        await self.writer.wait_closed()

    def send(self, action: str, **headers: str) -> None:
        """Send an action."""
        lines = {"Action": action, "ActionID": f"id-{action}", **headers}
        text = "".join(f"{key}: {value}\r\n" for key, value in lines.items())
        self.writer.write(text.encode() + b"\r\n")

    async def read(self) -> dict[str, str]:
        """The next message."""
        async with asyncio.timeout(DEADLINE_S):
            raw = await self.reader.readuntil(b"\r\n\r\n")
        return dict(
            line.partition(": ")[::2]
            for line in raw.decode().removesuffix("\r\n\r\n").split("\r\n")
        )

    async def ask(self, action: str, **headers: str) -> list[dict[str, str]]:
        """The answer to an action, with its items; events in between are left out."""
        self.send(action, **headers)
        answer: list[dict[str, str]] = []
        while True:
            message = await self.read()
            if message.get("ActionID") != f"id-{action}":
                continue
            answer.append(message)
            if "EventList" not in answer[0] or message.get("EventList") == "Complete":
                return answer

    async def event(self, name: str) -> dict[str, str]:
        """Wait for an event."""
        while True:
            message = await self.read()
            if message.get("Event") == name:
                return message


@asynccontextmanager
async def client(pbx: DemoPbx, *, events: str = "on") -> AsyncIterator[Client]:
    """A session that is logged in."""
    async with Client(*await asyncio.open_connection("127.0.0.1", pbx.port)) as session:
        [login] = await session.ask("Login", Username="santral", Secret=pbx.secret, Events=events)
        assert login["Response"] == "Success"
        assert (await session.read())["Event"] == "FullyBooted"
        yield session


@pytest.fixture
async def pbx() -> AsyncIterator[DemoPbx]:
    async with DemoPbx(username="santral", secret="s3cret", members=MEMBERS) as pbx:
        yield pbx


@asynccontextmanager
async def playing(pbx: DemoPbx, story: str) -> AsyncIterator[asyncio.Task[None]]:
    """A call that is being played until the end of the block."""
    recording = parse_recording(story, (TRACES / f"{story}.ami").read_bytes())
    async with asyncio.TaskGroup() as tasks:
        call = tasks.create_task(
            pbx.play(recording, caller="05320001122", name="Zoë Ёлкин", slowness=1.0)
        )
        yield call
        call.cancel()


@pytest.mark.parametrize("secret", ["", "wrong", "s3cre", "s3cret\u0130"])
async def test_a_wrong_secret_is_refused(pbx: DemoPbx, secret: str) -> None:
    async with Client(*await asyncio.open_connection("127.0.0.1", pbx.port)) as session:
        [answer] = await session.ask("Login", Username="santral", Secret=secret)
        assert (answer["Response"], answer["Message"]) == ("Error", "Authentication failed")
        assert await session.reader.read() == b""


async def test_nothing_is_told_before_the_login(pbx: DemoPbx) -> None:
    async with Client(*await asyncio.open_connection("127.0.0.1", pbx.port)) as session:
        [answer] = await session.ask("CoreShowChannels")
        assert answer["Response"] == "Error"
        assert await session.reader.read() == b""


async def test_it_answers_pings_and_refuses_what_it_does_not_know(pbx: DemoPbx) -> None:
    async with client(pbx) as session:
        [pong] = await session.ask("Ping")
        assert (pong["Response"], pong["Ping"]) == ("Success", "Pong")
        [answer] = await session.ask("Command", Command="core stop now")
        assert answer["Message"] == "Invalid/unknown command"
        [bye] = await session.ask("Logoff")
        assert bye["Response"] == "Success"
        assert await session.reader.read() == b""


async def test_it_lists_the_channels_of_a_call_that_is_played(pbx: DemoPbx) -> None:
    async with client(pbx) as session, playing(pbx, "inbound/answered"):
        while (await session.event("Newstate"))["ChannelStateDesc"] != "Ringing":
            pass
        head, *items, end = await session.ask("CoreShowChannels")
        assert (head["EventList"], end["ListItems"]) == ("start", "2")
        caller, phone = items
        assert (caller["CallerIDNum"], caller["CallerIDName"]) == ("05320001122", "Zoë Ёлкин")
        assert (caller["Application"], caller["Uniqueid"]) == ("Dial", caller["Linkedid"])
        assert phone["Channel"].startswith("PJSIP/1001-")
        assert (phone["Application"], phone["Linkedid"]) == ("AppDial", caller["Uniqueid"])
        assert (phone["ChannelState"], phone["BridgeId"]) == ("5", "")
        await session.event("BridgeEnter")
        await session.event("BridgeEnter")
        _, *items, _ = await session.ask("CoreShowChannels")
        assert len({item["BridgeId"] for item in items} - {""}) == 1
    assert not pbx._channels


async def test_it_tells_who_waits_and_counts_for_its_members(pbx: DemoPbx) -> None:
    async with client(pbx) as session, playing(pbx, "queue/ringall_answered") as call:
        joined = await session.event("QueueCallerJoin")
        answer = await session.ask("QueueStatus")
        entries = [item for item in answer if item.get("Event") == "QueueEntry"]
        assert [entry["Uniqueid"] for entry in entries] == [joined["Uniqueid"]]
        members = [item for item in answer if item.get("Event") == "QueueMember"]
        assert [(m["Queue"], m["Name"]) for m in members] == [
            ("support", "Ayşe Yılmaz"),
            ("support", "Jonas Weber"),
            ("sales", "Ayşe Yılmaz"),
        ]
        told = await session.event("QueueMemberStatus")
        assert told["Queue"] in MEMBERS, "of queues that this PBX does not have nothing is told"
        await asyncio.wait_for(call, DEADLINE_S)
        answer = await session.ask("QueueStatus")
        assert not [item for item in answer if item.get("Event") == "QueueEntry"]
        members = [item for item in answer if item.get("Event") == "QueueMember"]
        assert sorted(m["CallsTaken"] for m in members) == ["0", "0", "1"]
        assert all(m["Status"] == "1" for m in members)


async def test_a_member_is_paused_and_everybody_hears_of_it(pbx: DemoPbx) -> None:
    async with client(pbx) as listener, client(pbx, events="off") as session:
        [answer] = await session.ask(
            "QueuePause", Interface="PJSIP/1001", Paused="true", Reason="lunch"
        )
        assert answer["Response"] == "Success"
        told = [await listener.event("QueueMemberPause") for _ in range(2)]
        assert {event["Queue"] for event in told} == {"support", "sales"}
        assert {(event["Paused"], event["PausedReason"]) for event in told} == {("1", "lunch")}
        # A session that wants no events gets none: its next message is the answer to this.
        session.send("Ping")
        assert (await session.read())["Ping"] == "Pong"


def settings(pbx: DemoPbx) -> PbxSettings:
    return PbxSettings(
        name="demo",
        port=pbx.port,
        events_user=pbx.username,
        events_secret=SecretStr(pbx.secret),
    )


@pytest.mark.parametrize("moment", ["Newstate", "BridgeEnter"])
async def test_who_connects_during_a_call_finds_it_there(pbx: DemoPbx, moment: str) -> None:
    """The real source and tracker take up the call from the lists, with its caller."""
    async with client(pbx) as session, playing(pbx, "inbound/answered"):
        await session.event(moment)
        if moment == "BridgeEnter":
            await session.event(moment)
        tracker, clock, changes = CallTracker("demo"), PbxClock(), []
        source = AmiSource(settings(pbx))
        running = asyncio.ensure_future(source.run())  # noqa: TID251 - cancelled below
        try:
            async with asyncio.timeout(DEADLINE_S):
                async for received in source.received():
                    event = clock.stamped(received.event, received.received_ns)
                    changes += tracker.handle(event)
                    if any(isinstance(change, CallEnded) for change in changes):
                        break
        finally:
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
    started, *_, ended = [
        change for change in changes if isinstance(change, CallStarted | CallAnswered | CallEnded)
    ]
    assert isinstance(started, CallStarted)
    assert (started.call.direction, started.call.caller.number) == ("inbound", "05320001122")
    assert [leg.endpoint for leg in ended.call.legs] == ["PJSIP/trunk", "PJSIP/1001"]
    assert (ended.call.outcome, ended.call.partial) == ("answered", True)
    assert any(isinstance(change, CallAnswered) for change in changes)


async def test_the_board_follows_its_queues(pbx: DemoPbx) -> None:
    board = QueueBoard("demo")
    states: list[PhoneState] = []
    source = AmiSource(settings(pbx))
    running = asyncio.ensure_future(source.run())  # noqa: TID251 - cancelled below
    try:
        async with asyncio.timeout(DEADLINE_S), playing(pbx, "queue/ringall_answered"):
            async for received in source.received():
                board.handle(received.event)
                phone = board.phone("PJSIP/1001")
                if phone and (not states or states[-1] is not phone.state):
                    states.append(phone.state)
                if len(states) > 1 and states[-1] is PhoneState.IDLE:
                    break
    finally:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert PhoneState.RINGING in states
    assert {queue.name for queue in board.queues()} == set(MEMBERS)


async def test_two_plays_of_a_recording_are_two_calls(pbx: DemoPbx) -> None:
    recording = parse_recording("", (TRACES / "inbound/caller_cancels.ami").read_bytes())
    async with client(pbx) as session:
        async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
            for number in ("05320001111", "05320002222"):
                tasks.create_task(pbx.play(recording, caller=number, slowness=0.0))
        session.send("Ping")
        seen: dict[str, str] = {}
        while "Ping" not in (message := await session.read()):
            if message.get("Event") == "Newchannel" and "trunk" in message["Channel"]:
                seen[message["Uniqueid"]] = message["CallerIDNum"]
    assert sorted(seen.values()) == ["05320001111", "05320002222"]


def test_the_recordings_are_there_and_need_phones_of_the_demo() -> None:
    played = recordings()
    assert set(played) == set(STORIES)
    for story in played.values():
        assert story.phones <= {"1001", "1002", "1003", "1004", "1005", "1006"}
        assert story.messages
