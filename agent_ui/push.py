"""The websocket at `/api/v1/push`, and the one port it shares with the page and the REST API.

The only importer of websockets. `listen` opens the port. `FirstRequest` reads the head of the
first request of each connection and gives the connection to websockets or to the HTTP server;
neither knows of the other. Each socket has one reader and one writer; what is to be written comes
from the session's outbox in the hub.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from agent_ui.auth import Auth, SignedIn
from agent_ui.caller import caller
from agent_ui.hub import BAD_FRAME, NOT_SIGNED_IN, PopHub, PushSession
from agent_ui.messages import Ack, ClientMessage, Resume
from agent_ui.settings import UiSettings
from crm_core.errors import StoreUnavailable

log = logging.getLogger(__name__)

PUSH_PATH = "/api/v1/push"

_LONGEST_HEAD = 16 * 1024
_MOST_WAITING = 500
"""Connections that have not yet said what they want; for one more, the oldest has to go."""
_REQUEST_LINE = re.compile(rb"([A-Z]{1,20}) ([^\s\x00-\x20\x7f]{1,8000}) HTTP/1\.[01]\r")
_END_OF_HEAD = b"\r\n\r\n"
_CLIENT_MESSAGE: TypeAdapter[Resume | Ack] = TypeAdapter(ClientMessage)

MakeHttp = Callable[[], asyncio.Protocol]
"""Makes the HTTP server's protocol for one connection."""


class FirstRequest(asyncio.Protocol):
    """Waits for the head of a connection's first request, then hands the connection on.

    Nothing is answered before the head is complete, so a client that dribbles costs one buffer of
    at most 16 KiB and one timer.
    """

    def __init__(
        self,
        *,
        make_websocket: Callable[[], asyncio.Protocol],
        make_http: MakeHttp,
        head_s: float,
        waiting: dict[FirstRequest, None],
    ) -> None:
        self._make_websocket = make_websocket
        self._make_http = make_http
        self._head_s = head_s
        self._waiting = waiting
        self._head = bytearray()
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait."""
        self._transport = cast("asyncio.Transport", transport)
        if len(self._waiting) >= _MOST_WAITING:
            next(iter(self._waiting)).refuse(HTTPStatus.SERVICE_UNAVAILABLE)
        self._waiting[self] = None
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(self._head_s, self.refuse, HTTPStatus.REQUEST_TIMEOUT)

    def data_received(self, data: bytes) -> None:
        """Collect the head; refuse early what will never be one."""
        self._head += data
        line, end, _ = bytes(self._head[: _LONGEST_HEAD + 1]).partition(b"\n")
        request = _REQUEST_LINE.fullmatch(line) if end else None
        if not b"A" <= line[:1] <= b"Z" or (end and request is None):
            self.refuse(HTTPStatus.BAD_REQUEST)
        elif _END_OF_HEAD in self._head[: _LONGEST_HEAD + len(_END_OF_HEAD)]:
            path = request[2].partition(b"?")[0].decode("latin-1") if request else ""
            wants_push = request is not None and request[1] == b"GET" and path == PUSH_PATH
            if wants_push and self._head.find(_END_OF_HEAD) + len(_END_OF_HEAD) < len(self._head):
                # Before the handshake is answered nothing may follow it.
                self.refuse(HTTPStatus.BAD_REQUEST)
            else:
                self._hand_on(self._make_websocket() if wants_push else self._make_http())
        elif len(self._head) > _LONGEST_HEAD:
            self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """The client went before it asked for anything."""
        self._done()

    def refuse(self, status: HTTPStatus) -> None:
        """Answer with an empty error and close."""
        self._done()
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._head.clear()
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        transport.write(f"{head}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        transport.close()

    def _hand_on(self, protocol: asyncio.Protocol) -> None:
        self._done()
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(bytes(self._head))

    def _done(self) -> None:
        self._waiting.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class PushConnection(ServerConnection):
    """A websocket with the sign-in that its handshake proved."""

    signed_in: SignedIn | None = None


class PushServer:
    """The open port. `close` then `wait_closed` end it."""

    def __init__(
        self, server: Server, waiting: dict[FirstRequest, None], recheck: asyncio.Task[None]
    ) -> None:
        self._server = server
        self._waiting = waiting
        self._recheck = recheck

    @property
    def port(self) -> int:
        """The port that is really bound."""
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Accept nothing more, and close the websockets with 1001."""
        self._recheck.cancel()
        self._server.close()
        for first in list(self._waiting):
            first.refuse(HTTPStatus.SERVICE_UNAVAILABLE)

    async def wait_closed(self) -> None:
        """Wait until all connections are closed; the HTTP server must have closed its own."""
        await asyncio.wait([self._recheck])
        await self._server.wait_closed()


