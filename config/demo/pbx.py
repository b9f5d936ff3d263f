"""A PBX for the demo: plays calls recorded from a real Asterisk, over real AMI, in real time.

It answers what Santral asks (Login, Ping, CoreShowChannels, QueueStatus, QueuePause, …) and sends
the events of recorded streams with new identities: each play gets its own uniqueids, channel names,
bridges and times, and its caller becomes one of the demo's customers. Nothing is dialled anywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import re
import secrets
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

_UNIQUEID: Final = re.compile(r"\b\d{10}\.\d+\b")
_CHANNEL: Final = re.compile(r"(?<=-)[0-9a-f]{8}\b(?=(?:;[12])?)")
_BRIDGE: Final = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A recorded call: its messages and who must be free to play it."""

    name: str
    messages: tuple[Headers, ...]
    phones: frozenset[str]
    caller: str
    """The caller's number as recorded; replaced by a customer's."""


def parse_recording(name: str, raw: bytes) -> Recording:
    """Read a stream as `santral record` writes it. What is not an event is left out."""
    messages: list[Headers] = []
    phones: set[str] = set()
    caller = ""
    for block in raw.decode("utf-8", "replace").replace("\r\n", "\n").split("\n\n"):
        headers = [
            (key, value)
            for key, separator, value in (line.partition(": ") for line in block.split("\n"))
            if separator
        ]
        if not headers or headers[0][0] != "Event":
            continue
        found = dict(headers)
        event = found["Event"]
        if event in _LEFT_OUT:
            continue
        phones.update(re.findall(r"PJSIP/(\d{2,5})-", found.get("Channel", "")))
        if (
            not caller
            and event == "Newchannel"
            and found.get("Channel", "").startswith("PJSIP/trunk")
        ):
            caller = found.get("CallerIDNum", "")
        messages.append(headers)
    return Recording(name=name, messages=tuple(messages), phones=frozenset(phones), caller=caller)


_LEFT_OUT: Final = frozenset(
    {
        "FullyBooted",
        "SuccessfulAuth",
        "ChallengeSent",
        "RTCPSent",
        "RTCPReceived",
        "ContactStatus",
        "PeerStatus",
        "VarSet",
        "Newexten",
        "Cdr",
        "CEL",
        "TestEvent",
        "Load",
        "Reload",
    }
)


@dataclass(slots=True)
class _Session:
    writer: asyncio.StreamWriter
    wants_events: bool = False


@dataclass(slots=True)
class _Member:
    queue: str
    name: str
    interface: str
    status: str = "1"
    paused: bool = False
    reason: str = ""
    paused_at: int = 0
    calls_taken: int = 0
    last_call: int = 0


@dataclass(slots=True)
class _Channel:
    """A channel in progress: what CoreShowChannels tells of it."""

    block: dict[str, str]
    since: float
    application: str = ""
    bridge: str = ""


