"""Keeps one session with one PBX alive: connect, log in, watch, and try again.

`AmiSource` (events) and `AmiActions` (orders) are links; they say what a session is for.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NoReturn

from cti.ami.orders import Ping
from cti.ami.protocol import AmiConnection, OnBytes, tls_context
from cti.errors import ActionFailed, LoginRefused, PeerUnavailable
from cti.settings import PbxSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """Whether a PBX is heard: a light on a panel."""

    pbx: str
    session: str
    """`events` or `orders`."""
    up: bool
    since: float
    """Epoch seconds."""
    reason: str = ""
    """Why it is down, for people."""


_STABLE: Final = 10
"""How many first delays a session must last for the next retry to be quick again."""

OnLinkState = Callable[[LinkState], None]


def retry_delays(
    first_s: float, most_s: float, chance: Callable[[], float] = random.random
) -> Iterator[float]:
    """Yield how long to wait before each next try: random, and longer and longer.

    Full jitter, so that many clients of a PBX that comes back do not come back all at once.
    """
    ceiling = first_s
    while True:
        yield chance() * ceiling
        ceiling = min(ceiling * 2, most_s)


class Link(ABC):
    """One session, again and again, until `run` is cancelled.

    Args:
        settings: The PBX.
        on_state: Told when the link goes up or down, and when the reason for being down changes.

    """

    session: str
    """`events` or `orders`."""

    def __init__(self, settings: PbxSettings, *, on_state: OnLinkState | None = None) -> None:
        self.settings: Final = settings
        self.state = LinkState(
            pbx=settings.name,
            session=self.session,
            up=False,
            since=time.time(),
            reason="not connected yet",
        )
        self.connects = 0
        """How many connections were made."""
        self._on_state = on_state
        self._connection: AmiConnection | None = None
        self._wake = asyncio.Event()
        """Set when `_watch` has something to look at before the next ping."""

    async def run(self) -> NoReturn:
        """Keep the session up. Ends only by being cancelled, or by a bug."""
        link = self.settings.link
        delays = retry_delays(link.retry_first_s, link.retry_most_s)
        while True:
            try:
                await self._one_session()
            except LoginRefused as error:
                self._down(f"login refused: {error}")
                delay = link.retry_refused_s
            except PeerUnavailable as error:
                if self.state.up and time.time() - self.state.since > _STABLE * link.retry_first_s:
                    delays = retry_delays(link.retry_first_s, link.retry_most_s)
                self._down(str(error))
                delay = next(delays)
            await self._before_retry(delay)

    @abstractmethod
    async def _serve(self, connection: AmiConnection) -> NoReturn:
        """Use a session that is logged in.

        Raises:
            PeerUnavailable: It is over.

        """

    @abstractmethod
    def _take(self, raw: bytes, number: int, received_ns: int) -> None:
        """Take an event. Must be quick and must not raise."""

    @abstractmethod
    def _credentials(self) -> tuple[str, str]:
        """User and secret."""

    wants_events: bool
    """Whether the PBX is to send events in this session."""

    def _listener(self) -> OnBytes | None:
        """Return who gets the bytes of the next session besides, if somebody does."""
        return None

    def _lost(self, reason: str) -> None:  # noqa: B027 - not every link has something to do
        """Clean up after a session that had been logged in."""

    async def _before_retry(self, delay: float) -> None:
        await asyncio.sleep(delay)

    async def _one_session(self) -> NoReturn:
        self._wake.clear()
        connection = await open_connection(
            self.settings, on_message=self._take, on_bytes=self._listener()
        )
        self._connection = connection
        self.connects += 1
        logged_in = False
        reason = "stopped"
        try:
            connection.stream.lost.add_done_callback(lambda _: self._wake.set())
            user, secret = self._credentials()
            await connection.log_in(
                user=user,
                secret=secret,
                events=self.wants_events,
                auth=self.settings.auth,
                timeout_s=self.settings.link.login_s,
            )
            logged_in = True
            await self._serve(connection)
        except (PeerUnavailable, LoginRefused) as error:
            reason = str(error)
            raise
        finally:
            self._connection = None
            await connection.aclose()
            if logged_in:
                self._lost(reason)

    async def _watch(self, connection: AmiConnection) -> None:
        """Ping until there is something else to do: then return.

        Raises:
            PeerUnavailable: The session ended, or the PBX no longer answers.

        """
        link = self.settings.link
        while not self._wake.is_set():
            try:
                async with asyncio.timeout(link.ping_every_s):
                    await self._wake.wait()
            except TimeoutError:
                await self._ping(connection)
        self._wake.clear()
        if connection.stream.lost.done():
            raise PeerUnavailable(connection.stream.lost.result())

    async def _ping(self, connection: AmiConnection) -> None:
        try:
            await connection.order(Ping(), timeout_s=self.settings.link.ping_answer_s)
        except ActionFailed as error:
            connection.end("no answer to a ping")
            raise PeerUnavailable("the PBX does not answer a ping") from error

    def _up(self) -> None:
        log.info(
            "%s: %s session is up",
            self.settings.name,
            self.session,
            extra={"action": "pbx_up", "pbx": self.settings.name},
        )
        self._tell(up=True, reason="")

    def _down(self, reason: str) -> None:
        if not self.state.up and self.state.reason == reason:
            return  # said once, not at every try
        log.warning(
            "%s: %s session is down: %s",
            self.settings.name,
            self.session,
            reason,
            extra={"action": "pbx_down", "pbx": self.settings.name},
        )
        self._tell(up=False, reason=reason)

    def _tell(self, *, up: bool, reason: str) -> None:
        since = self.state.since if self.state.up == up else time.time()
        self.state = LinkState(
            pbx=self.settings.name, session=self.session, up=up, since=since, reason=reason
        )
        if self._on_state is not None:
            self._on_state(self.state)


async def open_connection(
    settings: PbxSettings,
    *,
    on_message: Callable[[bytes, int, int], None],
    on_bytes: OnBytes | None = None,
) -> AmiConnection:
    """Connect to a PBX, not yet logged in.

    Raises:
        PeerUnavailable: It cannot be reached, or its certificate is not the right one.

    """
    tls = None
    if settings.tls:
        ca_file = None if settings.tls_ca_file is None else str(settings.tls_ca_file)
        try:
            tls = tls_context(ca_file=ca_file, verify=settings.tls_verify)
        except OSError as error:
            raise PeerUnavailable(f"{ca_file} cannot be used: {error}") from error
    return await AmiConnection.open(
        host=settings.host,
        port=settings.port,
        tls=tls,
        timeout_s=settings.link.connect_s,
        on_message=on_message,
        on_bytes=on_bytes,
    )
