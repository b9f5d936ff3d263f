"""The session with an IMAP server: one connection, one owner, one command at a time.

aioimaplib gives the commands, their tags and states. How bytes become answers, how a lost
connection is noticed and how a command ends is replaced here, because a stream that breaks there
loses mail in silence (docs/email-notes.md names each case). The rules of this module:

- A command that is cancelled or not answered in time ends the connection: an answer that comes
  late must never meet the next command.
- A lost connection wakes whoever waits, at once.
- Nothing is ever marked as seen, expunged or closed: only `BODY.PEEK[]` is asked for.
- Neither a mail nor a secret is ever logged.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

from aioimaplib.aioimaplib import (
    AUTH,
    CONNECTED,
    NONAUTH,
    Command,
    Commands,
    IMAP4ClientProtocol,
)

from mail.errors import CommandRefused, LoginRefused, ProtocolSurprise, ServerUnavailable
from mail.wire import Response, ResponseFramer, Value, number, quote, values

PART = 1024 * 1024
"""Octets of a body asked for at once."""
PAGE = 200
"""Mails asked for in one command."""
MAX_ANSWER = 32 * 1024 * 1024
"""Octets of all responses to one command."""

_TAGGED = re.compile(rb"([A-Za-z0-9]{1,32}) (OK|NO|BAD)(?: |\Z)(.*)", re.IGNORECASE | re.DOTALL)
_CODE = re.compile(rb"\[([A-Za-z0-9.-]{1,40})(?: ([^\]]*))?\]")
_EXISTS = re.compile(rb"\* \d{1,19} EXISTS\s*\Z", re.IGNORECASE)
_EXPUNGE = re.compile(rb"\* \d{1,19} EXPUNGE\s*\Z", re.IGNORECASE)
_FETCH = re.compile(rb"\* \d{1,19} FETCH (?=\()", re.IGNORECASE)
_LIST = re.compile(rb"\* LIST ", re.IGNORECASE)
_SEARCH = re.compile(rb"\* SEARCH\b", re.IGNORECASE)
_CAPABILITY = re.compile(rb"\* CAPABILITY ", re.IGNORECASE)
_INTERNALDATE = re.compile(
    r" ?(\d{1,2})-([A-Za-z]{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)\Z"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# The server means "not now" with these, not "never" (RFC 5530).
_LATER = frozenset({"UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG", "OVERQUOTA"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedFolder:
    """What the server says about the folder just opened."""

    uidvalidity: int
    uidnext: int | None
    """The least uid the next mail can get; some servers do not say."""
    exists: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFolder:
    """A folder of the mailbox. `raw_name` is its name on the wire, the only safe key."""

    raw_name: bytes
    delimiter: str
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MailHead:
    """What the server knows about a mail without its body."""

    uid: int
    size: int
    """RFC822.SIZE. Servers round and guess here: good for a limit, not for arithmetic."""
    flags: tuple[str, ...]
    internal_date: datetime | None
    """When the mail came to this folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedMail:
    """A mail's octets as the server holds them."""

    head: MailHead
    raw: bytes
    complete: bool
    """False if the mail is larger than was allowed: `raw` is then its beginning."""


@dataclass(slots=True)
class _Exchange:
    """A command on its way, until its tagged answer."""

    command: Command
    done: asyncio.Future[tuple[str, bytes]]
    going: asyncio.Future[None]
    """The server said `+`, and there was nothing left to answer it with."""
    replies: list[bytes]
    keep: bool = True
    untagged: list[Response] = field(default_factory=list)
    size: int = 0


@dataclass(frozen=True, slots=True)
class _Answer:
    """The tagged answer of a command with all that came before it.

    `result` is what aioimaplib's own commands look at.
    """

    result: str
    text: bytes
    untagged: tuple[Response, ...]

    @property
    def code(self) -> str:
        found = _CODE.match(self.text)
        return found[1].decode().upper() if found else ""


