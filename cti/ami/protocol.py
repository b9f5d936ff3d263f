"""One session with one PBX: panoramisk's `Manager` and `AMIProtocol`, made safe.

The only importer of panoramisk. It connects and writes; everything that can lose, reorder, repeat
or leak something is replaced here (docs/ami-notes.md):

- The stream is cut as bytes and decoded as whole messages (panoramisk decodes chunk by chunk and
  drops what does not fit).
- Nothing that a reader of events does can end the session.
- Each order has its own future, a time limit, and fails when the session ends. Nothing is ever sent
  twice (panoramisk sends unanswered orders again after a reconnect, also a hangup).
- A refused login is an error here, and no reconnect is tried: `cti.ami.link` decides when.
- No order and no secret is ever logged.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

from panoramisk import Manager
from panoramisk.ami_protocol import AMIProtocol

from cti.ami.codec import clean
from cti.ami.framing import Framer, Message, event_name
from cti.ami.orders import Challenge, Login, Order, encode
from cti.errors import ActionFailed, LoginRefused, PeerUnavailable

log = logging.getLogger(__name__)

OnMessage = Callable[[bytes, int, int], None]
"""Gets each event: its bytes, its number in the stream, and when it came (`monotonic_ns`)."""
OnBytes = Callable[[bytes], None]

_ACTION_ID: Final = b"\r\nActionID: "
_EVENT_LIST: Final = b"\r\nEventList: "
_SECRET: Final = re.compile(r"(?i)\b(secret|key)(?:'?: ?'?|=)'?[^\s',}]+")


@dataclass(slots=True)
class _Pending:
    """An order that waits for its answer."""

    order: Order
    answer: asyncio.Future[Message]
    on_item: OnMessage | None = None


class AmiProtocol(AMIProtocol):  # type: ignore[misc] # panoramisk has no types
    """The bytes of one session. Made by `AmiConnection`."""

    def __init__(self, on_message: OnMessage, on_bytes: OnBytes | None = None) -> None:
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done when the session has ended; its result says why."""
        self.handler_errors = 0
        """How often a reader of events raised."""
        self.stray_answers = 0
        """Answers that nobody waits for any more."""
        self.framer = Framer()
        self._on_message = on_message
        self._on_bytes = on_bytes
        self._orders: dict[bytes, _Pending] = {}
        self._messages = 0
        self._ended = False
        self._why = ""
        self._action_ids = _action_ids()

    # --- panoramisk calls these ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a connected socket."""
        super().connection_made(transport)
        self.log = _quiet
        _keep_alive(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        """Hand on what came: answers to their orders, events to the reader."""
        now = time.monotonic_ns()
        if self._on_bytes is not None and not self._ended:
            self._on_bytes(data)
        for raw in self.framer.feed(data):
            if self._ended:
                return
            self._messages += 1
            if (self._orders or not raw.startswith(b"Event: ")) and self._is_answer(raw, now):
                continue
            self._hand_on(self._on_message, raw, now)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail every order that has no answer yet. No reconnect, no repetition."""
        self._ended = True
        self.closed = True
        reason = self._why or (f"{type(exc).__name__}: {exc}" if exc else "closed by the PBX")
        orders, self._orders = self._orders, {}
        for pending in orders.values():
            if not pending.answer.done():
                pending.answer.set_exception(
                    PeerUnavailable(f"the PBX was lost before it answered: {reason}")
                )
        if not self.lost.done():
            self.lost.set_result(reason)

    def send(self, data: Any, as_list: bool = False) -> asyncio.Future[Any]:
        """Refuse: panoramisk's own way to send neither checks values nor ever gives up."""
        raise NotImplementedError("orders are sent by AmiConnection.order")

    def close(self) -> None:
        """Close the socket once what was written is sent."""
        self._why = self._why or "closed by us"
        self._ended = True
        self.transport.close()

    # --- ours ---

    def end(self, reason: str) -> None:
        """Drop the connection at once."""
        self._why = self._why or reason
        self._ended = True
        self.transport.abort()

    def begin(self, order: Order, on_item: OnMessage | None = None) -> tuple[bytes, _Pending]:
        """Write an order.

        Raises:
            ActionRefused: It holds a value that must not be sent.
            PeerUnavailable: The session has ended.

        """
        action_id = next(self._action_ids) + order.mark
        written = encode(order, action_id)
        if self._ended or self.transport.is_closing():
            raise PeerUnavailable("there is no session with the PBX")
        pending = _Pending(order, asyncio.get_running_loop().create_future(), on_item)
        self._orders[action_id.encode()] = pending
        self.transport.write(written)
        return action_id.encode(), pending

    def forget(self, action_id: bytes) -> None:
        """Wait no longer for the answer to an order."""
        self._orders.pop(action_id, None)

    def _is_answer(self, raw: bytes, now: int) -> bool:
        name = event_name(raw)
        action_id = _value(raw, _ACTION_ID)
        pending = self._orders.get(action_id)
        if not name:
            message = Message.parse(raw)
            if not action_id and len(self._orders) == 1:  # not even an order's id could be read
                (pending,) = self._orders.values()
            if pending is None:
                self.stray_answers += bool(message.response)
            elif message.response:
                self._answer(pending, message)
            return True
        if pending is None or not pending.order.is_list:
            return False  # an event: one that carries the id of a single order is no answer to it
        state = _value(raw, _EVENT_LIST).lower()
        if state == b"complete" or (name.endswith(b"Complete") and not state):
            _resolve(pending.answer, Message.parse(raw))
        elif state in (b"cancelled", b"canceled"):
            _fail(pending.answer, ActionFailed(f"{pending.order.action}: the list was cancelled"))
        elif pending.on_item is not None:
            self._hand_on(pending.on_item, raw, now)
        return True

    @staticmethod
    def _answer(pending: _Pending, message: Message) -> None:
        if message.response.lower() == "error":
            said = clean(message.get("Message"))
            _fail(pending.answer, ActionFailed(f"{pending.order.action}: {said}"))
        elif not pending.order.is_list:
            _resolve(pending.answer, message)

    def _hand_on(self, reader: OnMessage, raw: bytes, now: int) -> None:
        try:
            reader(raw, self._messages, now)
        except Exception:
            self.handler_errors += 1
            log.exception(
                "a reader of events failed",
                extra={
                    "action": "ami_reader_failed",
                    "event_name": event_name(raw).decode("ascii", "replace"),
                },
            )


class AmiConnection(Manager):  # type: ignore[misc] # panoramisk has no types
    """A logged-in session. Lives once: who wants another connection makes another object."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        on_message: OnMessage,
        on_bytes: OnBytes | None = None,
    ) -> None:
        super().__init__(
            host=host,
            port=port,
            ssl=tls or False,
            loop=asyncio.get_running_loop(),
            protocol_factory=lambda: AmiProtocol(on_message, on_bytes),
            log=_quiet,
        )
        self._stream: AmiProtocol | None = None

    @classmethod
    async def open(
        cls,
        *,
        host: str,
        port: int,
        tls: ssl.SSLContext | None = None,
        timeout_s: float,
        on_message: OnMessage,
        on_bytes: OnBytes | None = None,
    ) -> Self:
        """Connect, not yet logged in.

        Raises:
            PeerUnavailable: Nobody answers there, or not with the right certificate.

        """
        connection = cls(host=host, port=port, tls=tls, on_message=on_message, on_bytes=on_bytes)
        try:
            async with asyncio.timeout(timeout_s):
                await connection.connect()
        except TimeoutError as error:
            raise PeerUnavailable(f"no connection within {timeout_s:g} s") from error
        except OSError as error:
            raise PeerUnavailable(f"no connection: {error}") from error
        except BaseException:
            connection.end("cancelled while it connected")
            raise
        return connection

    async def log_in(
        self,
        *,
        user: str,
        secret: str,
        events: bool,
        auth: Literal["plain", "md5"] = "plain",
        timeout_s: float,
    ) -> None:
        """Log in.

        Raises:
            LoginRefused: The PBX said no to user or secret.
            PeerUnavailable: It said nothing, or that this user is still logged in (as after a
                broken connection, where `allowmultiplelogin=no`).

        """
        try:
            async with asyncio.timeout(timeout_s):
                key = ""
                if auth == "md5":
                    challenge = (await self.order(Challenge())).get("Challenge")
                    proof = f"{challenge}{secret}".encode()
                    key = hashlib.md5(proof).hexdigest()  # noqa: S324 - AMI knows no other
                await self.order(
                    Login(username=user, secret="" if key else secret, key=key, events=events)
                )
        except TimeoutError as error:
            raise PeerUnavailable(f"no answer to the login within {timeout_s:g} s") from error
        except ActionFailed as error:
            if "already in use" in str(error).lower():
                raise PeerUnavailable(str(error)) from None
            raise LoginRefused(str(error)) from None

    async def order(self, order: Order, *, timeout_s: float | None = None) -> Message:
        """Have an order done and return the answer.

        Raises:
            ActionRefused: It holds a value that must not be sent.
            ActionFailed: The PBX said no, or nothing in time: then it may be done or not.
            PeerUnavailable: The session ended: then it may be done or not. It is never repeated.

        """
        return await self._ask(order, None, timeout_s)

    async def list(self, order: Order, on_item: OnMessage, *, timeout_s: float) -> None:
        """Have a list sent; each item goes to `on_item` in the order of the stream.

        Raises:
            ActionFailed: The PBX said no, or the list did not end in time.
            PeerUnavailable: The session ended.

        """
        await self._ask(order, on_item, timeout_s)

    async def _ask(
        self, order: Order, on_item: OnMessage | None, timeout_s: float | None
    ) -> Message:
        if self._stream is None:
            raise PeerUnavailable("there is no session with the PBX")
        action_id, pending = self._stream.begin(order, on_item)
        try:
            async with asyncio.timeout(timeout_s):
                return await pending.answer
        except TimeoutError:
            if timeout_s is None:
                raise
            raise ActionFailed(f"{order.action}: no answer within {timeout_s:g} s") from None
        finally:
            self._stream.forget(action_id)

    async def stays_until(self, stop: asyncio.Event) -> None:
        """Wait until told to stop.

        Raises:
            PeerUnavailable: The session ended before.

        """
        waiter = asyncio.ensure_future(stop.wait())  # noqa: TID251 - ended right here
        either: set[asyncio.Future[Any]] = {self.stream.lost, waiter}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiter.cancel()
        if not stop.is_set():
            raise PeerUnavailable(self.stream.lost.result())

    @property
    def stream(self) -> AmiProtocol:
        """The bytes of the session."""
        if self._stream is None:
            raise PeerUnavailable("there is no session with the PBX")
        return self._stream

    def end(self, reason: str) -> None:
        """Drop the connection at once."""
        if self._stream is not None:
            self._stream.end(reason)

    async def aclose(self, *, timeout_s: float = 1.0) -> None:
        """Close the connection and wait until it is closed. Idempotent."""
        if self._stream is None:
            return
        self._stream.close()
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(self._stream.lost)
        except TimeoutError:
            self._stream.end("closed")
            await self._stream.lost

    # --- panoramisk calls these ---

    def connection_made(self, f: asyncio.Future[Any]) -> None:
        """Keep the protocol. Panoramisk would log in here and start to ping and to reconnect."""
        if not f.cancelled() and f.exception() is None:
            _, self._stream = f.result()
            self.protocol = self._stream

    def send_action(self, action: Any, as_list: Any = None, **kwargs: Any) -> Any:
        """Refuse, as `AmiProtocol.send` does."""
        raise NotImplementedError("orders are sent by AmiConnection.order")


def tls_context(*, ca_file: str | None, verify: bool) -> ssl.SSLContext:
    """Make the TLS settings of a link.

    Raises:
        OSError: The file of certificates cannot be read, or holds none.

    """
    context = ssl.create_default_context(cafile=ca_file)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _value(raw: bytes, key: bytes) -> bytes:
    start = raw.find(key)
    if start < 0:
        return b""
    start += len(key)
    end = raw.find(b"\r\n", start)
    return raw[start:end] if end >= 0 else raw[start:]


def _resolve(answer: asyncio.Future[Message], message: Message) -> None:
    if not answer.done():
        answer.set_result(message)


def _fail(answer: asyncio.Future[Message], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)


def _action_ids() -> Iterator[str]:
    """Numbers that no other session, and nobody who sends us events, can guess."""
    session = secrets.token_hex(8)
    number = 0
    while True:
        number += 1
        yield f"santral-{session}-{number}"


def _keep_alive(sock: socket.socket | None) -> None:
    """Let the kernel notice a vanished PBX in a minute instead of fifteen."""
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", 30),
        ("TCP_KEEPINTVL", 10),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", 30_000),
    ):
        option = getattr(socket, name, None)  # not on every system
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


_quiet: Final = logging.getLogger(f"{__name__}.panoramisk")
"""What panoramisk logs, in case a way is left that we did not replace. It logs orders whole."""


def _redact(record: logging.LogRecord) -> bool:
    record.msg = _SECRET.sub(r"\1: <hidden>", record.getMessage())
    record.args = ()
    record.exc_info = None
    record.exc_text = None
    return True


_quiet.addFilter(_redact)
