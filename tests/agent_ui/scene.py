"""The people and things of the tests: two agents of two teams, a supervisor, and their calls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import aiohttp
from argon2 import PasswordHasher
from websockets.asyncio.client import ClientConnection, connect

from agent_ui.health import Health
from agent_ui.hub import PopHub
from agent_ui.server import UiServer
from agent_ui.settings import UiSettings
from crm_core.memory import MemoryStore
from crm_core.model import (
    Candidate,
    ContactId,
    Direction,
    Endpoint,
    Match,
    MatchResult,
    Medium,
    Outcome,
    Party,
    PartyKind,
    Role,
    Touch,
    TouchId,
    User,
    UserId,
)
from crm_core.notices import (
    LiveAgent,
    LiveCall,
    LiveEntry,
    LiveMember,
    LiveParticipant,
    LiveQueue,
    PopState,
    ScreenPop,
)

AT = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
DEADLINE_S = 5.0
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
HOSTILE = 'Zoë "<script>alert(1)</script>" O\'Brien Şükrü Ёлкин \u202e\u0000\ud800'


def person(id_: int, login: str, *, role: Role = Role.AGENT, team: str = "support") -> User:
    return User(
        id=UserId(id_),
        login=login,
        name=login.title(),
        role=role,
        team=team,
        phones=(Endpoint(pbx="main", name=f"PJSIP/{1000 + id_}"),),
    )


AYSE = person(1, "ayse")
BORIS = person(2, "boris", team="sales")
CARLA = person(3, "carla")  # of Ayşe's team
SVETLANA = person(9, "svetlana", role=Role.SUPERVISOR, team="")

CALLER = Party(kind=PartyKind.PHONE, address="+905321234567", raw="05321234567", region="TR")
DENIZ = Candidate(contact=ContactId(7), name="Deniz Yıldız", account="Acme", owner=AYSE.id)
KNOWN = Match(
    result=MatchResult.KNOWN,
    party=CALLER.address,
    candidates=(DENIZ,),
    reasons=("exact number, direct line",),
)
AMBIGUOUS = Match(
    result=MatchResult.AMBIGUOUS,
    party=CALLER.address,
    candidates=(
        Candidate(contact=ContactId(1), name="Deniz"),
        Candidate(contact=ContactId(2), name="Derya"),
    ),
    reasons=("shared number of Acme, 2 contacts",),
)


def touch(id_: int = 11, *, agent: User | None = AYSE, team: str = "support") -> Touch:
    return Touch(
        id=TouchId(id_),
        key=f"call:main:{id_}",
        medium=Medium.PHONE,
        direction=Direction.INBOUND,
        outcome=Outcome.ANSWERED,
        at=AT,
        party=CALLER,
        match=replace(KNOWN, candidates=(replace(DENIZ, owner=None),)),
        agent=agent.id if agent else None,
        team=team,
    )


def pop(
    agent: User = AYSE, *, id_: str = "", state: PopState = PopState.RINGING, touch_: int = 11
) -> ScreenPop:
    return ScreenPop(
        id=id_ or f"call-1/{agent.id}",
        agent=agent.id,
        call="call-1",
        touch=touch_,
        state=state,
        direction="inbound",
        party=CALLER,
        match=KNOWN,
        dialed="+902121234567",
        ringing_at=AT,
    )


def call(*agents: User, id_: str = "call-1", state: str = "ringing") -> LiveCall:
    return LiveCall(
        id=id_,
        pbx="main",
        direction="inbound",
        state=state,
        party=CALLER,
        match=KNOWN,
        dialed="+902121234567",
        queue="",
        started_at=AT,
        participants=tuple(
            LiveParticipant(endpoint=agent.phones[0].name, agent=agent.id, name=agent.name)
            for agent in agents
        ),
    )


def queue(*members: User, name: str = "support", pbx: str = "main") -> LiveQueue:
    return LiveQueue(
        pbx=pbx,
        name=name,
        entries=(LiveEntry(call="call-1", party=CALLER, name="", position=1, since=AT),),
        members=tuple(
            LiveMember(
                interface=member.phones[0].name, name=member.name, agent=member.id, state="idle"
            )
            for member in members
        ),
    )


def agent(user: User, *, state: str = "available") -> LiveAgent:
    return LiveAgent(agent=user.id, name=user.name, team=user.team, state=state, since=AT)


@dataclass
class Clock:
    """Seconds that pass when told to."""

    now: float = 1000.0

    def __call__(self) -> float:
        """The time now."""
        return self.now


@dataclass
class Scene:
    """A running server with its people."""

    server: UiServer
    store: MemoryStore
    hub: PopHub
    health: Health
    settings: UiSettings
    users: dict[str, User]
    chosen: list[Touch] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Our own origin."""
        return f"http://127.0.0.1:{self.server.port}"

    async def cookie(self, login: str) -> str:
        """A fresh session's token, as if signed in by a link."""
        link = await self.server.auth.make_link(self.users[login].id)
        used = await self.server.auth.use_link(link)
        assert used is not None
        return used[0]

    @asynccontextmanager
    async def browser(self, login: str = "") -> AsyncIterator[aiohttp.ClientSession]:
        """A browser at our own page, signed in if `login` is given."""
        headers = {"Origin": self.url}
        cookies = {"santral_session": await self.cookie(login)} if login else {}
        jar = aiohttp.CookieJar(unsafe=True)  # takes cookies of bare addresses, as browsers do
        async with aiohttp.ClientSession(
            self.url, headers=headers, cookies=cookies, cookie_jar=jar
        ) as session:
            yield session

    @asynccontextmanager
    async def page(
        self, login: str = "", *, token: str = "", query: str = "", **options: Any
    ) -> AsyncIterator[Page]:
        """An open websocket of a signed-in user."""
        token = token or await self.cookie(login)
        async with self.socket(token, query=query, **options) as socket:
            yield Page(socket)

    def socket(
        self, token: str, *, query: str = "", origin: str | None = None, **options: Any
    ) -> connect:
        """A handshake with this cookie; `origin` is our own unless given, `""` sends none."""
        return connect(
            f"ws://127.0.0.1:{self.server.port}/api/v1/push{query}",
            additional_headers={"Cookie": f"santral_session={token}"} if token else {},
            origin=self.url if origin is None else (origin or None),  # type: ignore[arg-type]
            compression=None,
            **options,
        )


@dataclass
class Page:
    """The browser's end of a websocket."""

    socket: ClientConnection

    async def frame(self) -> dict[str, Any]:
        """The next frame."""
        async with asyncio.timeout(DEADLINE_S):
            got = json.loads(await self.socket.recv())
        assert isinstance(got, dict)
        return got

    async def until(self, kind: str) -> dict[str, Any]:
        """The next frame of this type; the ones before are skipped."""
        while (frame := await self.frame())["type"] != kind:
            pass
        return frame

    async def closed(self) -> int | None:
        """Wait for the end; its code."""
        async with asyncio.timeout(DEADLINE_S):
            await self.socket.wait_closed()
        return self.socket.close_code
