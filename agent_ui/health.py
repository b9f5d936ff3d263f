"""Which of the connections the server needs are up: what `/readyz` answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

Probe = Callable[[], Awaitable[None]]
"""Raises when what it looks at does not work."""

_PROBE_S = 3.0


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One named light."""

    name: str
    """`ami:main`, `imap:support`, `database`."""
    up: bool
    since: datetime
    message: str = ""


class Health:
    """The lights. A part sets its own light; what has no part of its own is probed."""

    def __init__(self, *, now: Callable[[], datetime] = _now) -> None:
        self._now = now
        self._lights: dict[str, Check] = {}
        self._probes: dict[str, Probe] = {}

    def expect(self, name: str) -> None:
        """Say that this connection is needed; it is red until `set` says otherwise."""
        self._lights.setdefault(
            name, Check(name=name, up=False, since=self._now(), message="not yet connected")
        )

    def set(self, name: str, *, up: bool, message: str = "", since: datetime | None = None) -> None:
        """Turn a light green or red. `since` stays as it was if nothing changed."""
        old = self._lights.get(name)
        if since is None:
            since = old.since if old is not None and old.up is up else self._now()
        self._lights[name] = Check(name=name, up=up, since=since, message=message)

    def probe(self, name: str, probe: Probe) -> None:
        """Ask `probe` whenever somebody wants to know, and wait for it three seconds at most."""
        self._probes[name] = probe

    async def checks(self) -> list[Check]:
        """All lights by name. Never raises."""
        await asyncio.gather(*(self._ask(name, probe) for name, probe in self._probes.items()))
        return [self._lights[name] for name in sorted(self._lights)]

    async def _ask(self, name: str, probe: Probe) -> None:
        try:
            async with asyncio.timeout(_PROBE_S):
                await probe()
        except Exception as error:  # noqa: BLE001 - whatever it is, the light is red
            self.set(name, up=False, message=type(error).__name__)
        else:
            self.set(name, up=True)
