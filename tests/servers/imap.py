"""An IMAP server that obeys a script: a small real mailbox, with any misbehaviour laid over it.

It serves folders from memory and notes every line that a client sends. A test replaces the answer
to a command with a handler of its own; what a handler does not take is answered as usual.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

Handler = Callable[["Peer", str, str], Awaitable[bool]]
"""Answers a command (`peer`, tag, the rest of the line). False leaves it to the server."""

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(slots=True)
class StoredMail:
    """A mail in a folder."""

    uid: int
    raw: bytes
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(slots=True)
class Folder:
    """A folder. Uids are given out ascending; changing `uidvalidity` makes it a new one."""

    uidvalidity: int = 1000
    next_uid: int = 1
    mails: list[StoredMail] = field(default_factory=list)


class Peer:
    """One client of the server."""

    def __init__(
        self, server: ScriptedImap, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer
        self.folder: Folder | None = None
        self.told = 0
        self.changed = asyncio.Event()

    async def send(self, *lines: bytes | str) -> None:
        """Send lines, each with its line end."""
        for line in lines:
            self.writer.write((line.encode() if isinstance(line, str) else line) + b"\r\n")
        await self.writer.drain()

    async def send_bytes(self, octets: bytes) -> None:
        """Send exactly these octets."""
        self.writer.write(octets)
        await self.writer.drain()

    def hang_up(self) -> None:
        """Cut the connection."""
        self.writer.transport.abort()

    async def silence(self) -> None:
        """Say nothing until the client goes away."""
        while await self.reader.read(65536):
            pass

    async def line(self) -> str:
        """The next line of the client, noted."""
        octets = await self.reader.readline()
        if not octets.endswith(b"\r\n"):
            raise ConnectionError("the client went away")
        text = octets[:-2].decode("utf-8", "surrogateescape")
        self.server.lines.append(text)
        await self.server.notify()
        return text


class ScriptedImap:
    """The server. `async with ScriptedImap() as server:` listens on a free port of the loopback."""

    def __init__(self) -> None:
        self.folders: dict[bytes, Folder] = {b"INBOX": Folder()}
        self.user = "support@santral.example"
        self.password = "correct horse"
        self.greeting: bytes | None = b"* OK ready"
        self.capabilities = "IMAP4rev1 IDLE AUTH=PLAIN SASL-IR"
        self.lines: list[str] = []
        self.logins = 0
        self.port = 0
        self._handlers: dict[str, Handler] = {}
        self._changed = asyncio.Condition()
        self._peers: set[Peer] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    # The test's side

    def on(self, command: str, handler: Handler) -> None:
        """Answer this command (`FETCH` for `UID FETCH`) with the handler."""
        self._handlers[command.upper()] = handler

    def usual(self, command: str) -> None:
        """Answer this command as usual again."""
        self._handlers.pop(command.upper(), None)

    def put(self, raw: bytes, *, folder: bytes = b"INBOX", at: datetime | None = None) -> int:
        """Put a mail into a folder without telling anybody; returns its uid."""
        box = self.folders.setdefault(folder, Folder())
        mail = StoredMail(box.next_uid, raw)
        if at is not None:
            mail.at = at
        box.next_uid += 1
        box.mails.append(mail)
        return mail.uid

    async def deliver(self, raw: bytes, *, folder: bytes = b"INBOX") -> int:
        """Put a mail into a folder and tell those who wait in IDLE."""
        uid = self.put(raw, folder=folder)
        await self.notify()
        return uid

    async def notify(self) -> None:
        """Something changed: let everybody who waits look."""
        for peer in self._peers:
            peer.changed.set()
        async with self._changed:
            self._changed.notify_all()

    async def until(self, holds: Callable[[], bool], *, seconds: float = 10) -> None:
        """Wait until it holds; looked at whenever a client speaks, comes or goes."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(holds)

    def hang_up(self) -> None:
        """Cut every connection."""
        for peer in list(self._peers):
            peer.hang_up()

    @property
    def connections(self) -> int:
        """How many clients are connected now."""
        return len(self._peers)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=2**20)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.hang_up()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    # The server's side

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        peer = Peer(self, reader, writer)
        self._peers.add(peer)
        await self.notify()
        try:
            await self._talk(peer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._peers.discard(peer)
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await self.notify()
                await writer.wait_closed()

    async def _talk(self, peer: Peer) -> None:
        if self.greeting is None:
            await peer.silence()
            return
        await peer.send(self.greeting)
        if self.greeting.startswith(b"* BYE"):
            return
        while True:
            tag, _, rest = (await peer.line()).partition(" ")
            word, _, arguments = rest.partition(" ")
            if word.upper() == "UID":
                word, _, arguments = arguments.partition(" ")
            handler = self._handlers.get(word.upper())
            if handler is not None and await handler(peer, tag, arguments):
                continue
            answer = getattr(self, f"_do_{word.lower()}", None)
            if answer is None:
                await peer.send(f"{tag} BAD unknown command")
            elif await answer(peer, tag, arguments) == "bye":
                return

    async def _do_capability(self, peer: Peer, tag: str, _: str) -> None:
        await peer.send(f"* CAPABILITY {self.capabilities}", f"{tag} OK done")

    async def _do_id(self, peer: Peer, tag: str, _: str) -> None:
        await peer.send("* ID NIL", f"{tag} OK done")

    async def _do_noop(self, peer: Peer, tag: str, _: str) -> None:
        await self._tell(peer)
        await peer.send(f"{tag} OK done")

    async def _do_logout(self, peer: Peer, tag: str, _: str) -> str:
        await peer.send("* BYE until next time", f"{tag} OK done")
        return "bye"

    async def _do_authenticate(self, peer: Peer, tag: str, rest: str) -> None:
        _, _, secret = rest.partition(" ")
        if not secret:
            await peer.send(b"+ ")
            secret = await peer.line()
        _, user, password = base64.b64decode(secret).decode().split("\0")
        await self._admit(peer, tag, user, password)

    async def _do_login(self, peer: Peer, tag: str, rest: str) -> None:
        words = [re.sub(r"\\(.)", r"\1", word) for word in re.findall(r'"((?:[^"\\]|\\.)*)"', rest)]
        await self._admit(peer, tag, *words)

    async def _admit(self, peer: Peer, tag: str, *words: str) -> None:
        self.logins += 1
        if words == (self.user, self.password):
            await peer.send(f"{tag} OK [CAPABILITY {self.capabilities}] in")
        else:
            await peer.send(f"{tag} NO [AUTHENTICATIONFAILED] wrong user or password")

    async def _do_list(self, peer: Peer, tag: str, _: str) -> None:
        for name in self.folders:
            escaped = name.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
            await peer.send(b'* LIST (\\HasNoChildren) "/" "%s"' % escaped)
        await peer.send(f"{tag} OK done")

    async def _do_select(self, peer: Peer, tag: str, rest: str) -> None:
        name = re.sub(r"\\(.)", r"\1", rest[1:-1]).encode("utf-8", "surrogateescape")
        folder = self.folders.get(name)
        if folder is None:
            await peer.send(f"{tag} NO [NONEXISTENT] no such folder")
            return
        peer.folder = folder
        peer.told = len(folder.mails)
        await peer.send(
            f"* {peer.told} EXISTS",
            "* 0 RECENT",
            r"* FLAGS (\Answered \Flagged \Deleted \Seen \Draft)",
            f"* OK [UIDVALIDITY {folder.uidvalidity}] uids valid",
            f"* OK [UIDNEXT {folder.next_uid}] next uid",
            f"{tag} OK [READ-WRITE] selected",
        )

    async def _do_search(self, peer: Peer, tag: str, rest: str) -> None:
        assert peer.folder is not None
        mails = peer.folder.mails
        found: list[int] = []
        if match := re.fullmatch(r"UID (\d+):\*", rest):
            found = [mail.uid for mail in mails if mail.uid >= int(match[1])]
            if not found and mails:
                found = [mails[-1].uid]
        elif match := re.fullmatch(r"SINCE (\d+)-(\w+)-(\d+)", rest):
            day = (int(match[3]), MONTHS.index(match[2]) + 1, int(match[1]))
            found = [m.uid for m in mails if (m.at.year, m.at.month, m.at.day) >= day]
        else:
            await peer.send(f"{tag} BAD unknown criteria")
            return
        await self._tell(peer)
        await peer.send(" ".join(["* SEARCH", *map(str, found)]), f"{tag} OK done")

    async def _do_fetch(self, peer: Peer, tag: str, rest: str) -> None:
        assert peer.folder is not None
        uids, _, items = rest.partition(" ")
        wanted = {int(uid) for uid in uids.split(",")}
        for index, mail in enumerate(peer.folder.mails, 1):
            if mail.uid in wanted:
                await peer.send_bytes(fetch_answer(index, mail, items))
        await peer.send(f"{tag} OK done")

    async def _do_idle(self, peer: Peer, tag: str, _: str) -> None:
        await peer.send("+ idling")
        done = asyncio.create_task(peer.line())  # noqa: TID251 - ended below in any case
        try:
            while not done.done():
                peer.changed.clear()
                await self._tell(peer)
                changed = asyncio.create_task(peer.changed.wait())  # noqa: TID251 - the same
                await asyncio.wait({done, changed}, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                await asyncio.gather(changed, return_exceptions=True)
            await done
        finally:
            done.cancel()
            await asyncio.gather(done, return_exceptions=True)
        await peer.send(f"{tag} OK idle ended")

    async def _tell(self, peer: Peer) -> None:
        if peer.folder is not None and len(peer.folder.mails) != peer.told:
            peer.told = len(peer.folder.mails)
            await peer.send(f"* {peer.told} EXISTS")


def fetch_answer(index: int, mail: StoredMail, items: str) -> bytes:
    """The FETCH response for a mail, as a server that does everything right writes it."""
    at = mail.at.strftime(f"%d-{MONTHS[mail.at.month - 1]}-%Y %H:%M:%S +0000")
    answer = (
        f"* {index} FETCH (UID {mail.uid} FLAGS (\\Recent) "
        f'INTERNALDATE "{at}" RFC822.SIZE {len(mail.raw)}'
    ).encode()
    if match := re.search(r"BODY\.PEEK\[\]<(\d+)\.(\d+)>", items):
        start, length = int(match[1]), int(match[2])
        part = mail.raw[start : start + length]
        answer += b" BODY[]<%d> {%d}\r\n%s" % (start, len(part), part)
    return answer + b")\r\n"


@contextlib.asynccontextmanager
async def recording_proxy(port: int) -> AsyncIterator[tuple[int, bytearray]]:
    """A port that leads to `port`, and every octet that clients sent through it."""
    sent = bytearray()
    tasks: set[asyncio.Task[None]] = set()

    async def pump(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, note: bool
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while octets := await reader.read(65536):
                if note:
                    sent.extend(octets)
                writer.write(octets)
                await writer.drain()
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(pump(reader, far_writer, note=True))
                pumps.create_task(pump(far_reader, writer, note=False))
        finally:
            tasks.discard(task)
            for end in (writer, far_writer):
                end.close()
                with contextlib.suppress(ConnectionError):
                    await end.wait_closed()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], sent
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
