"""The whole daemon: how it starts, what it survives, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from agent_ui.settings import UiSettings
from config.app import App, SchemaOutdatedError, StoppedBeforeStart, running, serve
from config.settings import DatabaseSettings, Settings
from crm_core.db.schema import migrate
from crm_core.db.store import open_store
from crm_core.errors import StoreUnavailable
from crm_core.model import Outcome, Touch
from crm_core.notices import Notice, PopShown
from cti.service import CallService
from cti.settings import LinkSettings, PbxSettings
from tests.config.calls import Call, channels_of
from tests.e2e.daemon import Daemon
from tests.lab.fixtures import available
from tests.lab.postgres import Postgres
from tests.servers.ami import AmiServer, Session

DEADLINE_S = 20.0
FLOOD_S = float(os.environ.get("SANTRAL_FLOOD_S", "3"))
"""How long the flood of events lasts; the database is away for the first quarter of it."""
FLOOD_RATE = 2000
QUICK = LinkSettings(retry_first_s=0.02, retry_most_s=0.1, ping_every_s=60)


def settings(database: Path | str, *ports: int) -> Settings:
    """An installation with a PBX at each of these ports."""
    url = database if isinstance(database, str) else f"sqlite:///{database / 'santral.sqlite3'}"
    return Settings(
        database=DatabaseSettings(url=SecretStr(url)),
        web=UiSettings(port=0),
        pbx=tuple(
            PbxSettings(
                name=f"pbx{number}",
                port=port,
                events_user="events",
                events_secret=SecretStr("s3cret"),
                link=QUICK,
            )
            for number, port in enumerate(ports)
        ),
    )


async def until(
    condition: Callable[[], bool | Awaitable[bool]], seconds: float = DEADLINE_S
) -> None:
    """Wait for what no event tells."""
    async with asyncio.timeout(seconds):
        while True:
            met = condition()
            if met if isinstance(met, bool) else await met:
                return
            await asyncio.sleep(0.01)


async def add_agent(app: App, login: str = "ece", phone: str = "PJSIP/1001") -> None:
    """An agent at a phone of the first PBX."""
    async with app.store.begin() as uow:
        await uow.users.add(
            login=login, name="Ece", role="agent", team="support", phones=[("pbx0", phone)]
        )
        await uow.commit()
        app.directory.replace(await uow.users.all())


def overhear(app: App) -> list[Notice]:
    """Everything that is published from now on."""
    heard: list[Notice] = []
    publish = app.hub.publish

    def listening(notice: Notice, *, received_ns: int | None = None) -> None:
        heard.append(notice)
        publish(notice, received_ns=received_ns)

    app.hub.publish = listening  # type: ignore[method-assign]
    return heard


async def touches(url: str) -> list[Touch]:
    """The history, read from the database itself."""
    store = open_store(url)
    try:
        found: list[Touch] = []
        async with store.begin() as uow:
            after: str | None = None
            while True:
                page, after = await uow.touches.page(limit=500, after=after)
                found += page
                if after is None:
                    return found
    finally:
        await store.close()


def url_of(given: Settings) -> str:
    return given.database.url.get_secret_value()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Somebody else holds the database's write lock, and lets nobody write."""
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
    finally:
        other.close()


async def light(app: App, name: str, *, up: bool) -> None:
    """Wait until the light is green, or red."""

    async def shines() -> bool:
        return any(check.name == name and check.up is up for check in await app.health.checks())

    await until(shines)


# --- start and stop -------------------------------------------------------------------------------


