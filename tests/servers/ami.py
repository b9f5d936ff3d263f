"""A scripted AMI server: a PBX that does exactly what a test says, also the wrong thing.

The test holds the server's end of each connection:

    async with AmiServer() as pbx:
        ...                                   # something connects to pbx.port
        session = await pbx.accepted()
        login = await session.expect("Login")
        session.reply(login, "Success")
        session.event("FullyBooted", Uptime="10")
        await session.close()
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Iterable, Mapping
from typing import Self

BANNER = b"Asterisk Call Manager/11.0.0\r\n"
DEADLINE_S = 5.0


def message(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> bytes:
    """Write headers as Asterisk does."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return ("".join(f"{key}: {value}\r\n" for key, value in pairs) + "\r\n").encode()


def event(name: str, **headers: str) -> bytes:
    """Write an event. An underscore in a keyword is a hyphen."""
    return message({"Event": name} | {k.replace("_", "-"): v for k, v in headers.items()})


def channel(
    name: str = "PJSIP/trunk-00000001",
    uniqueid: str = "1700000000.1",
    *,
    prefix: str = "",
    linkedid: str = "",
    **headers: str,
) -> dict[str, str]:
    """The block of headers that describes a channel, in Asterisk's order."""
    block = {
        "Channel": name,
        "ChannelState": "4",
        "ChannelStateDesc": "Ring",
        "CallerIDNum": "905321112233",
        "CallerIDName": "Zoë",
        "ConnectedLineNum": "<unknown>",
        "ConnectedLineName": "<unknown>",
        "Language": "en",
        "AccountCode": "",
        "Context": "from-trunk",
        "Exten": "902125550101",
        "Priority": "1",
        "Uniqueid": uniqueid,
        "Linkedid": linkedid or uniqueid,
    }
    return {prefix + key: value for key, value in (block | headers).items()}


class Session:
    """The PBX's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.seen: list[dict[str, str]] = []
        """Every action that was read."""

    async def read(self) -> dict[str, str]:
        """Read the next action: its headers, the last value of each.

        Raises:
            EOFError: The other end closed.

        """
        async with asyncio.timeout(DEADLINE_S):
            raw = await self.reader.readuntil(b"\r\n\r\n")
        action = {}
        for line in raw.decode().strip().split("\r\n"):
            key, _, value = line.partition(": ")
            action[key] = value
        self.seen.append(action)
        return action

    async def expect(self, name: str) -> dict[str, str]:
        """Read the next action, which must be this one; pings in between are answered."""
        while True:
            action = await self.read()
            if action["Action"] == "Ping" and name != "Ping":
                self.reply(action, "Success", Ping="Pong")
                continue
            assert action["Action"] == name, action
            return action

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)

    def event(self, name: str, headers: Mapping[str, str] | None = None, **more: str) -> None:
        """Send an event."""
        self.send(message({"Event": name} | dict(headers or {}) | more))

    def reply(self, action: Mapping[str, str], response: str, **headers: str) -> None:
        """Answer an action."""
        self.send(message({"Response": response, "ActionID": action["ActionID"]} | dict(headers)))

    async def accept_login(self) -> dict[str, str]:
        """Read the login and accept it."""
        login = await self.expect("Login")
        self.reply(login, "Success", Message="Authentication accepted")
        return login

    def booted(self, uptime: str = "100") -> None:
        """Say that the PBX is ready."""
        self.event("FullyBooted", Privilege="system,all", Uptime=uptime, LastReload=uptime)

    async def answer_list(self, name: str, *items: bytes) -> None:
        """Read a list action and answer it; each item gets the ActionID as its second line."""
        action = await self.expect(name)
        action_id = f"ActionID: {action['ActionID']}\r\n".encode()
        self.reply(action, "Success", EventList="start", Message="list will follow")
        for item in items:
            first, _, rest = item.partition(b"\r\n")
            self.send(first + b"\r\n" + action_id + rest)
        self.event(
            f"{name}Complete",
            ActionID=action["ActionID"],
            EventList="Complete",
            ListItems=str(len(items)),
        )

    async def answer_lists(self, *channels: bytes) -> None:
        """Answer everything that makes up a snapshot."""
        await self.answer_list("CoreShowChannels", *channels)
        await self.answer_list("QueueStatus")
        await self.answer_list("DeviceStateList")

    async def go_live(self, *channels: bytes) -> None:
        """Do all of a good start."""
        await self.accept_login()
        self.booted()
        await self.answer_lists(*channels)

    async def ended(self) -> bytes:
        """Wait until the other end closes; returns what it sent before."""
        async with asyncio.timeout(DEADLINE_S):
            with contextlib.suppress(ConnectionError):
                return await self.reader.read()
        return b""

    async def close(self) -> None:
        """Close the connection politely."""
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    def reset(self) -> None:
        """Close the connection with a TCP reset."""
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class AmiServer:
    """Listens on a free port of loopback; `accepted` hands out each connection."""

    def __init__(self, *, banner: bytes = BANNER, tls: ssl.SSLContext | None = None) -> None:
        self.port = 0
        self.connections = 0
        self._banner = banner
        self._tls = tls
        self._accepted: asyncio.Queue[Session] = asyncio.Queue()
        self._sessions: list[Session] = []
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._on_connect, "127.0.0.1", self.port, ssl=self._tls
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for session in self._sessions:
            session.writer.transport.abort()
        await self._server.wait_closed()

    async def accepted(self) -> Session:
        """Wait for the next connection."""
        async with asyncio.timeout(DEADLINE_S):
            return await self._accepted.get()

    def _on_connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        session = Session(reader, writer)
        session.send(self._banner)
        self._sessions.append(session)
        self._accepted.put_nowait(session)