class _Protocol(IMAP4ClientProtocol):  # type: ignore[misc]  # aioimaplib has no types
    """aioimaplib's protocol with its own reading, waiting and ending."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.greeting: asyncio.Future[bytes] = loop.create_future()
        self.closed = asyncio.Event()
        self.exists = 0
        self.pushed: asyncio.Future[bool] | None = None
        self._framer = ResponseFramer()
        self._exchange: _Exchange | None = None
        self._reason: ServerUnavailable | None = None
        self._bye = ""

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if (sock := transport.get_extra_info("socket")) is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def data_received(self, data: bytes) -> None:
        if self._reason is not None:
            return
        try:
            for response in self._framer.feed(data):
                self._respond(response)
        except ServerUnavailable as surprise:
            self.fail(surprise)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()
        said = f"; it said: {self._bye}" if self._bye else ""
        why = f" ({exc})" if exc else ""
        self.fail(ServerUnavailable(f"the server closed the connection{why}{said}"))

    def fail(self, reason: ServerUnavailable) -> None:
        """End the connection and wake everybody who waits for it."""
        if self._reason is None:
            self._reason = reason
        if self.transport is not None:
            self.transport.abort()
        waiting: list[asyncio.Future[Any] | None] = [self.greeting, self.pushed]
        if (exchange := self._exchange) is not None:
            waiting += [exchange.done, exchange.going]
        for future in waiting:
            if future is not None and not future.done():
                future.set_exception(self._reason)
                future.exception()  # whoever still awaits it gets it; nobody else must

    # What the server says

    def _respond(self, response: Response) -> None:
        line = response[0]
        if self.state == CONNECTED and not self.greeting.done():
            self.greeting.set_result(line)
        elif line.startswith(b"+"):
            self._go_on()
        elif line.startswith(b"* "):
            self._untagged(response)
        elif (tagged := _TAGGED.match(line)) is not None:
            self._tagged(tagged[1].decode(), tagged[2].decode().upper(), tagged[3])
        elif line.strip():
            raise ProtocolSurprise("the server sent a line that is no answer")

    def _go_on(self) -> None:
        exchange = self._exchange
        if exchange is None:
            raise ProtocolSurprise("the server asks for more of nothing")
        if exchange.replies:
            self.transport.write(exchange.replies.pop(0) + b"\r\n")
        elif not exchange.going.done():
            exchange.going.set_result(None)

    def _untagged(self, response: Response) -> None:
        line = response[0]
        if line[2:5].upper() == b"BYE":
            self._bye = _readable(line[5:])
        if _EXPUNGE.match(line):
            self.exists -= 1
        elif _EXISTS.match(line):
            self.exists = number(line.split()[1])
            if self.pushed is not None and not self.pushed.done():
                self.pushed.set_result(True)
        if (exchange := self._exchange) is not None and exchange.keep:
            exchange.size += sum(map(len, response)) + 64
            if exchange.size > MAX_ANSWER:
                raise ProtocolSurprise("the server sent an endless answer")
            exchange.untagged.append(response)

    def _tagged(self, tag: str, result: str, text: bytes) -> None:
        exchange = self._exchange
        if exchange is None or tag != exchange.command.tag or exchange.done.done():
            raise ProtocolSurprise("the server answered a command that was not asked")
        exchange.done.set_result((result, text))

    # What we ask

    def begin(self, command: Command, replies: Iterable[bytes] = (), *, keep: bool = True) -> None:
        """Send the command. `replies` answer the server's `+`, one each."""
        if self._reason is not None:
            raise self._reason
        if self._exchange is not None:
            raise RuntimeError("an IMAP session does one command at a time")
        if self.state not in Commands[command.name].valid_states:
            raise RuntimeError(f"{command.name} cannot be sent in state {self.state}")
        self._exchange = _Exchange(
            command, self.loop.create_future(), self.loop.create_future(), list(replies), keep
        )
        self.transport.write(f"{command}\r\n".encode("utf-8", "surrogateescape"))

    @property
    def current(self) -> _Exchange:
        """The command on its way."""
        if self._exchange is None:
            raise RuntimeError("no IMAP command is on its way")
        return self._exchange

    async def finish(self) -> _Answer:
        """Wait for the tagged answer of the current command."""
        exchange = self.current
        result, text = await exchange.done
        self._exchange = None
        return _Answer(result, text, tuple(exchange.untagged))

    async def execute(self, command: Command, scrub: str | None = None) -> _Answer:  # noqa: ARG002
        """The one way of aioimaplib's own commands to the wire. Nothing needs a scrub: no logs."""
        self.begin(command)
        return await self.finish()