async def listen(
    settings: UiSettings, *, hub: PopHub, auth: Auth, make_http: MakeHttp
) -> PushServer:
    """Open the port for websockets and HTTP.

    Raises:
        OSError: the port cannot be bound.
    """
    push = _Push(settings, hub=hub, auth=auth)
    waiting: dict[FirstRequest, None] = {}

    def first_request(protocol: ServerProtocol, server: Server, **limits: Any) -> FirstRequest:
        return FirstRequest(
            make_websocket=lambda: PushConnection(protocol, server, **limits),
            make_http=make_http,
            head_s=settings.head_s,
            waiting=waiting,
        )

    server = await serve(
        push.serve,
        settings.host,
        settings.port,
        compression=None,
        process_request=push.admit,
        server_header=None,
        open_timeout=settings.head_s,
        ping_interval=20,
        ping_timeout=20,
        close_timeout=settings.push.close_s,
        max_size=settings.push.client_frame_bytes,
        # websockets asks for a class, and only ever calls it: "a wrapper or a subclass".
        create_connection=cast("type[ServerConnection]", first_request),
    )
    recheck = asyncio.create_task(  # noqa: TID251 - `PushServer.close` ends it
        push.recheck(), name="push recheck"
    )
    return PushServer(server, waiting, recheck)


class _Push:
    """What happens on a websocket."""

    def __init__(self, settings: UiSettings, *, hub: PopHub, auth: Auth) -> None:
        self._settings = settings
        self._limits = settings.push
        self._hub = hub
        self._auth = auth

    async def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Look at the handshake: a strange origin is refused, a missing sign-in is told later.

        A browser's page cannot read why a handshake failed, so it learns that it is not signed in
        from close code 4001.
        """
        peer = connection.remote_address
        who = caller(
            list(request.headers.raw_items()),
            peer=peer[0] if peer else None,
            settings=self._settings,
        )
        if not who.may_open_socket:
            self._hub.metrics.refused += 1
            log.warning(
                "refused a websocket from origin %.200r; ours are %s (see public_url)",
                who.origin,
                ", ".join(sorted(who.own_origins)),
                extra={"action": "origin_refused"},
            )
            return _problem(connection, HTTPStatus.FORBIDDEN, "origin_refused")
        try:
            signed_in = await self._auth.who(who.token)
        except StoreUnavailable:
            return _problem(connection, HTTPStatus.SERVICE_UNAVAILABLE, "store_unavailable")
        cast("PushConnection", connection).signed_in = signed_in
        return None

    async def serve(self, connection: ServerConnection) -> None:
        """One socket from its handshake to its end."""
        signed_in = cast("PushConnection", connection).signed_in
        if signed_in is None:
            await connection.close(NOT_SIGNED_IN, "not signed in")
            return
        session = self._hub.connect(signed_in.user, sign_in=signed_in.token_sha256)
        path = connection.request.path if connection.request else ""
        resumes = "resume=" in path.partition("?")[2]
        wait_s = self._limits.resume_wait_s if resumes else self._limits.first_wait_s
        start = asyncio.get_running_loop().call_later(wait_s, self._hub.start, session)
        try:
            async with asyncio.TaskGroup() as tasks:
                parts = [
                    tasks.create_task(self._read(connection, session), name="push reader"),
                    tasks.create_task(self._write(connection, session), name="push writer"),
                    tasks.create_task(session.closing.wait(), name="push closing"),
                ]
                await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
                for part in parts:
                    part.cancel()
        finally:
            start.cancel()
            self._hub.disconnect(session)
        if session.verdict is not None:
            await connection.close(session.verdict.code, session.verdict.reason)

    async def _read(self, connection: ServerConnection, session: PushSession) -> None:
        """Take the browser's frames until it goes or sends a bad one."""
        allowance = _Allowance(self._limits.client_frames_per_s)
        try:
            async for message in connection:
                frame = _parsed(message) if allowance.spend() else None
                match frame:
                    case Resume():
                        self._hub.start(session, frame)
                    case Ack():
                        self._hub.acknowledge(session, frame)
                    case None:
                        self._hub.metrics.bad_frames += 1
                        session.close(BAD_FRAME, "bad frame")
                        return
        except ConnectionClosed:
            return

    async def _write(self, connection: ServerConnection, session: PushSession) -> None:
        """Send what the outbox has. `send` waits while the browser does not read."""
        try:
            while True:
                text, frame = await session.take()
                await connection.send(text, text=True)
                self._hub.sent(frame, len(text))
        except ConnectionClosed:
            return

    async def recheck(self) -> None:
        """Close sockets whose sign-in ends elsewhere or expires, or whose user changes.

        The open page counts as use of the session.
        """
        while True:
            await asyncio.sleep(self._limits.recheck_s)
            if not (sign_ins := self._hub.sign_ins):
                continue
            try:
                good = await self._auth.still_signed_in(sign_ins)
            except StoreUnavailable:
                continue  # nobody is signed out because the database is away
            except Exception:
                log.exception("could not check who is still signed in")
                continue
            self._hub.keep_signed_in(sign_ins, good)


class _Allowance:
    """A bucket of tokens: a burst of two seconds' worth, then so many a second."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._most = self._left = per_s * 2
        self._at = time.monotonic()

    def spend(self) -> bool:
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._at) * self._per_s)
        self._at = now
        self._left -= 1
        return self._left >= 0


def _parsed(message: str | bytes) -> Resume | Ack | None:
    if isinstance(message, bytes):
        return None
    try:
        return _CLIENT_MESSAGE.validate_json(message)
    except (ValidationError, ValueError):
        return None


def _problem(connection: ServerConnection, status: HTTPStatus, code: str) -> Response:
    body = {"type": "about:blank", "title": status.phrase, "status": status.value, "code": code}
    response = connection.respond(status, json.dumps(body))
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "application/problem+json"
    return response
