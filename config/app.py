"""The composition root: builds every part of the daemon, starts them in order and stops them.

What starts a part ends it. On a stop the sources go first, what they delivered is still logged,
then browsers are told to come back later, and the database closes last. The loss of a peer is a
loop with growing pauses inside its adapter and a red light in `/readyz`; any other error of a part
ends the whole process, so that a service supervisor starts it anew.
"""

from __future__ import annotations

import asyncio
import logging
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from agent_ui.health import Health
from agent_ui.hub import PopHub
from agent_ui.server import UiServer, serve_ui
from config.settings import Settings
from crm_core.db.schema import check, migrate
from crm_core.db.store import open_store
from crm_core.directory import Directory
from crm_core.errors import CoreError, StoreUnavailable
from crm_core.model import Party, Touch
from crm_core.notices import LinkChanged
from crm_core.phone import display, own_numbers
from crm_core.ports import Store
from cti.ami.link import LinkState
from cti.ami.source import AmiSource
from cti.clock import PbxClock
from cti.flight.recorder import OnBytes, recording
from cti.live import LiveBoard
from cti.queues import QueueBoard
from cti.recovery.files import RecordFiles
from cti.recovery.search import Search
from cti.service import CallService
from cti.settings import PbxSettings
from cti.tracker import CallTracker, EndpointRules
from mail.ingest import MailboxIngest, MailboxState
from mail.settings import MailboxSettings

log = logging.getLogger(__name__)

DIRECTORY_S = 5.0
"""How long a new user waits at the most until the rings of their phone are shown."""
TURN = 50
"""So many events of a PBX are worked on before others get their turn: a few milliseconds."""
DRAIN_S = 10.0
"""How long what was received may take to be logged when the daemon stops."""


class SchemaOutdatedError(CoreError):
    """The database was made by another version: run `santral migrate`."""

    code = "schema_outdated"


