"""What a scenario works with: the PBX, the phones, the record, a clock; and its ground truth."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.lab.asterisk import Asterisk
from tests.lab.phones import Phones
from tests.lab.processes import free_port
from tests.lab.recorder import Recording

TRUNK = "PJSIP/trunk"

Truth = list[dict[str, Any]]
"""The calls as they were played: see "Ground truth" in README.md."""


@dataclass
class Stage:
    """One PBX of its own, its registered phones and the running record."""

    asterisk: Asterisk
    phones: Phones
    ami: Recording
    marks: dict[str, float] = field(default_factory=dict)
    far: Stage | None = None
    """The other PBX, for stories that need two; its `truth` is what happened there."""
    truth: Truth = field(default_factory=list)

    @property
    def other(self) -> Stage:
        """The other PBX: for the stories that asked for one."""
        assert self.far is not None
        return self.far

    def mark(self, name: str) -> None:
        """Note when something happened, by the lab's own clock."""
        self.marks[name] = time.monotonic()

    def between(self, first: str, last: str) -> float:
        """Return the seconds between two marks."""
        return round(self.marks[last] - self.marks[first], 2)

    async def pass_time(self, seconds: float) -> None:
        """Let people ring, wait or talk for a while: this is duration, not synchronisation."""
        await asyncio.sleep(seconds)


@dataclass(frozen=True)
class Scenario:
    """A story that is played on the real PBX and recorded."""

    name: str
    about: str
    phones: tuple[str, ...]
    play: Callable[[Stage], Awaitable[Truth]]
    queue_seconds: int
    ring_seconds: int
    contacts: int
    two: bool
    """Whether it needs a second PBX (`Stage.far`)."""


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    name: str,
    *phones: str,
    queue_seconds: int = 6,
    ring_seconds: int = 3,
    contacts: int = 1,
    two: bool = False,
) -> Callable[[Callable[[Stage], Awaitable[Truth]]], Callable[[Stage], Awaitable[Truth]]]:
    """Register a scenario under ``area/who_does_what``, with the phones that are on the net."""

    def register(
        play: Callable[[Stage], Awaitable[Truth]],
    ) -> Callable[[Stage], Awaitable[Truth]]:
        about = (play.__doc__ or "").strip()
        SCENARIOS[name] = Scenario(
            name, about, phones, play, queue_seconds, ring_seconds, contacts, two
        )
        return play

    return register


@asynccontextmanager
async def more_phones(stage: Stage, *lines: str) -> AsyncIterator[Phones]:
    """Register phones that live in a process of their own.

    One process of PJSUA2 can have four calls at a time, and one registration of an extension.
    """
    async with Phones(stage.asterisk, port=free_port(socket.SOCK_DGRAM)) as phones:
        await phones.register(*lines)
        yield phones
        await phones.unregister(*lines)


def phone(extension: str) -> str:
    """Return the endpoint of an extension as channel names carry it."""
    return f"PJSIP/{extension}"


def leg(
    endpoint: str,
    role: str,
    *,
    rang: bool | None = None,
    answered: bool | None = None,
    result: str | None = None,
) -> dict[str, Any]:
    """Describe one party's part; what is not known for sure is left out."""
    known = {"rang": rang, "answered": answered, "result": result}
    return {
        "endpoint": endpoint,
        "role": role,
        **{key: value for key, value in known.items() if value is not None},
    }


def callee(extension: str, result: str, *, rang: bool = True) -> dict[str, Any]:
    """Describe a called phone."""
    return leg(phone(extension), "callee", rang=rang, answered=result == "answered", result=result)
