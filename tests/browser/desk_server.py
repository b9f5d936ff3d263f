"""The real page server for browser tests: in a thread of its own, behind a wire that can be cut.

Synchronous Playwright and asyncio do not share a thread. The browser talks to a small relay in
front of the server, so that a test can cut every connection (`cut`), and keep the line dead
(`down`) until `up`.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import AsyncExitStack, contextmanager
from typing import Any, TypeVar

from agent_ui.health import Health
from agent_ui.hub import PopHub
from agent_ui.server import UiServer, serve_ui
from agent_ui.settings import PushLimits, UiSettings
from crm_core.memory import MemoryStore
from crm_core.model import Party, PartyKind, User
from crm_core.notices import Notice

T = TypeVar("T")
DEADLINE_S = 20.0


def readable(party: Party) -> str:
    """Numbers in groups, as `phonenumbers` would show those of the scenes."""
    number = party.address
    if party.kind is PartyKind.PHONE and number.startswith("+90") and len(number) == 13:
        return f"0{number[3:6]} {number[6:9]} {number[9:11]} {number[11:]}"
    if party.kind is PartyKind.PHONE and number.startswith("+7") and len(number) == 12:
        return f"+7 {number[2:5]} {number[5:8]}-{number[8:10]}-{number[10:]}"
    if party.kind is PartyKind.PHONE and number.startswith("+44") and len(number) == 13:
        return f"+44 {number[3:5]} {number[5:9]} {number[9:]}"
    return number


class Wire:
    """A relay of bytes that can be cut."""

    def __init__(self) -> None:
        self.port = 0
        self.alive = True
        self.opened = 0
        """Connections let through so far."""
        self._writers: set[asyncio.StreamWriter] = set()
        self._target = 0

    async def open(self, stack: AsyncExitStack) -> None:
        """Listen on a free port of loopback."""
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        stack.push_async_callback(server.wait_closed)
        stack.callback(self.cut)
        stack.callback(server.close)
        self.port = server.sockets[0].getsockname()[1]

    def to(self, port: int) -> None:
        """Where the bytes go."""
        self._target = port

    def cut(self) -> None:
        """End every connection at once, without a goodbye."""
        for writer in self._writers:
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.alive:
            writer.transport.abort()
            return
        self.opened += 1
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, back}
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_pump(reader, back))
                tasks.create_task(_pump(there, writer))
        finally:
            self._writers -= {writer, back}
            writer.close()
            back.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


class DeskServer:
    """The server as a test sees it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.store = MemoryStore()
        self.hub = PopHub(PushLimits(first_wait_s=0.05), display=readable)
        self.wire = Wire()
        self.ui: UiServer | None = None

    @property
    def url(self) -> str:
        """Where the browser finds the page."""
        return f"http://127.0.0.1:{self.wire.port}"

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run in the server's thread and wait for the result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE_S)

    def publish(self, *notices: Notice) -> None:
        """Tell the screens, and return when the frames are on their way."""

        async def tell() -> None:
            for notice in notices:
                self.hub.publish(notice)

        self.run(tell())

    def link(self, user: User) -> str:
        """A one-time sign-in link."""
        assert self.ui is not None
        path = self.run(self.ui.auth.make_link(user.id))
        return path if path.startswith("http") else f"{self.url}/signin/{path}"

    def cut(self, *, down: bool = False) -> None:
        """Cut every connection; with `down` none comes back until `up`."""

        async def do() -> None:
            self.wire.alive = not down
            self.wire.cut()

        self.run(do())

    def up(self) -> None:
        """Let connections through again."""
        self.wire.alive = True

    def forget_sessions(self) -> None:
        """What a restart of the server does to browsers: nothing can be resumed."""

        async def do() -> None:
            self.hub._parked.clear()

        self.run(do())


@contextmanager
def desk_server() -> Iterator[DeskServer]:
    """Start the server in a thread; stop it at the end of the block."""
    started: Future[DeskServer] = Future()
    stop: Future[None] = Future()

    async def serve() -> None:
        async with AsyncExitStack() as stack:
            server = DeskServer(asyncio.get_running_loop())
            await server.wire.open(stack)
            settings = UiSettings(
                port=0,
                public_url=server.url,
                drain_s=0.2,
                push=server.hub.limits.model_copy(update={"close_s": 0.2}),
            )
            server.ui = await stack.enter_async_context(
                serve_ui(settings, store=server.store, hub=server.hub, health=Health())
            )
            server.wire.to(server.ui.port)
            started.set_result(server)
            await asyncio.wrap_future(stop)

    def thread() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    runner = threading.Thread(target=thread, name="desk server")
    runner.start()
    try:
        yield started.result(DEADLINE_S)
    finally:
        stop.set_result(None)
        runner.join(DEADLINE_S)
