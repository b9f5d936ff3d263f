"""Nobody is told what is not for them: random people, random notices, and the rules said anew here.

Every notice carries a mark. The rules below, written from docs and not from `agent_ui.session`, say
who may ever see it; then every frame that any browser got, live, by resume or in a snapshot, is
searched for marks.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from dataclasses import dataclass, field, replace

import pytest

from agent_ui.hub import PopHub, PushSession
from agent_ui.messages import Resume
from crm_core.model import Endpoint, Role, User, UserId
from crm_core.notices import (
    AgentChanged,
    CallChanged,
    LinkChanged,
    LiveAgent,
    LiveMember,
    LiveParticipant,
    LiveQueue,
    Notice,
    Noticed,
    PopShown,
    PopState,
    PopUpdated,
    PopWithdrawn,
    QueueChanged,
    TouchLogged,
    WithdrawReason,
)

from . import scene

MARK = re.compile(r"mark-\d+;")
TEAMS = ("", "support", "sales")


@dataclass
class World:
    """People with browsers, and what each of them may know."""

    dice: random.Random
    hub: PopHub = field(default_factory=PopHub)
    people: list[User] = field(default_factory=list)
    may_know: dict[UserId, set[str]] = field(default_factory=dict)
    browsers: dict[UserId, PushSession] = field(default_factory=dict)
    lost: dict[UserId, tuple[str, int]] = field(default_factory=dict)
    read: dict[UserId, int] = field(default_factory=dict)
    teams: dict[UserId, str] = field(default_factory=dict)
    queues: dict[tuple[str, str], tuple[LiveQueue, str]] = field(default_factory=dict)

    def some(self) -> tuple[UserId, ...]:
        """Up to three of the people."""
        chosen = self.dice.sample(self.people, self.dice.randint(0, 3))
        return tuple(user.id for user in chosen)

    def one(self) -> User:
        """One of the people."""
        return self.dice.choice(self.people)

    def agent_or_not(self) -> UserId | None:
        """Somebody, or nobody known."""
        return self.dice.choice([None, self.one().id])

    def sees_queue(self, user: User, queue: LiveQueue) -> bool:
        """A queue is for whose phone it rings, and for their team."""
        return any(
            member.agent == user.id
            or is_phone(user, queue.pbx, member.interface)
            or (member.agent is not None and self.teams.get(member.agent) == user.team)
            for member in queue.members
        )

    def notice(self, mark: str) -> tuple[Notice, set[UserId]]:
        """A notice with this mark, and who may know of it, overseers of everything aside."""
        dice = self.dice
        pbx = dice.choice(["main", "branch"])
        own = self.one()
        match dice.randrange(7):
            case 0:
                card = replace(scene.pop(own), id=f"{dice.randint(1, 3)}/{own.id}", note=mark)
                card = replace(card, state=dice.choice(list(PopState)))
                shown = PopShown(pop=card) if dice.random() < 0.5 else PopUpdated(pop=card)
                return shown, {own.id}
            case 1:
                reason = dice.choice(list(WithdrawReason))
                name = f"{dice.randint(1, 3)}/{own.id}"
                return PopWithdrawn(id=name, agent=own.id, reason=reason, by=mark), {own.id}
            case 2:
                call = replace(
                    scene.call(id_=f"call-{dice.randint(1, 4)}"),
                    pbx=pbx,
                    state=dice.choice(["ringing", "talking", "ended"]),
                    dialed=mark,
                    participants=tuple(
                        LiveParticipant(endpoint=f"PJSIP/{id_}", agent=self.agent_or_not(), name="")
                        for id_ in self.some()
                    ),
                )
                sees = {
                    user.id
                    for user in self.people
                    for each in call.participants
                    if each.agent == user.id or is_phone(user, pbx, each.endpoint)
                }
                return CallChanged(call=call), sees
            case 3:
                queue = LiveQueue(
                    pbx=pbx,
                    name=dice.choice(["one", "two"]),
                    entries=(replace(scene.queue().entries[0], name=mark),),
                    members=tuple(
                        LiveMember(
                            interface=f"PJSIP/{id_}",
                            name="",
                            agent=self.agent_or_not(),
                            state="idle",
                        )
                        for id_ in self.some()
                    ),
                )
                self.queues[queue.pbx, queue.name] = (queue, mark)
                return QueueChanged(queue=queue), {
                    user.id for user in self.people if self.sees_queue(user, queue)
                }
            case 4:
                team = dice.choice(TEAMS)
                agent: LiveAgent = replace(scene.agent(own), team=team, reason=mark)
                self.teams[own.id] = team
                for queue, earlier in self.queues.values():  # a new team-mate opens a queue
                    for user in self.people:
                        if self.sees_queue(user, queue):
                            self.may_know[user.id].add(earlier)
                return AgentChanged(agent=agent), {own.id} | self.of_team(team)
            case 5:
                team = dice.choice(TEAMS)
                touch = replace(scene.touch(agent=None, team=team), agent=self.agent_or_not())
                touch = replace(touch, subject=mark)
                told = self.some()
                team = dice.choice(TEAMS)
                sees = self.of_team(touch.team)
                if touch.agent is not None:
                    sees.add(touch.agent)
                return TouchLogged(touch=touch, agents=told, team=team), sees
            case _:
                told, team = self.some(), dice.choice(TEAMS)
                everybody = {user.id for user in self.people}
                sees = set(told) if told else self.of_team(team) if team else everybody
                return Noticed(code="x", values={"a": mark}, agents=told, team=team), sees

    def of_team(self, team: str) -> set[UserId]:
        """The people of a team."""
        return {user.id for user in self.people if user.team == team}

    def happens(self, mark: str) -> None:
        """One thing happens."""
        if self.dice.random() < 0.1:
            for user in self.people:
                if user.role is not Role.AGENT:
                    self.may_know[user.id].add(mark)
            self.hub.publish(LinkChanged(name="ami:main", up=True, since=scene.AT, message=mark))
            return
        notice, sees = self.notice(mark)
        personal = isinstance(notice, (PopShown, PopUpdated, PopWithdrawn)) or (
            isinstance(notice, Noticed) and bool(notice.agents)
        )
        for user in self.people:
            if user.id in sees or (user.role is not Role.AGENT and not personal):
                self.may_know[user.id].add(mark)
        self.hub.publish(notice)

    async def comes_back(self, user: User) -> None:
        """The browser loses the line, misses something, and asks for what somebody missed."""
        old = self.browsers[user.id]
        await self.check(user)
        self.lost[user.id] = (old.id, self.dice.randint(0, old.seq))
        self.hub.disconnect(old)
        self.happens(f"mark-{self.dice.randrange(10**9, 10**10)};")
        new = self.hub.connect(user, sign_in=bytes(user.id))
        self.browsers[user.id], self.read[user.id] = new, 0
        session, seq = self.dice.choice([*self.lost.values(), ("none", 0)])
        self.hub.start(new, Resume(type="resume", session=session, seq=seq))

    async def check(self, user: User) -> None:
        """Read all that came: numbered without a gap, and nothing that is not for this user."""
        browser = self.browsers[user.id]
        while self.read[user.id] < browser.seq:
            async with asyncio.timeout(scene.DEADLINE_S):
                text, _ = await browser.take()
            self.read[user.id] += 1
            assert json.loads(text)["seq"] == self.read[user.id]
            seen = set(MARK.findall(text.decode()))
            assert seen <= self.may_know[user.id], (user, text)


def is_phone(user: User, pbx: str, endpoint: str) -> bool:
    return Endpoint(pbx=pbx, name=endpoint) in user.phones


@pytest.mark.parametrize("seed", range(12))
async def test_nobody_is_told_what_is_not_for_them(seed: int) -> None:
    dice = random.Random(seed)
    world = World(dice)
    for number in range(1, 8):
        user = User(
            id=UserId(number),
            login=f"user{number}",
            name=f"User {number}",
            role=dice.choice([Role.AGENT, Role.AGENT, Role.AGENT, Role.SUPERVISOR, Role.ADMIN]),
            team=dice.choice(TEAMS),
            phones=(Endpoint(pbx=dice.choice(["main", "branch"]), name=f"PJSIP/{number}"),),
        )
        world.people.append(user)
        world.may_know[user.id] = set()
        world.browsers[user.id] = world.hub.connect(user, sign_in=bytes(number))
        world.read[user.id] = 0
        world.hub.start(world.browsers[user.id])
    for number in range(400):
        world.happens(f"mark-{number};")
        if dice.random() < 0.1:
            await world.comes_back(world.one())
        if number % 50 == 0:
            for user in world.people:
                await world.check(user)
    for user in world.people:
        await world.check(user)
    assert world.hub.metrics.notices_failed == 0
    assert world.hub.metrics.resumed > 0
    assert world.hub.metrics.resume_misses > 0
    assert all(world.may_know.values())