class StoppedBeforeStart(Exception):
    """The daemon was told to stop while it still waited for its database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """What the sources share."""

    store: Store
    hub: PopHub
    health: Health
    directory: Directory
    services: list[CallService] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class App(Core):
    """The running daemon, as the demo, the tests and the benchmarks see it."""

    settings: Settings
    ui: UiServer


async def serve(
    settings: Settings,
    *,
    stop: asyncio.Event | None = None,
    started: Callable[[App], None] = lambda _app: None,
) -> None:
    """Run the daemon until SIGTERM, SIGINT or `stop`; returns when everything is drained.

    Raises:
        SchemaOutdatedError: the database must be migrated first.
        ExceptionGroup: a part failed for good.
    """
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with running(settings, stop=stop) as app:
            started(app)
            await stop.wait()
            log.info("stopping", extra={"action": "stopping"})
    except StoppedBeforeStart:
        log.info("stopped while the database was away", extra={"action": "stopping"})
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    log.info("stopped", extra={"action": "stopped"})


@asynccontextmanager
async def running(settings: Settings, *, stop: asyncio.Event) -> AsyncIterator[App]:
    """Everything started; stopped in order when the block ends.

    A part that fails cancels the block.

    Raises:
        SchemaOutdatedError: the database must be migrated first.
        StoppedBeforeStart: `stop` was set while the database was away.
        OSError: the port of the page cannot be bound.
        ExceptionGroup: a part failed for good.
    """
    async with AsyncExitStack() as stack:
        directory = Directory()
        store = await _open_database(settings, directory, stop)
        stack.push_async_callback(store.close)

        health = Health()
        hub = PopHub(settings.web.push, display=_display_for(settings.web.region), health=health)
        for pbx in settings.pbx:
            health.expect(f"ami:{pbx.name}")
        for mailbox in settings.mailbox:
            health.expect(f"imap:{mailbox.name}")
        core = Core(store=store, hub=hub, health=health, directory=directory)

        def match_chosen(touch: Touch, recent: tuple[Touch, ...]) -> None:
            for service in core.services:
                service.match_chosen(touch, recent)

        ui = await stack.enter_async_context(
            serve_ui(settings.web, store=store, hub=hub, health=health, match_chosen=match_chosen)
        )
        sources_stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for pbx in settings.pbx:
                tasks.create_task(
                    _run_pbx(pbx, core, sources_stop, settings.recorder_directory(pbx)),
                    name=f"pbx {pbx.name}",
                )
            for mailbox in settings.mailbox:
                tasks.create_task(
                    _run_mailbox(mailbox, settings, core, sources_stop),
                    name=f"mailbox {mailbox.name}",
                )
            refresh = tasks.create_task(_keep_directory(store, directory), name="directory")
            try:
                yield App(
                    settings=settings,
                    store=store,
                    hub=hub,
                    health=health,
                    directory=directory,
                    services=core.services,
                    ui=ui,
                )
            finally:
                sources_stop.set()
                refresh.cancel()


async def _open_database(settings: Settings, directory: Directory, stop: asyncio.Event) -> Store:
    """Wait for the database, see that its schema is ours, open it, and learn the users."""
    settings.database.make_directory()
    url = settings.database.url.get_secret_value()
    pause = 0.5
    while True:
        try:
            await _see_to_schema(url)
            store = open_store(url)
            try:
                await _load_directory(store, directory)
            except BaseException:
                await store.close()
                raise
        except StoreUnavailable as error:
            log.warning(
                "the database is away, trying again: %s",
                error,
                extra={"action": "database_away"},
            )
        else:
            return store
        try:
            async with asyncio.timeout(pause * random.uniform(0.5, 1.0)):  # noqa: S311
                await stop.wait()
        except TimeoutError:
            pause = min(pause * 2, 15.0)
        else:
            raise StoppedBeforeStart


async def _see_to_schema(url: str) -> None:
    state = await check(url)
    if state.has is None:
        await migrate(url)
        log.info("a new database was made", extra={"action": "database_made"})
    elif not state.current:
        raise SchemaOutdatedError(
            f"the database has schema {state.has}, this version needs {state.needs}: "
            "run `santral migrate`"
        )


async def _load_directory(store: Store, directory: Directory) -> None:
    async with store.begin() as uow:
        directory.replace(await uow.users.all())


async def _keep_directory(store: Store, directory: Directory) -> None:
    """Notice users that were added or changed, also by the command line."""
    while True:
        await asyncio.sleep(DIRECTORY_S)
        try:
            await _load_directory(store, directory)
        except StoreUnavailable:
            log.debug("the directory could not be read again", extra={"action": "directory_stale"})


def _display_for(region: str) -> Callable[[Party], str]:
    def shown(party: Party) -> str:
        return display(party, region)

    return shown


# --- a PBX ----------------------------------------------------------------------------------------


async def _run_pbx(
    settings: PbxSettings, core: Core, stop: asyncio.Event, recordings: Path
) -> None:
    """Follow and record one PBX until `stop`, then log what was received."""
    async with recording(settings.recorder, recordings) as record:
        await _follow_pbx(settings, core, stop, record)


async def _follow_pbx(
    settings: PbxSettings,
    core: Core,
    stop: asyncio.Event,
    record: Callable[[], OnBytes] | None,
) -> None:
    light = f"ami:{settings.name}"

    def on_state(state: LinkState) -> None:
        since = datetime.fromtimestamp(state.since, UTC)
        core.health.set(light, up=state.up, message=state.reason, since=since)
        core.hub.publish(LinkChanged(name=light, up=state.up, since=since, message=state.reason))

    source = AmiSource(settings, on_state=on_state, recording=record)
    rules = settings.phone_rules()
    endpoints = EndpointRules(phones=settings.phones, trunks=settings.trunks)
    service = CallService(
        pbx=settings.name,
        tracker=CallTracker(settings.name, endpoints),
        store=core.store,
        publisher=core.hub,
        directory=core.directory,
        rules=rules,
        own=own_numbers(settings.own_numbers, rules),
        announced=lambda change: board.follow(change),  # noqa: PLW0108 - made below
        unsettled=(lambda unsettled: search.look_for(unsettled))  # noqa: PLW0108 - made below
        if settings.recovery.enabled
        else None,
    )
    search = Search(
        pbx=settings.name,
        sources=[
            RecordFiles(
                cdr_csv=settings.recovery.cdr_csv,
                cdr_columns=settings.recovery.cdr_columns,
                queue_log=settings.recovery.queue_log,
                cel_csv=settings.recovery.cel_csv,
                cel_columns=settings.recovery.cel_columns,
            )
        ],
        endpoints=endpoints,
        ledger=service.unseen,
        wait_s=settings.recovery.wait_s,
        longest_gap_s=settings.recovery.longest_gap_s,
    )
    board = LiveBoard(
        board=QueueBoard(settings.name, endpoints),
        service=service,
        store=core.store,
        publisher=core.hub,
        directory=core.directory,
        rules=rules,
        queues=settings.queues,
    )
    core.services.append(service)
    clock = PbxClock()

    async def follow() -> None:
        taken = 0
        async for received in source.received():
            event = clock.stamped(received.event, received.received_ns)
            service.take(event, received.received_ns)
            board.take(event)
            taken += 1
            if taken % TURN == 0:
                # A flood must not keep sockets and screens waiting, nor fill the memory.
                await asyncio.sleep(0)
                await service.room()

    async with asyncio.TaskGroup() as tasks:
        logging_calls = tasks.create_task(service.run(), name=f"calls {settings.name}")
        boarding = tasks.create_task(board.run(), name=f"board {settings.name}")
        following = tasks.create_task(follow(), name=f"follow {settings.name}")
        searching = tasks.create_task(search.run(), name=f"recovery {settings.name}")
        hearing = tasks.create_task(source.run(), name=f"ami {settings.name}")
        await stop.wait()
        hearing.cancel()
        searching.cancel()  # what it looked for is looked for again after the next start
        try:
            async with asyncio.timeout(DRAIN_S):
                await following
                service.close()
                await logging_calls
        except TimeoutError:
            log.error(  # noqa: TRY400 - how the time ran out is of no interest
                "%s: %d call changes could not be logged before the stop",
                settings.name,
                service.backlog,
                extra={"action": "drain_failed", "pbx": settings.name},
            )
            following.cancel()
            logging_calls.cancel()
        boarding.cancel()


# --- a mailbox ------------------------------------------------------------------------------------


async def _run_mailbox(
    settings: MailboxSettings, installation: Settings, core: Core, stop: asyncio.Event
) -> None:
    """Read one mailbox until `stop`; a mail that is being stored is stored."""
    light = f"imap:{settings.name}"

    def on_state(state: MailboxState) -> None:
        core.health.set(light, up=state.up, message=state.reason, since=state.since)
        core.hub.publish(
            LinkChanged(name=light, up=state.up, since=state.since, message=state.reason)
        )

    own = frozenset(address for box in installation.mailbox for address in box.ours)
    ingest = MailboxIngest(
        settings, store=core.store, publisher=core.hub, own=own, on_state=on_state
    )
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(ingest.run(), name=f"imap {settings.name}")
        await stop.wait()
        await ingest.stop()
        reading.cancel()
