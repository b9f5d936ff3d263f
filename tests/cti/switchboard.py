"""A `CallService` with its store and its screens, fed with what a PBX sends.

    async with Switchboard() as board:
        await board.hears(a.calls(DID), *ringing(a, b))
        board.expect("ayse: card ringing known Zoë Ergin")

Each notice is one line; those about live calls are left out unless asked for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from difflib import ndiff
from typing import Self

from crm_core.directory import Directory
from crm_core.memory import MemoryStore
from crm_core.model import ContactPoint, PointKind, Touch, User
from crm_core.notices import (
    CallChanged,
    Notice,
    PopShown,
    PopUpdated,
    PopWithdrawn,
    TouchLogged,
)
from crm_core.phone import PhoneRules
from crm_core.ports import ContactDraft, Store
from cti.ami.events import AmiEvent
from cti.model import CallChange
from cti.service import CallService
from cti.tracker import CallTracker

DEADLINE_S = 10.0

PEOPLE = (
    # login, name, team, phones
    ("ayse", "Ayşe Yılmaz", "support", ("PJSIP/1001", "PJSIP/1011")),
    ("jonas", "Jonas Weber", "support", ("PJSIP/1002",)),
    ("olga", "Ольга Ёлкина", "sales", ("PJSIP/1003",)),
    ("brian", "Brian O'Neill", "sales", ("PJSIP/1004",)),
    ("zoe", "Zoë Müller", "office", ("PJSIP/1005",)),
    ("ivan", "Ivan Petrov", "office", ("PJSIP/1006",)),
)
CUSTOMERS = (
    ("Zoë Ergin", "+905321112233"),
    ("Kaya Demir", "+905559998877"),
    ("Ali Veli", "+905322223344"),
    ("Ayla Veli", "+905322223344"),
)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what no event tells."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.002)


class Screens:
    """A publisher that remembers."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []

    def publish(self, notice: Notice, *, received_ns: int | None = None) -> None:
        """Remember the notice."""
        del received_ns
        self.notices.append(notice)


async def fill(store: Store, pbxs: Iterable[str] = ("pbx",)) -> list[User]:
    """People at their phones on each of the PBXs, and customers."""
    pbxs = list(pbxs)
    async with store.begin() as uow:
        users = [
            await uow.users.add(
                login=login,
                name=name,
                role="agent",
                team=team,
                phones=[(pbx, phone) for pbx in pbxs for phone in phones],
            )
            for login, name, team, phones in PEOPLE
        ]
        for name, number in CUSTOMERS:
            point = ContactPoint(kind=PointKind.PHONE, value=number)
            await uow.contacts.upsert(ContactDraft(name=name, points=(point,)))
        await uow.commit()
    return users


class Switchboard:
    """One run of the daemon's call service. A second one on the same store is a restart."""

    def __init__(
        self, store: Store | None = None, *, pbx: str = "pbx", directory: Directory | None = None
    ) -> None:
        self.store = store or MemoryStore()
        self.screens = Screens()
        self.directory = directory or Directory()
        self.told: list[CallChange] = []
        self.fault: Exception | None = None
        """Raised by whoever is told of changes, if set."""
        self._news = asyncio.Event()
        self._seen = 0
        self.service = CallService(
            pbx=pbx,
            tracker=CallTracker(pbx),
            store=self.store,
            publisher=self.screens,
            directory=self.directory,
            rules=PhoneRules(),
            announced=self._announced,
        )

    async def __aenter__(self) -> Self:
        async with self.store.begin() as uow:
            users = await uow.users.all()
        if not users:
            users = await fill(self.store)
        self.directory.replace(users)
        self._stack = AsyncExitStack()
        tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        self._running = tasks.create_task(self.service.run())
        return self

    async def __aexit__(self, kind: object, error: object, traceback: object) -> None:
        if kind is None:
            self.service.close()
            async with asyncio.timeout(DEADLINE_S):
                await self._running
        else:
            self._running.cancel()
        await self._stack.aclose()

    def _announced(self, change: CallChange) -> None:
        self.told.append(change)
        self._news.set()
        if self.fault is not None:
            raise self.fault

    def takes(self, *events: AmiEvent) -> None:
        """Let the PBX send this, and go on at once."""
        for event in events:
            self.service.take(event, time.monotonic_ns())

    async def hears(self, *events: AmiEvent) -> None:
        """Let the PBX send this, one after the other, each told before the next comes."""
        for event in events:
            self.takes(event)
            await self.quiet()

    async def quiet(self) -> None:
        """Wait until everything that was taken is told."""
        async with asyncio.timeout(DEADLINE_S):
            while len(self.told) < self.service.metrics.changes:
                self._news.clear()
                await self._news.wait()
        await until(lambda: not self.service.backlog)

    def login(self, user: int) -> str:
        """The login of a user."""
        return PEOPLE[user - 1][0]

    def lines(self, *, calls: bool = False) -> list[str]:
        """What was told since the last look."""
        new, self._seen = self.screens.notices[self._seen :], len(self.screens.notices)
        return [line for notice in new if (line := self._line(notice, calls=calls))]

    def expect(self, *lines: str) -> None:
        """Compare all that was told since the last look."""
        said = self.lines()
        if said != list(lines):
            difference = "\n".join(ndiff(list(lines), said))
            raise AssertionError(f"- expected, + told\n{difference}")

    def _line(self, notice: Notice, *, calls: bool) -> str:
        match notice:
            case PopShown(pop=pop) | PopUpdated(pop=pop):
                what = "card" if isinstance(notice, PopShown) else "card is now"
                contact = pop.match.contact
                who = contact.name if contact else pop.party.address or "-"
                return f"{self.login(pop.agent)}: {what} {pop.state} {pop.match.result} {who}"
            case PopWithdrawn():
                by = f" by {notice.by}" if notice.by else ""
                return f"{self.login(notice.agent)}: card withdrawn {notice.reason}{by}"
            case TouchLogged(touch=touch):
                told = " ".join(self.login(agent) for agent in sorted(notice.agents)) or "-"
                agent = self.login(touch.agent) if touch.agent else "-"
                return f"touch {touch.direction} {touch.outcome} by {agent}, told {told}"
            case CallChanged(call=call) if calls:
                people = " ".join(f"{p.endpoint}={p.state}" for p in call.participants)
                return f"call {call.state} {people}".strip()
            case _:
                return ""

    async def touches(self) -> Sequence[Touch]:
        """The history as lists show it, oldest first."""
        async with self.store.begin() as uow:
            page, _ = await uow.touches.page(limit=200)
        return page[::-1]

    async def touch(self) -> Touch:
        """The only touch there is."""
        (touch,) = await self.touches()
        return touch