@dataclass(slots=True)
class DemoPbx:
    """An AMI server on loopback that plays recordings."""

    username: str
    secret: str
    members: Mapping[str, Iterable[tuple[str, str]]]
    """For each queue its members: name and interface."""
    now: Callable[[], float] = time.time
    port: int = 0
    _server: asyncio.Server | None = None
    _sessions: list[_Session] = field(default_factory=list)
    _channels: dict[str, _Channel] = field(default_factory=dict)
    _entries: dict[str, tuple[str, dict[str, str], float]] = field(default_factory=dict)
    _members: list[_Member] = field(default_factory=list)
    _started: float = 0.0
    _count: int = 0

    async def __aenter__(self) -> Self:
        self._started = self.now()
        self._members = [
            _Member(queue, name, interface)
            for queue, members in self.members.items()
            for name, interface in members
        ]
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None  # noqa: S101 - entered before left
        self._server.close()
        for session in self._sessions:
            session.writer.close()
        await self._server.wait_closed()

    # --- AMI ------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = _Session(writer)
        writer.write(b"Asterisk Call Manager/11.0.0\r\n")
        try:
            while action := await self._read_action(reader):
                if not self._answer(session, action):
                    break
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            if session in self._sessions:
                self._sessions.remove(session)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    @staticmethod
    async def _read_action(reader: asyncio.StreamReader) -> dict[str, str]:
        action: dict[str, str] = {}
        while line := await reader.readline():
            text = line.decode("utf-8", "replace").strip("\r\n")
            if not text:
                if action:
                    break
                continue
            key, _, value = text.partition(":")
            action.setdefault(key.strip().lower(), value.strip())
        return action

    def _answer(self, session: _Session, action: Mapping[str, str]) -> bool:
        """Answer one action; False ends the session."""
        name = action.get("action", "").lower()
        tag = [("ActionID", action["actionid"])] if "actionid" in action else []

        def reply(*headers: tuple[str, str], ok: bool = True) -> None:
            head = ("Response", "Success" if ok else "Error")
            self._write(session, [head, *tag, *headers])

        if session not in self._sessions:
            known = hmac.compare_digest(action.get("username", "").encode(), self.username.encode())
            right = hmac.compare_digest(action.get("secret", "").encode(), self.secret.encode())
            if name != "login" or not (known and right):
                reply(("Message", "Authentication failed"), ok=False)
                return False
            session.wants_events = action.get("events", "on").lower() != "off"
            self._sessions.append(session)
            reply(("Message", "Authentication accepted"))
            uptime = str(int(self.now() - self._started))
            self._write(
                session,
                [
                    ("Event", "FullyBooted"),
                    ("Privilege", "system,all"),
                    ("Timestamp", f"{self.now():.6f}"),
                    ("Uptime", uptime),
                    ("LastReload", uptime),
                    ("Status", "Fully Booted"),
                ],
            )
            return True
        match name:
            case "ping":
                reply(("Ping", "Pong"), ("Timestamp", f"{self.now():.6f}"))
            case "logoff":
                reply(("Message", "Thanks for all the fish."))
                return False
            case "coreshowchannels":
                channels = [self._channel_item(channel) for channel in self._channels.values()]
                self._list(session, tag, channels, "CoreShowChannelsComplete")
            case "queuestatus":
                self._list(session, tag, self._queue_items(), "QueueStatusComplete")
            case "queuepause":
                self._pause(action)
                reply(("Message", "Interface paused successfully"))
            case "devicestatelist":
                states = {m.interface: _DEVICE[m.status] for m in self._members}
                items = [
                    [("Event", "DeviceStateChange"), ("Device", device), ("State", state)]
                    for device, state in states.items()
                ]
                self._list(session, tag, items, "DeviceStateListComplete")
            case "parkedcalls" | "confbridgelistrooms" | "extensionstatelist":
                self._list(session, tag, [], action["action"] + "Complete")
            case "corestatus":
                reply(("CoreStartupDate", time.strftime("%Y-%m-%d", time.gmtime(self._started))))
            case _:
                reply(("Message", "Invalid/unknown command"), ok=False)
        return True

    def _list(self, session: _Session, tag: Headers, items: list[Headers], complete: str) -> None:
        self._write(
            session,
            [("Response", "Success"), *tag, ("EventList", "start"), ("Message", "follows")],
        )
        for item in items:
            self._write(session, [item[0], *tag, *item[1:]])
        self._write(
            session,
            [
                ("Event", complete),
                *tag,
                ("EventList", "Complete"),
                ("ListItems", str(len(items))),
            ],
        )

    def _channel_item(self, channel: _Channel) -> Headers:
        minutes, seconds = divmod(int(self.now() - channel.since), 60)
        return [
            ("Event", "CoreShowChannel"),
            *channel.block.items(),
            ("Application", channel.application),
            ("ApplicationData", ""),
            ("Duration", f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"),
            ("BridgeId", channel.bridge),
        ]

    def _queue_items(self) -> list[Headers]:
        items: list[Headers] = []
        for queue in self.members:
            entries = [e for e in self._entries.items() if e[1][0] == queue]
            items.append(
                [
                    ("Event", "QueueParams"),
                    ("Queue", queue),
                    ("Strategy", "ringall"),
                    ("Calls", str(len(entries))),
                    ("Completed", "0"),
                    ("Abandoned", "0"),
                    ("ServiceLevel", "20"),
                ]
            )
            items += [self._member_item(m) for m in self._members if m.queue == queue]
            items += [
                [
                    ("Event", "QueueEntry"),
                    ("Queue", queue),
                    ("Position", str(position)),
                    ("Channel", block.get("Channel", "")),
                    ("Uniqueid", uniqueid),
                    ("CallerIDNum", block.get("CallerIDNum", "unknown")),
                    ("CallerIDName", block.get("CallerIDName", "unknown")),
                    ("Wait", str(int(self.now() - since))),
                ]
                for position, (uniqueid, (_, block, since)) in enumerate(entries, 1)
            ]
        return items

    def _member_item(self, member: _Member, event: str = "QueueMember") -> Headers:
        name, location = (
            ("Name", "Location") if event == "QueueMember" else ("MemberName", "Interface")
        )
        return [
            ("Event", event),
            ("Queue", member.queue),
            (name, member.name),
            (location, member.interface),
            ("StateInterface", member.interface),
            ("Membership", "static"),
            ("Penalty", "0"),
            ("CallsTaken", str(member.calls_taken)),
            ("LastCall", str(member.last_call)),
            ("LastPause", str(member.paused_at)),
            ("InCall", "1" if member.status == "2" else "0"),
            ("Status", member.status),
            ("Paused", "1" if member.paused else "0"),
            ("PausedReason", member.reason),
            ("Wrapuptime", "0"),
        ]

    def _pause(self, action: Mapping[str, str]) -> None:
        for member in self._members:
            if member.interface == action.get("interface") and action.get("queue") in (
                None,
                "",
                member.queue,
            ):
                member.paused = action.get("paused", "").lower() in ("1", "true", "yes")
                member.reason = action.get("reason", "") if member.paused else ""
                member.paused_at = int(self.now()) if member.paused else 0
                self._send(self._member_item(member, "QueueMemberPause"))

    def _write(self, session: _Session, headers: Headers) -> None:
        text = "".join(f"{key}: {value}\r\n" for key, value in headers) + "\r\n"
        session.writer.write(text.encode())

    def _send(self, headers: Headers) -> None:
        """Send an event to every session that wants events."""
        stamped = [headers[0], ("Timestamp", f"{self.now():.6f}"), *headers[1:]]
        for session in self._sessions:
            if session.wants_events and not session.writer.is_closing():
                self._write(session, stamped)

    # --- playing --------------------------------------------------------------------------------

    async def play(
        self, recording: Recording, *, caller: str = "", name: str = "", slowness: float = 1.0
    ) -> None:
        """Play one call; returns when it is over.

        `caller` (as the trunk would show it) and `name` replace the recorded ones. Pauses of more
        than half a second are stretched by `slowness`: recordings ring and talk only briefly.
        """
        rename = _Renaming(epoch=int(self.now()), base=self._count, caller=recording.caller)
        self._count += 1000
        rename.new_caller, rename.new_name = caller, name
        before: float | None = None
        try:
            for message in recording.messages:
                found = dict(message)
                stamp = float(found.get("Timestamp", before or 0.0))
                if before is not None and stamp > before:
                    gap = stamp - before
                    await asyncio.sleep(gap * slowness if gap > 0.5 else gap)
                before = max(stamp, before or stamp)
                headers = [(k, v) for k, v in rename(message) if k != "Timestamp"]
                self._note(dict(headers))
                for sent in self._as_here(headers):
                    self._send(sent)
        finally:
            for uniqueid in rename.uniqueids.values():
                self._channels.pop(uniqueid, None)
                self._entries.pop(uniqueid, None)

    def _as_here(self, headers: Headers) -> list[Headers]:
        """A member's state is told as this PBX has it: the recording knows other counts."""
        event = dict(headers)
        if event["Event"] != "QueueMemberStatus":
            return [headers]
        return [self._member_item(m, "QueueMemberStatus") for m in self._members_of(event)]

    def _members_of(self, event: Mapping[str, str]) -> list[_Member]:
        wanted = (event.get("Queue"), event.get("Interface"))
        return [member for member in self._members if (member.queue, member.interface) == wanted]

    def _note(self, event: dict[str, str]) -> None:
        """Keep what CoreShowChannels and QueueStatus must answer."""
        kind, uniqueid = event["Event"], event.get("Uniqueid", "")
        match kind:
            case "Hangup":
                self._channels.pop(uniqueid, None)
            case "QueueCallerJoin":
                self._entries[uniqueid] = (event.get("Queue", ""), event, self.now())
            case "QueueCallerLeave":
                self._entries.pop(uniqueid, None)
            case "QueueMemberStatus":
                for member in self._members_of(event):
                    member.status = event.get("Status", "1")
            case "AgentComplete":
                for member in self._members_of(event):
                    member.calls_taken += 1
                    member.last_call = int(self.now())
            case _:
                pass
        if uniqueid and kind != "Hangup" and "ChannelState" in event:
            block = {key: event[key] for key in _BLOCK if key in event}
            channel = self._channels.get(uniqueid)
            if channel is None:
                channel = self._channels[uniqueid] = _Channel(block, since=self.now())
            channel.block = block
            match kind:
                case "BridgeEnter":
                    channel.bridge = event.get("BridgeUniqueid", "")
                case "BridgeLeave":
                    channel.bridge = ""
                case "QueueCallerJoin":
                    channel.application = "Queue"
                case _:
                    pass
        if kind == "DialBegin":
            self._dials(event)

    def _dials(self, event: Mapping[str, str]) -> None:
        """Note by which application a channel is there: what is dialled is not a caller."""
        dialled = self._channels.get(event.get("DestUniqueid", ""))
        if dialled is not None:
            dialled.application = "AppDial"
        caller = self._channels.get(event.get("Uniqueid", ""))
        if caller is not None and not caller.application:
            caller.application = "Dial"


_DEVICE: Final = {
    "0": "UNKNOWN",
    "1": "NOT_INUSE",
    "2": "INUSE",
    "3": "BUSY",
    "4": "INVALID",
    "5": "UNAVAILABLE",
    "6": "RINGING",
    "7": "RINGINUSE",
    "8": "ONHOLD",
}
"""`include/asterisk/devicestate.h`"""

_BLOCK: Final[tuple[str, ...]] = (
    "Channel",
    "ChannelState",
    "ChannelStateDesc",
    "CallerIDNum",
    "CallerIDName",
    "ConnectedLineNum",
    "ConnectedLineName",
    "AccountCode",
    "Context",
    "Exten",
    "Priority",
    "Uniqueid",
    "Linkedid",
)


@dataclass(slots=True)
class _Renaming:
    """New identities for one play of a recording."""

    epoch: int
    base: int
    caller: str
    new_caller: str = ""
    new_name: str = ""
    uniqueids: dict[str, str] = field(default_factory=dict)
    _suffixes: dict[str, str] = field(default_factory=dict)
    _bridges: dict[str, str] = field(default_factory=dict)

    def __call__(self, message: Headers) -> Headers:
        found = dict(message)
        names = {
            f"{prefix}Name": self.new_name or "<unknown>"
            for prefix in ("CallerID", "ConnectedLine", "DestCallerID", "DestConnectedLine")
            if self.new_caller and self.caller and found.get(f"{prefix}Num") == self.caller
        }
        return [(key, names.get(key) or self._value(key, value)) for key, value in message]

    def _value(self, key: str, value: str) -> str:
        if self.caller and self.new_caller and value == self.caller:
            return self.new_caller
        value = _UNIQUEID.sub(self._uniqueid, value)
        value = _BRIDGE.sub(self._bridge, value)
        if "hannel" in key:
            value = _CHANNEL.sub(self._suffix, value)
        return value

    def _uniqueid(self, match: re.Match[str]) -> str:
        return self.uniqueids.setdefault(
            match.group(), f"{self.epoch}.{self.base + len(self.uniqueids) + 1}"
        )

    def _suffix(self, match: re.Match[str]) -> str:
        return self._suffixes.setdefault(match.group(), secrets.token_hex(4))

    def _bridge(self, match: re.Match[str]) -> str:
        return self._bridges.setdefault(match.group(), str(uuid.uuid4()))