class ImapSession:
    """A connection to an IMAP server, from greeting to logout.

    Use it from one task at a time. Every method may raise `ServerUnavailable`; the session is
    then over. `CommandRefused` leaves it usable.

    Args:
        answer_s: Seconds that the server may take for any one answer.
    """

    def __init__(self, protocol: _Protocol, *, answer_s: float) -> None:
        self._protocol = protocol
        self._answer_s = answer_s
        self._searched_exists = 0
        self.capabilities: frozenset[str] = frozenset()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, host: str, port: int, *, tls: ssl.SSLContext | None, answer_s: float = 30.0
    ) -> AsyncIterator[ImapSession]:
        """Connect and wait for the greeting; log out and close at the end of the block.

        Raises:
            ServerUnavailable: no connection, no TLS, no greeting, or a greeting that says no.
        """
        loop = asyncio.get_running_loop()
        protocol = _Protocol(loop)
        session = cls(protocol, answer_s=answer_s)
        try:
            try:
                async with asyncio.timeout(answer_s):
                    await loop.create_connection(lambda: protocol, host, port, ssl=tls)
                    greeting = await protocol.greeting
            except TimeoutError:
                raise ServerUnavailable(
                    f"no greeting from {host}:{port} in {answer_s:g} s"
                ) from None
            except ssl.SSLError as error:
                raise ServerUnavailable(f"no TLS with {host}:{port}: {error.reason}") from error
            except UnicodeError as error:
                raise ServerUnavailable(f"{host!r} is no name of a server") from error
            except OSError as error:
                raise ServerUnavailable(f"cannot reach {host}:{port}: {error}") from error
            session._greet(greeting)
            await session._refresh_capabilities()
            yield session
            await session._log_out()
        finally:
            protocol.fail(ServerUnavailable("the session is closed"))
            if protocol.transport is not None:
                # Closing is our own doing and takes no answer from the server.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(2):
                        await protocol.closed.wait()

    @property
    def authenticated(self) -> bool:
        """Whether the server lets us in without asking (PREAUTH), or after `login`."""
        return self._protocol.state not in (CONNECTED, NONAUTH)

    async def login(self, user: str, password: str) -> None:
        """Say who we are, by AUTHENTICATE PLAIN where the server has it, else by LOGIN.

        Raises:
            LoginRefused: the server does not accept it; trying again does not help.
        """
        if self.authenticated:
            return
        if "AUTH=PLAIN" in self.capabilities:
            answer = await self._authenticate_plain(user, password)
        elif "LOGINDISABLED" in self.capabilities:
            raise LoginRefused("the server offers no way to log in over this connection")
        else:
            answer = await self._login(user, password)
        if answer.result != "OK":
            text = _readable(answer.text)
            if answer.code in _LATER:
                raise ServerUnavailable(f"login is not possible now: {text}", throttled=True)
            raise LoginRefused(f"login refused: {text}")
        self._protocol.state = AUTH
        await self._refresh_capabilities()
        if "ID" in self.capabilities:
            # Some providers open no folder for a client that does not say its name.
            await self._ask(lambda: self._protocol.id(name="santral"), "ID")

    async def folders(self) -> list[ServerFolder]:
        """All folders of the mailbox."""
        answer = await self._ask(lambda: self._protocol.simple_command("LIST", '""', '"*"'), "LIST")
        self._accept(answer, "LIST")
        found = []
        for response in answer.untagged:
            if (start := _LIST.match(response[0])) is None:
                continue
            match values(response, start.end()):
                case [list(flags), (bytes() | None) as delimiter, bytes(name), *_]:
                    found.append(
                        ServerFolder(
                            raw_name=name,
                            delimiter=(delimiter or b"").decode("ascii", "replace"),
                            flags=_flags(flags),
                        )
                    )
                case _:
                    raise ProtocolSurprise("the server sent a folder that cannot be read")
        return found

    async def select(self, raw_name: bytes) -> SelectedFolder:
        """Open a folder.

        SELECT and not EXAMINE, because aioimaplib fetches only then; nothing is changed by it.

        Raises:
            CommandRefused: there is no such folder, or we may not read it.
        """
        name = quote(raw_name.decode("utf-8", "surrogateescape"))
        answer = await self._ask(lambda: self._protocol.select(name), "SELECT")
        self._accept(answer, "SELECT")
        uidvalidity = uidnext = None
        exists = 0
        for response in answer.untagged:
            line = response[0]
            if _EXISTS.match(line):
                exists = number(line.split()[1])
            elif line[:5].upper() == b"* OK " and (code := _CODE.match(line, 5)):
                if code[1].upper() == b"UIDVALIDITY":
                    uidvalidity = number((code[2] or b"").strip())
                elif code[1].upper() == b"UIDNEXT":
                    uidnext = number((code[2] or b"").strip())
        if uidvalidity is None:
            raise ProtocolSurprise("the server does not say UIDVALIDITY: it cannot be read safely")
        return SelectedFolder(uidvalidity=uidvalidity, uidnext=uidnext, exists=exists)

    async def uids_above(self, uid: int) -> list[int]:
        """The uids above `uid` in the open folder, ascending."""
        self._searched_exists = self._protocol.exists
        # `9:*` always names the last mail, even if its uid is below 9 (RFC 3501, section 6.4.8).
        return [found for found in await self._search(f"UID {uid + 1}:*") if found > uid]

    async def uids_since(self, day: date) -> list[int]:
        """The uids of mails that came to the open folder on that day or later, ascending."""
        return await self._search(f"SINCE {day.day}-{_MONTHS[day.month - 1]}-{day.year:04d}")

    async def heads(self, uids: Sequence[int]) -> list[MailHead]:
        """Size, flags and date of the mails, in pages. Mails that are gone are not in it."""
        found = []
        for start in range(0, len(uids), PAGE):
            page = ",".join(map(str, uids[start : start + PAGE]))
            fetched = await self._fetch(page, "(UID FLAGS INTERNALDATE RFC822.SIZE)")
            found += [_head(items) for items in fetched if {"UID", "RFC822.SIZE"} <= items.keys()]
        return found

    async def fetch(self, uid: int, *, limit: int) -> FetchedMail | None:
        """A mail's octets, at most `limit` of them. None if the server has no such mail.

        Raises:
            CommandRefused: the server does not give it.
        """
        head: MailHead | None = None
        raw = bytearray()
        while True:
            want = min(PART, limit + 1 - len(raw))
            ask = f"(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[]<{len(raw)}.{want}>)"
            answered = await self._fetch(str(uid), ask)
            mine = [items for items in answered if items.get("UID", b"") == str(uid).encode()]
            found = [(items, body) for items in mine for body in _bodies(items, len(raw))]
            if not found:
                # A body under no uid may be this mail's: it must not pass for gone.
                stray = any(not items.get("UID") and _bodies(items, len(raw)) for items in answered)
                if mine or raw or stray:
                    raise ProtocolSurprise(f"the server answered without the body of mail {uid}")
                return None
            items, (body, whole) = found[0]
            head = head or _head(items)
            raw += body
            if len(raw) > limit:
                return FetchedMail(head=head, raw=bytes(raw[:limit]), complete=False)
            if whole or len(body) < want:
                if not raw and head.size:
                    raise ProtocolSurprise(f"the server gave nothing of mail {uid}")
                return FetchedMail(head=head, raw=bytes(raw), complete=True)

    async def noop(self) -> None:
        """Let the server tell what changed."""
        self._accept(await self._ask(lambda: self._protocol.simple_command("NOOP"), "NOOP"), "NOOP")

    @property
    def can_idle(self) -> bool:
        """Whether the server tells by itself when mail comes."""
        return "IDLE" in self.capabilities

    async def idle(self, seconds: float) -> bool:
        """Wait until mail comes, `wake` is called or the time is over. True if mail came.

        A hint only: look for mail afterwards in any case.
        """
        protocol = self._protocol
        if protocol.exists > self._searched_exists:
            return True  # it was announced with the answer to something else
        pushed: asyncio.Future[bool] = protocol.loop.create_future()
        protocol.pushed = pushed
        try:
            async with self._limited("IDLE"):
                protocol.begin(Command("IDLE", protocol.new_tag(), loop=protocol.loop), keep=False)
                exchange = protocol.current
                started: set[asyncio.Future[Any]] = {exchange.going, exchange.done}
                await asyncio.wait(started, return_when=asyncio.FIRST_COMPLETED)
                if exchange.done.done():
                    self._accept(await protocol.finish(), "IDLE")
                    return False
            async with self._guarded():
                either: set[asyncio.Future[Any]] = {pushed, exchange.done}
                await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            async with self._limited("IDLE"):
                if not exchange.done.done():
                    protocol.transport.write(b"DONE\r\n")
                self._accept(await protocol.finish(), "IDLE")
            return pushed.done() and pushed.result()
        finally:
            protocol.pushed = None

    def wake(self) -> None:
        """Make a running `idle` return soon."""
        if (pushed := self._protocol.pushed) is not None and not pushed.done():
            pushed.set_result(False)

    # Within

    def _greet(self, line: bytes) -> None:
        kind = line[2:].split(b" ", 1)[0].upper() if line.startswith(b"* ") else b""
        if kind == b"OK":
            self._protocol.state = NONAUTH
        elif kind == b"PREAUTH":
            self._protocol.state = AUTH
        elif kind == b"BYE":
            said = _readable(line[5:])
            raise ServerUnavailable(f"the server takes no connection: {said}", throttled=True)
        else:
            raise ProtocolSurprise("the greeting is not that of an IMAP server")

    async def _refresh_capabilities(self) -> None:
        protocol = self._protocol
        command = Command("CAPABILITY", protocol.new_tag(), loop=protocol.loop)
        answer = await self._ask(lambda: protocol.execute(command), "CAPABILITY")
        self._accept(answer, "CAPABILITY")
        self.capabilities = frozenset(
            word.decode("ascii", "replace").upper()
            for response in answer.untagged
            if _CAPABILITY.match(response[0])
            for word in response[0].split()[2:]
        )

    async def _authenticate_plain(self, user: str, password: str) -> _Answer:
        secret = base64.b64encode(f"\0{user}\0{password}".encode())
        protocol = self._protocol
        # A server that asks once more has refused: `*` makes it say so (RFC 3501, section 6.2.2).
        if "SASL-IR" in self.capabilities:
            arguments, replies = ["PLAIN", secret.decode()], [b"*"]
        else:
            arguments, replies = ["PLAIN"], [secret, b"*"]
        command = Command("AUTHENTICATE", protocol.new_tag(), *arguments, loop=protocol.loop)
        async with self._limited("AUTHENTICATE"):
            protocol.begin(command, replies)
            return await protocol.finish()
        raise AssertionError  # the block above returns or raises

    async def _login(self, user: str, password: str) -> _Answer:
        if not (user.isascii() and password.isascii()):
            raise LoginRefused("this server's LOGIN takes only ASCII in user and password")
        protocol = self._protocol
        try:
            command = Command(
                "LOGIN", protocol.new_tag(), quote(user), quote(password), loop=protocol.loop
            )
        except ValueError:
            raise LoginRefused("user or password contains a line break") from None
        return await self._ask(lambda: protocol.execute(command), "LOGIN")

    async def _search(self, criteria: str) -> list[int]:
        # No CHARSET: our criteria are ASCII, and Exchange refuses the word.
        answer = await self._ask(
            lambda: self._protocol.search(criteria, by_uid=True, charset=None), "SEARCH"
        )
        self._accept(answer, "SEARCH")
        found: set[int] = set()
        for response in answer.untagged:
            if (start := _SEARCH.match(response[0])) is not None:
                # A server with CONDSTORE may end with `(MODSEQ n)`.
                words = response[0][start.end() :].partition(b"(")[0].split()
                found.update(number(word) for word in words)
        return sorted(found)

    async def _fetch(self, uids: str, items: str) -> list[dict[str, Value]]:
        answer = await self._ask(lambda: self._protocol.fetch(uids, items, by_uid=True), "FETCH")
        fetched = []
        for response in answer.untagged:
            if (start := _FETCH.match(response[0])) is None:
                continue
            match values(response, start.end()):
                case [list(flat)] if len(flat) % 2 == 0:
                    pairs = zip(flat[::2], flat[1::2], strict=True)
                    fetched.append({_key(key): value for key, value in pairs})
                case _:
                    raise ProtocolSurprise("the server sent a mail that cannot be read")
        self._accept(answer, "FETCH")
        # Changed flags of other mails may be among them.
        return fetched

    async def _ask(self, ask: Callable[[], Awaitable[Any]], name: str) -> _Answer:
        async with self._limited(name):
            try:
                answer: _Answer = await ask()
            except ValueError:
                # aioimaplib refuses arguments that hold NUL, CR or LF before anything is sent.
                raise CommandRefused(f"{name} would contain a line break") from None
            return answer
        raise AssertionError  # the block above returns or raises

    def _accept(self, answer: _Answer, name: str) -> None:
        if answer.result == "OK":
            return
        message = f"{name} refused: {_readable(answer.text)}"
        if answer.code in _LATER:
            self._protocol.fail(ServerUnavailable(message, throttled=True))
            raise ServerUnavailable(message, throttled=True)
        raise CommandRefused(message, code=answer.code)

    @contextlib.asynccontextmanager
    async def _limited(self, name: str) -> AsyncIterator[None]:
        """Inside, an answer must come in time; without it the connection is given up."""
        try:
            async with self._guarded(), asyncio.timeout(self._answer_s):
                yield
        except TimeoutError:
            raise ServerUnavailable(f"no answer to {name} in {self._answer_s:g} s") from None

    @contextlib.asynccontextmanager
    async def _guarded(self) -> AsyncIterator[None]:
        """Inside, only an answer of the server ends a command without ending the connection."""
        try:
            yield
        except CommandRefused:
            raise
        except BaseException as error:
            reason = error if isinstance(error, ServerUnavailable) else None
            self._protocol.fail(reason or ServerUnavailable("the session was interrupted"))
            raise

    async def _log_out(self) -> None:
        with contextlib.suppress(ServerUnavailable, CommandRefused):
            self._answer_s = min(self._answer_s, 2.0)
            await self._ask(self._protocol.logout, "LOGOUT")


