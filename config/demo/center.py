"""The demo's contact center: the real daemon, between a demo PBX, a demo mailbox and you.

It lives in a temporary directory and is gone when it stops.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import random
import secrets
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from pydantic import SecretStr

from agent_ui.settings import UiSettings
from config.app import App, running
from config.demo.customers import customers
from config.demo.mailbox import ADDRESS, DemoMailbox, serve_mailbox
from config.demo.pbx import DemoPbx, Recording, parse_recording
from config.settings import DatabaseSettings, Settings
from crm_core.model import (
    Direction,
    Medium,
    Outcome,
    Party,
    PartyKind,
    PointKind,
    Role,
    UserId,
)
from crm_core.phone import PhoneRules, normalise
from crm_core.ports import ContactDraft, NewTouch
from crm_core.touches import match_party
from cti.settings import PbxSettings
from mail.settings import MailboxSettings

log = logging.getLogger(__name__)

PBX = "demo"
TEAM = "support"
DESK = "1001"
"""The phone of the agent whose desk you open."""

AGENTS = {
    "1001": ("ayse", "Ayşe Yılmaz"),
    "1002": ("jonas", "Jonas Weber"),
    "1003": ("olga", "Ольга Ёлкина"),
    "1004": ("brian", "Brian O'Neill"),
    "1005": ("zoe", "Zoë Müller"),
    "1006": ("ivan", "Ivan Petrov"),
}
SUPERVISOR = ("deniz", "Deniz Aksoy")

QUEUES = {
    "support": ("1001", "1002", "1003"),
    "sales": ("1003", "1004"),
    "office": ("1005", "1006"),
}

STORIES = {
    # Recording (tests/traces): how often it is played.
    "inbound/answered": 6,
    "inbound/callee_hangs_up": 3,
    "inbound/hold_and_resume": 3,
    "inbound/caller_cancels": 2,
    "inbound/no_answer": 1,
    "inbound/withheld_answered": 2,
    "outbound/answered": 2,
    "queue/ringall_answered": 5,
    "queue/ringall_abandoned": 2,
    "queue/agent_hangs_up": 3,
    "queue/rrmemory_first_no_answer_second_answers": 5,
    "queue/linear_all_in_turn_timed_out": 2,
    "ring_group/second_answers": 2,
}
FIRST_STORY = "inbound/answered"
SLOWNESS = 7.0
"""The recordings ring for 0.8 s and talk for 1.2 s; people need longer."""
MAIL_EVERY_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Caller:
    number: str
    name: str


async def run_center(port: int, *, stop: asyncio.Event) -> None:
    """Run the demo on the loopback until `stop`; prints the two sign-in links."""
    people = list(customers())
    draw = random.Random()  # noqa: S311 - which call comes next is no secret
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="santral-demo-")))
        pbx = await stack.enter_async_context(
            DemoPbx(
                username="santral",
                secret=secrets.token_hex(16),
                members={
                    queue: [(AGENTS[phone][1], f"PJSIP/{phone}") for phone in phones]
                    for queue, phones in QUEUES.items()
                },
            )
        )
        mailbox = await stack.enter_async_context(serve_mailbox())
        settings = _settings(directory, port, pbx, mailbox)
        app = await stack.enter_async_context(running(settings, stop=stop))
        desk, board = await _fill(app, people)
        await _remember(app, _first_callers(people), draw)
        ui = app.ui
        links = {user: await ui.auth.make_link(user) for user in (desk, board)}
        click.echo(f"Agent desk: {ui.url}/signin/{links[desk]}")
        # Another name of this machine: the two sign-ins do not share a cookie then.
        second = ui.url.replace("127.0.0.1", "localhost")
        click.echo(f"Supervisor: {second}/signin/{links[board]}")
        async with asyncio.TaskGroup() as tasks:
            playing = [
                tasks.create_task(_calls(pbx, app, people, draw), name="demo calls"),
                tasks.create_task(_mails(mailbox, people, draw), name="demo mails"),
                tasks.create_task(_remember_the_rest(app, people, draw), name="demo history"),
            ]
            await stop.wait()
            for task in playing:
                task.cancel()


def _settings(directory: Path, port: int, pbx: DemoPbx, mailbox: DemoMailbox) -> Settings:
    return Settings(
        teams=(TEAM,),
        database=DatabaseSettings(url=SecretStr(f"sqlite:///{directory / 'demo.sqlite3'}")),
        web=UiSettings(port=port),
        pbx=(
            PbxSettings(
                name=PBX,
                port=pbx.port,
                events_user=pbx.username,
                events_secret=SecretStr(pbx.secret),
                trunk_prefixes=("9",),
                queues=tuple(QUEUES),
            ),
        ),
        mailbox=(
            MailboxSettings(
                name=TEAM,
                host="127.0.0.1",
                port=mailbox.imap_port,
                tls="none",
                user=mailbox.user,
                password=SecretStr(mailbox.password),
                team=TEAM,
                own_addresses=(ADDRESS,),
                poll_s=30,
            ),
        ),
    )


async def _fill(app: App, people: Sequence[ContactDraft]) -> tuple[UserId, UserId]:
    """Bring in customers and users; returns the desk's user and the supervisor."""
    async with app.store.begin() as uow:
        users = [
            await uow.users.add(
                login=login,
                name=name,
                role=Role.AGENT.value,
                team=TEAM,
                phones=[(PBX, f"PJSIP/{phone}")],
            )
            for phone, (login, name) in AGENTS.items()
        ]
        supervisor = await uow.users.add(
            login=SUPERVISOR[0], name=SUPERVISOR[1], role=Role.SUPERVISOR.value, team=TEAM
        )
        await uow.contacts.upsert_many(list(people))
        await uow.commit()
    app.directory.replace([*users, supervisor])
    return users[0].id, supervisor.id