async def test_it_starts_and_stops_without_leaving_anything(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with AmiServer() as one, AmiServer() as two:
        given = settings(tmp_path / "new", one.port, two.port)
        async with running(given, stop=asyncio.Event()) as app:
            for number, pbx in enumerate((one, two)):
                await (await pbx.accepted()).go_live()
                await light(app, f"ami:pbx{number}", up=True)
            await light(app, "database", up=True)
            assert {check.name for check in await app.health.checks()} == {
                "ami:pbx0",
                "ami:pbx1",
                "database",
            }
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await asyncio.open_connection("127.0.0.1", app.ui.port)
    await until(lambda: asyncio.all_tasks() <= before, 5)
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0


async def test_what_was_received_is_logged_before_it_stops(tmp_path: Path) -> None:
    """The database is busy when the daemon is told to stop."""
    call = Call()
    async with AmiServer() as pbx:
        given = settings(tmp_path, pbx.port)
        async with running(given, stop=asyncio.Event()) as app:
            session = await pbx.accepted()
            await session.go_live()
            await light(app, "ami:pbx0", up=True)
            (service,) = app.services
            lock = locked(tmp_path / "santral.sqlite3")
            lock.__enter__()
            for event in call.copies(range(20)):
                session.send(event)
            await until(lambda: service.metrics.events >= 20 * len(call.events))
            assert service.backlog
            asyncio.get_running_loop().call_later(0.3, lock.__exit__, None, None, None)
    found = await touches(url_of(given))
    assert [touch.outcome for touch in found] == [Outcome.ANSWERED] * 20


async def test_it_does_not_wait_for_ever_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("config.app.DRAIN_S", 0.2)
    monkeypatch.setattr("crm_core.db.engine._BUSY_TIMEOUT_MS", 50)
    async with AmiServer() as pbx, AsyncExitStack() as stack:
        given = settings(tmp_path, pbx.port)
        app = await stack.enter_async_context(running(given, stop=asyncio.Event()))
        session = await pbx.accepted()
        await session.go_live()
        await light(app, "ami:pbx0", up=True)
        with locked(tmp_path / "santral.sqlite3"):
            for event in Call().copy(1):
                session.send(event)
            await until(lambda: app.services[0].backlog > 0)
            async with asyncio.timeout(5):
                await stack.aclose()
    assert "drain_failed" in _actions(caplog)
    assert not await touches(url_of(given))


def _actions(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [getattr(record, "action", "") for record in caplog.records]


async def test_the_database_of_another_version_is_refused(tmp_path: Path) -> None:
    await _outdated(tmp_path)
    with pytest.raises(SchemaOutdatedError, match="run `santral migrate`"):
        async with running(settings(tmp_path), stop=asyncio.Event()):
            pass


async def _outdated(directory: Path) -> None:
    path = directory / "santral.sqlite3"
    await migrate(f"sqlite:///{path}")
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = 'long_ago'")
    database.close()


async def test_told_to_stop_while_the_database_is_away() -> None:
    given = settings("postgresql://nobody@127.0.0.1:1/none")
    stop = asyncio.Event()
    stop.set()
    with pytest.raises(StoppedBeforeStart):
        async with running(given, stop=stop):
            pass
    await serve(given, stop=stop)  # nothing went wrong
    async with asyncio.timeout(DEADLINE_S):
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.3, stop.set)
        await serve(given, stop=stop)


async def test_a_part_that_fails_ends_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(self: CallService) -> None:
        await self._wake.wait()
        raise RuntimeError("this part is broken")

    monkeypatch.setattr(CallService, "run", broken)
    before = asyncio.all_tasks()
    async with AmiServer() as pbx:
        with pytest.raises(ExceptionGroup) as failed:  # noqa: PT012 - it is the block that fails
            async with running(settings(tmp_path, pbx.port), stop=asyncio.Event()):
                session = await pbx.accepted()
                await session.go_live()
                await asyncio.Event().wait()
        assert failed.group_contains(RuntimeError, match="this part is broken")
    await until(lambda: asyncio.all_tasks() <= before, 5)


# --- as a process ---------------------------------------------------------------------------------


def toml(url: str, *ports: int) -> str:
    """The settings of `settings` as an operator writes them."""
    text = f'[database]\nurl = "{url}"\n[web]\nport = 0\n'
    for number, port in enumerate(ports):
        text += f'[[pbx]]\nname = "pbx{number}"\nport = {port}\n'
        text += 'events_user = "events"\nevents_secret = "s3cret"\n'
        text += "[pbx.link]\nretry_first_s = 0.05\nretry_most_s = 0.2\n"
    return text


async def run_serve(text: str, directory: Path, code: str = "") -> tuple[int, str]:
    """Run `santral serve` until it ends by itself; its exit code and what it said."""
    file = directory / "santral.toml"
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        f"{code}\nfrom config.cli import main; main(prog_name='santral')",
        *("serve", "-c", str(file)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_the_process_says_that_the_schema_is_of_another_version(tmp_path: Path) -> None:
    await _outdated(tmp_path)
    code, said = await run_serve(toml(f"sqlite:///{tmp_path}/santral.sqlite3"), tmp_path)
    assert code == 1
    assert "run `santral migrate`" in said
    assert "Traceback" not in said


async def test_the_process_says_which_part_failed(tmp_path: Path) -> None:
    broken = (
        "import cti.service\n"
        "async def run(self): raise RuntimeError('this part is broken')\n"
        "cti.service.CallService.run = run\n"
    )
    text = toml(f"sqlite:///{tmp_path}/santral.sqlite3", 1) + '[log]\nformat = "json"\n'
    code, said = await run_serve(text, tmp_path, broken)
    assert code == 1
    critical = [json.loads(line) for line in said.splitlines() if '"critical"' in line]
    assert len(critical) == 1
    assert "this part is broken" in critical[0]["event"]


async def test_sigterm_drains_and_exits_0(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/santral.sqlite3"
    async with AmiServer() as pbx:
        daemon = Daemon(tmp_path, toml(url, pbx.port))
        starting = asyncio.ensure_future(daemon.start())  # noqa: TID251 - awaited below
        session = await _accepted(pbx)
        await session.go_live()
        await starting
        await daemon.said("pbx_up")
        for event in Call().copies(range(30)):
            session.send(event)
        await daemon.said("call_started")
        assert await daemon.stop() == 0
        assert daemon.lines[-1]["action"] == "stopped"
    for touch in await touches(url):
        assert touch.outcome in {Outcome.ANSWERED, Outcome.IN_PROGRESS}


async def _accepted(pbx: AmiServer) -> Session:
    """The daemon needs a moment to start."""
    async with asyncio.timeout(DEADLINE_S):
        return await pbx._accepted.get()


# --- peers that go away ---------------------------------------------------------------------------


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A PostgreSQL of this test alone, to be stopped."""
    with available():
        server = Postgres()
    with server:
        yield server


async def lights(daemon: Daemon) -> dict[str, bool]:
    """What `/readyz` says."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{daemon.url}/readyz") as answer,
    ):
        body: dict[str, Any] = await answer.json()
        found = {check["name"]: bool(check["up"]) for check in body["checks"]}
        assert (answer.status == 200) == all(found.values())
        return found


async def until_light(daemon: Daemon, name: str, *, up: bool) -> None:
    """Wait until the light is green, or red."""

    async def shines() -> bool:
        return (await lights(daemon))[name] is up

    await until(shines)


@pytest.mark.postgres
async def test_a_database_that_goes_away_and_comes_back(
    own_postgres: Postgres, tmp_path: Path
) -> None:
    url = own_postgres.url(own_postgres.create_database())
    own_postgres.stop()
    call = Call()
    async with AmiServer() as pbx:
        daemon = Daemon(tmp_path, toml(url, pbx.port))
        starting = asyncio.ensure_future(daemon.start())  # noqa: TID251 - awaited below
        try:
            # Away at the start: it waits.
            await until(lambda: _said(daemon, "database_away") > 0)
            assert not starting.done()
            await asyncio.to_thread(own_postgres.start)
            session = await _accepted(pbx)
            await session.go_live()
            await starting
            await daemon.said("pbx_up")
            await until_light(daemon, "database", up=True)

            # Away while calls come: they are logged later, once each.
            for event in call.copies(range(3)):
                session.send(event)
            await daemon.said("call_ended")
            await asyncio.to_thread(own_postgres.stop)
            await until_light(daemon, "database", up=False)
            assert (await lights(daemon))["ami:pbx0"]
            for event in call.copies(range(3, 13)):
                session.send(event)
            await asyncio.to_thread(own_postgres.start)
            await until_light(daemon, "database", up=True)
            await until(lambda: _said(daemon, "call_ended") == 13)
            assert await daemon.stop() == 0
        finally:
            await daemon.stop()
            await starting
    found = await touches(url)
    assert [touch.outcome for touch in found] == [Outcome.ANSWERED] * 13


def _said(daemon: Daemon, action: str) -> int:
    return sum(line.get("action") == action for line in daemon.lines)


async def test_a_link_that_breaks_during_a_ring_is_one_touch(tmp_path: Path) -> None:
    call = Call()
    events = call.copy(1)
    rings = next(i for i, event in enumerate(events) if b"StateDesc: Ringing" in event) + 1
    async with AmiServer() as pbx:
        given = settings(tmp_path, pbx.port)
        async with running(given, stop=asyncio.Event()) as app:
            await add_agent(app)
            notices = overhear(app)
            session = await pbx.accepted()
            await session.go_live()
            for event in events[:rings]:
                session.send(event)
            await until(lambda: any(isinstance(n, PopShown) for n in notices))
            session.reset()
            await light(app, "ami:pbx0", up=False)
            session = await pbx.accepted()
            await session.go_live(*channels_of(events[:rings]))
            await light(app, "ami:pbx0", up=True)
            for event in events[rings:]:
                session.send(event)
            await until(lambda: not app.services[0].calls() and not app.services[0].backlog)
        assert len([n for n in notices if isinstance(n, PopShown)]) == 1
    (touch,) = await touches(url_of(given))
    assert (touch.outcome, touch.agent_name) == (Outcome.ANSWERED, "Ece")
    assert touch.details["partial"] is True


async def test_a_restart_during_a_talk_is_one_touch(tmp_path: Path) -> None:
    call = Call()
    events = call.copy(1)
    talks = max(i for i, event in enumerate(events) if b"Event: BridgeEnter" in event) + 1
    async with AmiServer() as pbx:
        given = settings(tmp_path, pbx.port)
        async with running(given, stop=asyncio.Event()) as app:
            await add_agent(app)
            session = await pbx.accepted()
            await session.go_live()
            for event in events[:talks]:
                session.send(event)
            await until(lambda: app.services[0].metrics.events >= talks)
        listed = [
            channel.replace(b"BridgeId: \r\n", b"BridgeId: the-same\r\n")
            for channel in channels_of(events[:talks])
        ]
        async with running(given, stop=asyncio.Event()) as app:
            notices = overhear(app)
            session = await pbx.accepted()
            await session.go_live(*listed)
            await until(lambda: any(isinstance(n, PopShown) for n in notices))
            for event in events[talks:]:
                session.send(event)
            await until(lambda: not app.services[0].calls() and not app.services[0].backlog)
    (touch,) = await touches(url_of(given))
    assert (touch.outcome, touch.agent_name) == (Outcome.ANSWERED, "Ece")


async def test_a_new_user_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("config.app.DIRECTORY_S", 0.05)
    async with running(settings(tmp_path), stop=asyncio.Event()) as app:
        store = open_store(url_of(app.settings))  # as the command line does
        async with store.begin() as uow:
            await uow.users.add(
                login="ece", name="Ece", role="agent", phones=[("pbx0", "PJSIP/1001")]
            )
            await uow.commit()
        await store.close()
        await until(lambda: app.directory.at("pbx0", "PJSIP/1001") is not None)


async def test_users_who_cannot_be_read_again_stay_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("config.app.DIRECTORY_S", 0.01)
    async with running(settings(tmp_path), stop=asyncio.Event()) as app:
        await add_agent(app)
        tried = asyncio.Event()

        def away() -> None:
            tried.set()
            raise StoreUnavailable("gone")

        monkeypatch.setattr(app.store, "begin", away)
        await asyncio.wait_for(tried.wait(), DEADLINE_S)
        assert app.directory.at("pbx0", "PJSIP/1001") is not None
        monkeypatch.undo()


# --- flood ----------------------------------------------------------------------------------------


@pytest.mark.timeout(300)
async def test_a_flood_while_the_database_is_away(tmp_path: Path) -> None:
    """Reading never stops, the memory stays small, and every call is logged once."""
    call = Call()
    calls_a_second = FLOOD_RATE // len(call.events)
    rounds = int(FLOOD_S * 10)
    a_round = calls_a_second // 10
    slowest = 0.0
    memory_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with AmiServer() as pbx:
        given = settings(tmp_path, pbx.port)
        async with running(given, stop=asyncio.Event()) as app:
            await add_agent(app)
            session = await pbx.accepted()
            await session.go_live()
            await light(app, "ami:pbx0", up=True)
            (service,) = app.services
            lock = locked(tmp_path / "santral.sqlite3")
            lock.__enter__()
            start = time.monotonic()
            for number in range(rounds):
                numbers = range(number * a_round, (number + 1) * a_round)
                session.send(b"".join(call.copies(numbers)))
                began = time.monotonic()
                await session.writer.drain()
                slowest = max(slowest, time.monotonic() - began)
                if number == rounds // 4:
                    assert service.backlog, "the database was not away"
                    lock.__exit__(None, None, None)
                await asyncio.sleep(max(0.0, start + (number + 1) / 10 - time.monotonic()))
            await until(lambda: service.metrics.events >= rounds * a_round * len(call.events), 120)
            await until(lambda: not service.backlog, 120)
            assert not service.calls()
            assert service.metrics.skipped == 0
            assert pbx.connections == 1, "the link was dropped"
    assert slowest < 1.0
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_before) / 1024
    assert grown_mib < 200
    found = await touches(url_of(given))
    assert len(found) == rounds * a_round
    assert {touch.outcome for touch in found} == {Outcome.ANSWERED}