def _key(value: Value) -> str:
    if not isinstance(value, bytes):
        raise ProtocolSurprise("the server sent a mail that cannot be read")
    return value.decode("ascii", "replace").upper()


def _flags(value: Value) -> tuple[str, ...]:
    flags = value if isinstance(value, list) else []
    return tuple(flag.decode("ascii", "replace") for flag in flags if isinstance(flag, bytes))


def _bodies(items: dict[str, Value], offset: int) -> list[tuple[bytes, bool]]:
    """The body in an answer, and whether it is all of it. Servers may ignore a partial request."""
    found = []
    for key, value in items.items():
        if key == f"BODY[]<{offset}>" and (isinstance(value, bytes) or offset):
            found.append((value if isinstance(value, bytes) else b"", False))
        elif key == "BODY[]" and isinstance(value, bytes):
            found.append((value[offset:], True))
    return found


def _head(items: dict[str, Value]) -> MailHead:
    size = items.get("RFC822.SIZE")
    dated = items.get("INTERNALDATE")
    return MailHead(
        uid=number(items.get("UID")),
        size=0 if size is None else number(size),
        flags=_flags(items.get("FLAGS")),
        internal_date=internal_date(dated) if isinstance(dated, bytes) else None,
    )


def internal_date(text: bytes) -> datetime | None:
    """INTERNALDATE in UTC, or None if it is no date."""
    found = _INTERNALDATE.match(text.decode("ascii", "replace"))
    if found is None or found[2].title() not in _MONTHS:
        return None
    offset = timedelta(hours=int(found[8]), minutes=int(found[9]))
    try:
        return datetime(
            int(found[3]),
            _MONTHS.index(found[2].title()) + 1,
            int(found[1]),
            int(found[4]),
            int(found[5]),
            min(int(found[6]), 59),
            tzinfo=timezone(-offset if found[7] == "-" else offset),
        ).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _readable(text: bytes) -> str:
    """What the server said, for a log: one line, short, without control characters."""
    shown = text.decode("utf-8", "replace").strip()[:200]
    return "".join(char if char.isprintable() else " " for char in shown)