def _callers(people: Sequence[ContactDraft]) -> Sequence[ContactDraft]:
    """The customers who will call and write: enough of them, and some come again."""
    return people[: len(people) // 4]


def _first_callers(people: Sequence[ContactDraft]) -> list[ContactDraft]:
    """Those of whom the first caller is one."""
    return [person for person in _callers(people) if person.tier]


async def _remember_the_rest(app: App, people: Sequence[ContactDraft], draw: random.Random) -> None:
    """Write the history of all others while you look around, in steps that hold nobody up."""
    rest = [person for person in _callers(people) if not person.tier]
    for start in range(0, len(rest), 10):
        await _remember(app, rest[start : start + 10], draw)
        await asyncio.sleep(0.1)


async def _remember(app: App, people: Sequence[ContactDraft], draw: random.Random) -> None:
    """Some history of these customers over the last three months."""
    now = datetime.now(UTC)
    subjects = ("Invoice", "Delivery", "Contract", "Password", "Complaint")
    agents = [user for user in app.directory.all() if user.role is Role.AGENT]
    async with app.store.begin() as uow:
        for person in people:
            for number in range(draw.randint(1, 4)):
                phone = draw.random() < 0.7
                kind = PointKind.PHONE if phone else PointKind.EMAIL
                point = next(p for p in person.points if p.kind is kind)
                party = normalise(point.value, PhoneRules())
                if not phone:
                    party = _mail_party(point.value, person.name)
                match, _ = await match_party(uow, party, recent=0)
                at = now - timedelta(minutes=draw.randint(90, 90 * 24 * 60))
                talked = draw.random() < 0.8
                agent = draw.choice(agents) if talked and phone else None
                outcome = Outcome.RECEIVED
                if phone:
                    outcome = Outcome.ANSWERED if talked else Outcome.ABANDONED
                touch, _ = await uow.touches.open(
                    NewTouch(
                        key=f"demo:{person.external_id}:{number}",
                        medium=Medium.PHONE if phone else Medium.EMAIL,
                        direction=Direction.INBOUND,
                        outcome=outcome,
                        at=at,
                        party=party,
                        match=match,
                        agent=agent.id if agent else None,
                        team=TEAM,
                        subject="support" if phone else draw.choice(subjects),
                        ended_at=at + timedelta(minutes=3),
                        details={"queues": ["support"]} if phone else None,
                    )
                )
                if agent:
                    await uow.touches.change(touch.id, talk_s=float(draw.randint(20, 600)))
        await uow.commit()


def _mail_party(address: str, name: str) -> Party:
    return Party(kind=PartyKind.EMAIL, address=address, raw=address, name=name)


# --- what happens ---------------------------------------------------------------------------------


def recordings_directory() -> Path:
    """Where the recorded calls lie: in the package, or in a checkout beside the tests."""
    packaged = Path(__file__).parent / "recordings"
    if packaged.is_dir():
        return packaged
    return Path(__file__).parents[2] / "tests" / "traces"


def recordings() -> dict[str, Recording]:
    """The recorded calls that the demo plays, by name."""
    directory = recordings_directory()
    return {name: parse_recording(name, _read(directory / f"{name}.ami")) for name in STORIES}


def _read(path: Path) -> bytes:
    return (
        path.read_bytes()
        if path.exists()
        else gzip.decompress(path.with_name(path.name + ".gz").read_bytes())
    )


async def _calls(
    pbx: DemoPbx, app: App, people: Sequence[ContactDraft], draw: random.Random
) -> None:
    """Play calls, each to phones that are free; the first to your desk as soon as you look."""
    played = recordings()
    busy: set[str] = set()
    seen = False

    async def play(recording: Recording, *, first: bool = False) -> None:
        busy.update(recording.phones)
        caller = _somebody(people, draw, first=first)
        try:
            await pbx.play(recording, caller=caller.number, name=caller.name, slowness=SLOWNESS)
            await asyncio.sleep(draw.uniform(2, 5))
        finally:
            busy.difference_update(recording.phones)

    async with asyncio.TaskGroup() as tasks:
        while True:
            if not seen and app.hub.connected and DESK not in busy:
                tasks.create_task(play(played[FIRST_STORY], first=True), name="first call")
                seen = True
                await asyncio.sleep(1)
                continue
            free = {
                name: story
                for name, story in played.items()
                if not story.phones & busy and (seen or DESK not in story.phones)
            }
            if free and len(busy) < len(AGENTS):
                name = draw.choices(list(free), [STORIES[name] for name in free])[0]
                tasks.create_task(play(free[name]), name=f"call {name}")
            await asyncio.sleep(draw.uniform(1.5, 4) if seen else 1)


def _somebody(people: Sequence[ContactDraft], draw: random.Random, *, first: bool) -> _Caller:
    """Who calls: mostly a customer we know, sometimes from a switchboard, sometimes a stranger."""
    dice = draw.random()
    if not first and dice < 0.12:
        return _Caller(number=f"0212000{draw.randint(9000, 9999)}", name="")
    known = _callers(people)
    if not first and dice < 0.25:
        shared = [p for person in known for p in person.points if p.shared]
        return _Caller(number=draw.choice(shared).value, name="")
    person = draw.choice(_first_callers(people) if first else known)
    number = next(p.value for p in person.points if p.kind is PointKind.PHONE)
    # A trunk in Türkiye shows its own country's numbers in national form.
    return _Caller(number=f"0{number[3:]}" if number.startswith("+90") else number, name="")


async def _mails(mailbox: DemoMailbox, people: Sequence[ContactDraft], draw: random.Random) -> None:
    while True:
        await asyncio.sleep(MAIL_EVERY_S * draw.uniform(0.5, 1.5))
        await mailbox.deliver(draw.choice(_callers(people)), draw)
