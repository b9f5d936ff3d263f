"""Mails on a server become touches, once each, whatever breaks on the way."""

# ruff: noqa: D101, D102 - small fakes, read where they are used

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from pydantic import SecretStr

from crm_core.db.schema import migrate
from crm_core.db.store import open_store
from crm_core.errors import StoreUnavailable
from crm_core.memory import MemoryStore
from crm_core.model import ContactPoint, Direction, MatchResult, Outcome, PointKind, Role, Touch
from crm_core.notices import Notice, Noticed, TouchLogged
from crm_core.ports import ContactDraft, Store, UnitOfWork
from mail.errors import ParserUnavailable
from mail.ingest import MailboxIngest, MailboxState
from mail.limited import LimitedParser
from mail.model import ParsedMail
from mail.parse import headers_only
from mail.settings import MailboxSettings
from tests.lab.dovecot import Dovecot
from tests.servers.imap import Peer, ScriptedImap, recording_proxy

DEADLINE = 20


def mail(
    number: int = 1,
    *,
    sender: str = "Ayşe Yılmaz <ayse@customer.example>",
    to: str = "support@santral.example",
    extra: str = "",
    body: str = "",
) -> bytes:
    return (
        f"From: {sender}\r\nTo: {to}\r\nSubject: Question {number}\r\n"
        f"Message-ID: <{number}@customer.example>\r\nDate: Mon, 02 Mar 2026 10:00:00 +0300\r\n"
        f"{extra}\r\nHello number {number}\r\n{body}"
    ).encode()


class Screens:
    """Everything that was published."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self.changed = asyncio.Event()

    def publish(self, notice: Notice, *, received_ns: int | None = None) -> None:  # noqa: ARG002
        self.notices.append(notice)
        self.changed.set()

    @property
    def touches(self) -> list[TouchLogged]:
        return [notice for notice in self.notices if isinstance(notice, TouchLogged)]

    def said(self, code: str) -> list[Noticed]:
        return [n for n in self.notices if isinstance(n, Noticed) and n.code == code]


class Running:
    """An ingest that runs, with what it tells."""

    def __init__(self, ingest: MailboxIngest, screens: Screens, states: list[MailboxState]) -> None:
        self.ingest = ingest
        self.screens = screens
        self.states = states
        self.changed = asyncio.Event()

    async def until(self, holds: Callable[[], bool], *, seconds: float = DEADLINE) -> None:
        """Wait until it holds; looked at whenever something is told."""
        async with asyncio.timeout(seconds):
            while not holds():
                self.changed.clear()
                self.screens.changed.clear()
                waits = [
                    asyncio.create_task(event.wait())  # noqa: TID251 - ended right below
                    for event in (self.changed, self.screens.changed)
                ]
                # Metrics tell nobody, so look now and then in any case.
                await asyncio.wait(waits, timeout=0.02, return_when=asyncio.FIRST_COMPLETED)
                for wait in waits:
                    wait.cancel()
                await asyncio.gather(*waits, return_exceptions=True)

    async def up(self) -> None:
        await self.until(lambda: self.ingest.state.up)

    async def received(self, count: int, *, seconds: float = DEADLINE) -> None:
        await self.until(lambda: self.ingest.metrics.received >= count, seconds=seconds)


@contextlib.asynccontextmanager
async def reading(
    port: int,
    store: Store,
    *,
    own: frozenset[str] = frozenset(),
    parser: LimitedParser | None = None,
    **changes: Any,
) -> AsyncIterator[Running]:
    """Read the mailbox until the end of the block."""
    settings = MailboxSettings(
        **{
            "name": "support",
            "host": "127.0.0.1",
            "port": port,
            "tls": "none",
            "user": "support@santral.example",
            "password": SecretStr("correct horse"),
            "team": "support",
            "own_addresses": ("support@santral.example",),
            "poll_s": 1,
            "answer_s": 5,
            "retry_first_s": 0.05,
            "retry_most_s": 0.1,
            **changes,
        }
    )
    screens, states = Screens(), list[MailboxState]()
    ingest = MailboxIngest(
        settings, store=store, publisher=screens, own=own, on_state=states.append, parser=parser
    )
    running = Running(ingest, screens, states)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(ingest.run())
        try:
            yield running
        finally:
            await ingest.stop()
            task.cancel()


async def history(store: Store) -> list[Touch]:
    """All touches, newest first."""
    found: list[Touch] = []
    after = None
    while True:
        async with store.begin() as uow:
            page, after = await uow.touches.page(after=after, limit=500)
        found += page
        if after is None:
            return found


async def add_ayse(store: Store, *, owner: str = "") -> None:
    async with store.begin() as uow:
        await uow.users.add(login="deniz", name="Deniz", role=Role.AGENT, team="support")
        await uow.contacts.upsert(
            ContactDraft(
                name="Ayşe Yılmaz",
                account="Acme",
                owner=owner,
                points=(ContactPoint(kind=PointKind.EMAIL, value="ayse@customer.example"),),
            )
        )
        await uow.commit()


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    url = f"sqlite:///{tmp_path / 'santral.db'}"
    await migrate(url)
    opened = open_store(url)
    yield opened
    await opened.close()


async def test_a_mail_arrives(store: Store) -> None:
    await add_ayse(store, owner="deniz")
    async with ScriptedImap() as server:
        server.put(mail(99))  # it was there before we came
        async with reading(server.port, store) as running:
            await running.up()
            await server.deliver(mail(1, extra="X-Bonus: \x00\xff\r\n"))
            await running.received(1)
        [touch] = await history(store)
    assert touch.direction is Direction.INBOUND
    assert touch.outcome is Outcome.RECEIVED
    assert touch.subject == "Question 1"
    assert touch.key.startswith("mail:")
    assert touch.match.result is MatchResult.KNOWN
    assert touch.match.contact is not None
    assert (touch.party.address, touch.party.name) == ("ayse@customer.example", "Ayşe Yılmaz")
    assert touch.team == "support"
    assert touch.details["message_id"] == "1@customer.example"
    assert touch.details["preview"] == "Hello number 1"
    assert abs(touch.at - datetime.now(UTC)) < timedelta(minutes=1)
    [logged] = running.screens.touches
    assert (logged.touch.id, logged.agents) == (touch.id, (touch.match.contact.owner,))
    [noticed] = running.screens.said("mail_received")
    assert noticed.values["from"] == "Ayşe Yılmaz"
    assert noticed.agents == logged.agents
    assert running.states[0].up
    async with store.begin() as uow:
        folder = await uow.mail.folder("support", b"INBOX")
        assert folder is not None
        assert folder.last_uid == 2
        assert await uow.mail.known_uids(folder) == {2}


async def test_an_unknown_sender_goes_to_the_team() -> None:
    store = MemoryStore()
    async with ScriptedImap() as server, reading(server.port, store) as running:
        await running.up()
        await server.deliver(mail(1))
        await running.received(1)
    [logged] = running.screens.touches
    assert logged.touch.match.result is MatchResult.UNKNOWN
    assert (logged.agents, logged.team) == ((), "support")


async def test_our_own_mail_is_outgoing_and_robots_ring_no_bell() -> None:
    store = MemoryStore()
    await add_ayse(store)
    async with ScriptedImap() as server:
        server.folders[b"Sent"] = type(server.folders[b"INBOX"])()
        async with reading(
            server.port,
            store,
            folders=("INBOX", "Sent"),
            own=frozenset({"@santral.example"}),
        ) as running:
            await running.up()
            server.put(
                mail(1, sender="deniz@santral.example", to="Ayse <AYSE@customer.example>"),
                folder=b"Sent",
            )
            await server.deliver(mail(2, extra="Auto-Submitted: auto-replied\r\n"))
            await server.deliver(mail(3, sender="a@santral.example", to="b@santral.example"))
            await running.received(3)
    touches = {touch.subject: touch for touch in await history(store)}
    sent = touches["Question 1"]
    assert (sent.direction, sent.outcome) == (Direction.OUTBOUND, Outcome.SENT)
    assert sent.match.result is MatchResult.KNOWN
    assert touches["Question 2"].direction is Direction.INBOUND
    assert touches["Question 3"].direction is Direction.INTERNAL
    assert touches["Question 3"].match.result is MatchResult.OWN
    assert running.screens.said("mail_received") == []


async def test_one_mail_in_many_places_is_one_touch(store: Store) -> None:
    async with ScriptedImap() as server:
        server.folders[b"Archive"] = type(server.folders[b"INBOX"])()
        async with reading(server.port, store, folders=("INBOX", "Archive")) as running:
            await running.up()
            copy = b"Received: from elsewhere\r\n" + mail(1).replace(
                b"\r\n\r\nHello", b"\r\n\r\nHello"
            )
            server.put(copy, folder=b"Archive")
            await server.deliver(mail(1))
            await server.deliver(mail(1))
            # The same Message-ID on another mail: some senders use one for all they send.
            await server.deliver(mail(1, body="but this is something else"))
            await running.until(
                lambda: running.ingest.metrics.received + running.ingest.metrics.known >= 4
            )
    assert len(await history(store)) == 2
    assert running.ingest.metrics.known == 2


async def test_old_mail_is_read_when_wanted_and_tells_nobody() -> None:
    store = MemoryStore()
    now = datetime.now(UTC)
    async with ScriptedImap() as server:
        for number, days in enumerate((40, 5, 4, 3), 1):
            server.put(mail(number), at=now - timedelta(days=days))
        async with reading(server.port, store, backfill_days=10) as running:
            await running.received(3)
            await running.up()
    assert sorted(touch.subject for touch in await history(store)) == [
        "Question 2",
        "Question 3",
        "Question 4",
    ]
    assert running.screens.notices == []


async def test_old_mail_that_is_moved_here_rings_no_bell(store: Store) -> None:
    """Whoever copies an archive into the folder does not ring a bell for each of its mails."""
    now = datetime.now(UTC)
    async with ScriptedImap() as server, reading(server.port, store) as running:
        await running.up()
        for number, days in enumerate((400, 8, 3), 1):
            server.put(mail(number), at=now - timedelta(days=days))
        await server.notify()
        await running.received(3)
    assert len(running.screens.touches) == 3
    assert [notice.values["subject"] for notice in running.screens.said("mail_received")] == [
        "Question 3"
    ]
    assert [(now - touch.at).days for touch in await history(store)] == [3, 8, 400]


async def test_new_mail_does_not_wait_behind_old_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in its own folder nor in another, however much is to be read there."""
    monkeypatch.setattr("mail.ingest.BATCH", 3)
    store = MemoryStore()
    folders = ("INBOX", "Archive")
    now = datetime.now(UTC)
    order: list[str] = []
    async with ScriptedImap() as server:
        for number in range(10):
            for name in folders:
                at = now - timedelta(days=5, minutes=-number)
                server.put(mail(number, body=name), folder=name.encode(), at=at)

        async def fetched(peer: Peer, _tag: str, rest: str) -> bool:
            if "BODY" in rest:
                box = "INBOX" if peer.folder is server.folders[b"INBOX"] else "Archive"
                order.append(f"{box} {rest.partition(' ')[0]}")
                if len(order) == 4:
                    server.put(mail(99))  # while the first old ones are being read
            return False

        server.on("FETCH", fetched)
        async with reading(server.port, store, folders=folders, backfill_days=10) as running:
            await running.received(21)
            await running.up()
    # The newest of the old ones first, a batch of each folder in turn; the live one as soon as
    # its folder is looked at.
    assert order[:6] == [*(f"Archive {n}" for n in (10, 9, 8)), *(f"INBOX {n}" for n in (10, 9, 8))]
    assert order[6:10] == [*(f"Archive {n}" for n in (7, 6, 5)), "INBOX 11"]
    assert len(order) == len(set(order)) == 21
    assert [notice.values["subject"] for notice in running.screens.said("mail_received")] == [
        "Question 99"
    ]


async def test_the_mailboxs_own_address_needs_no_setting() -> None:
    """What its user wrote elsewhere and is found in Sent is no mail of a stranger."""
    store = MemoryStore()
    async with ScriptedImap() as server:
        server.folders[b"Sent"] = type(server.folders[b"INBOX"])()
        async with reading(
            server.port, store, folders=("INBOX", "Sent"), own_addresses=()
        ) as running:
            await running.up()
            server.put(
                mail(1, sender="Support@Santral.Example", to="ayse@customer.example"),
                folder=b"Sent",
            )
            await running.received(1)
    [touch] = await history(store)
    assert (touch.direction, touch.outcome) == (Direction.OUTBOUND, Outcome.SENT)
    assert touch.party.address == "ayse@customer.example"


# Faults


class Clumsy(LimitedParser):
    """A parser that stumbles over its first mails."""

    def __init__(self, *falls: Exception | Callable[[bytes], ParsedMail]) -> None:
        super().__init__()
        self.falls = list(falls)

    async def parse(self, raw: bytes, *, complete: bool = True) -> ParsedMail:
        if not self.falls:
            return await super().parse(raw, complete=complete)
        match self.falls.pop(0):
            case Exception() as error:
                raise error
            case fall:
                return fall(raw)


async def test_a_parser_that_cannot_be_started_is_waited_for() -> None:
    """It is no fault of the mail, which is not set aside for it."""
    no = ParserUnavailable("the mail parser cannot be started: no memory")
    store = MemoryStore()
    async with (
        Clumsy(no, no, no) as parser,
        ScriptedImap() as server,
        reading(server.port, store, parser=parser, max_attempts=2) as running,
    ):
        await running.up()
        await server.deliver(mail(1))
        await running.received(1)
        await running.up()
    assert running.ingest.metrics.failed == 0
    assert running.screens.said("mail_set_aside") == []
    assert [state.up for state in running.states] == [True, False, True]
    assert "no memory" in running.states[1].reason


async def test_a_mail_that_was_too_much_once_is_the_same_mail_the_next_time(store: Store) -> None:
    """The copy of a mail is parsed whole, after a busy machine read only the headers."""
    async with (
        Clumsy(headers_only) as parser,
        ScriptedImap() as server,
        reading(server.port, store, parser=parser) as running,
    ):
        await running.up()
        await server.deliver(mail(1))
        await server.deliver(mail(1))
        await running.until(lambda: running.ingest.metrics.known == 1)
    [touch] = await history(store)
    assert touch.details["parse_state"] == "headers_only"


async def test_mails_set_aside_are_seen_in_the_state_until_they_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mail.ingest.ASIDE", timedelta(milliseconds=200))
    async with ScriptedImap() as server:

        async def refuse(peer: Peer, tag: str, rest: str) -> bool:
            if rest.startswith("1 "):
                await peer.send(f"{tag} NO this mail is broken")
                return True
            return False

        server.on("FETCH", refuse)
        async with reading(server.port, MemoryStore(), max_attempts=1) as running:
            await running.up()
            await server.deliver(mail(1))
            await server.deliver(mail(2))
            await running.until(lambda: "set aside" in running.ingest.state.reason)
            assert running.ingest.state.up
            server.usual("FETCH")
            await running.received(2)
            await running.until(lambda: not running.ingest.state.reason)


async def test_a_bad_mail_does_not_stop_the_folder(store: Store) -> None:
    """The server refuses one mail, and hangs up on another."""
    async with ScriptedImap() as server:

        async def trap(peer: Peer, tag: str, rest: str) -> bool:
            if rest.startswith("3 "):
                await peer.send(
                    f"{tag} NO [SERVERBUG] this mail is broken".replace("SERVERBUG", "X")
                )
                return True
            if rest.startswith("5 "):
                await peer.send_bytes(b"* 5 FETCH (UID 5 BODY[]<0> {4000}\r\nbroken off")
                peer.hang_up()
                return True
            return False

        server.on("FETCH", trap)
        async with reading(server.port, store, max_attempts=1) as running:
            await running.up()
            for number in range(1, 9):
                await server.deliver(mail(number))
            await running.received(6)
            await running.until(lambda: len(running.screens.said("mail_set_aside")) == 2)
            subjects = {touch.subject for touch in await history(store)}
            assert subjects == {f"Question {n}" for n in (1, 2, 4, 6, 7, 8)}
            async with store.begin() as uow:
                folder = await uow.mail.folder("support", b"INBOX")
                assert folder is not None
                # What was set aside is not lost: it is tried again, only rarely.
                waiting = await uow.mail.pending(
                    folder, at=datetime.now(UTC) + timedelta(days=1), limit=10
                )
        assert [item.uid for item in waiting] == [3, 5]
        assert "this mail is broken" in waiting[0].last_error


async def test_a_mail_that_cannot_be_logged_is_kept_and_passed_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    log_it = MailboxIngest._log

    async def stumbles(self: MailboxIngest, *arguments: Any) -> Any:
        if b"Hello number 2" in arguments[2].raw:
            raise RuntimeError("a defect of ours")
        return await log_it(self, *arguments)

    monkeypatch.setattr(MailboxIngest, "_log", stumbles)
    async with (
        ScriptedImap() as server,
        reading(server.port, store, max_attempts=1) as running,
    ):
        await running.up()
        for number in (1, 2, 3):
            await server.deliver(mail(number))
        await running.received(2)
        await running.until(lambda: bool(running.screens.said("mail_set_aside")))
    assert {touch.subject for touch in await history(store)} == {"Question 1", "Question 3"}
    states = {email.parse_state for email in store.tables.emails.values()}
    assert states == {"ok", "quarantined"}
    assert mail(2) in store.tables.raw.values()
    assert not store.tables.pending
    assert "could not be logged" in caplog.text


async def test_a_mail_deleted_before_it_was_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mail.ingest.GONE_ATTEMPTS", 1)
    store = MemoryStore()
    async with ScriptedImap() as server:

        async def expunged(peer: Peer, tag: str, rest: str) -> bool:
            if rest.startswith("1 "):
                await peer.send(f"{tag} OK nothing")
                return True
            return False

        server.on("FETCH", expunged)
        async with reading(server.port, store) as running:
            await running.up()
            await server.deliver(mail(1))
            await server.deliver(mail(2))
            await running.received(1)
            await running.until(lambda: running.ingest.metrics.gone == 1)
    assert not store.tables.pending
    assert len(await history(store)) == 1


async def test_the_connection_may_be_cut_anywhere(store: Store) -> None:
    """Whenever the server hangs up, each mail is logged once."""
    async with ScriptedImap() as server:
        commands = ["AUTHENTICATE", "SELECT", "SEARCH", "FETCH", "FETCH", "NOOP", "IDLE"]
        async with reading(server.port, store) as running:
            await running.up()
            for number, command in enumerate(commands, 1):

                async def hang_up(peer: Peer, _t: str, _r: str, command: str = command) -> bool:
                    server.usual(command)
                    peer.hang_up()
                    return True

                server.on(command, hang_up)
                server.put(mail(number))
                server.hang_up()
                await running.received(number, seconds=40)
    assert len(await history(store)) == len(commands)


async def test_a_restart_goes_on_where_it_stopped(store: Store) -> None:
    async with ScriptedImap() as server:
        async with reading(server.port, store) as running:
            await running.up()
            await server.deliver(mail(1))
            await running.received(1)
        for number in (2, 3):
            server.put(mail(number))  # while we are away
        async with reading(server.port, store) as running:
            await running.received(2)
            await running.up()
        async with reading(server.port, store) as running:
            await running.up()
        assert running.ingest.metrics.received == 0
    assert len(await history(store)) == 3


async def test_new_numbers_lose_nothing_and_double_nothing(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """UIDVALIDITY changes while three mails come that nobody has seen."""
    async with ScriptedImap() as server:
        async with reading(server.port, store) as running:
            await running.up()
            for number in range(1, 6):
                await server.deliver(mail(number))
            await running.received(5)
        old = server.folders[b"INBOX"]
        server.folders[b"INBOX"] = type(old)(uidvalidity=2000)
        for stored in reversed(old.mails):
            server.put(stored.raw)
        for number in range(6, 9):
            server.put(mail(number))
        async with reading(server.port, store) as running:
            await running.received(3)
            await running.up()
        assert running.ingest.metrics.known == 5
    assert len(await history(store)) == 8
    assert "numbered folder INBOX anew" in caplog.text


async def test_new_numbers_do_not_bring_mail_from_before_our_time(store: Store) -> None:
    """What lay in the folder at the very first start is left alone in every epoch."""
    now = datetime.now(UTC)
    async with ScriptedImap() as server:
        for number, age in enumerate((timedelta(days=400), timedelta(hours=1)), 1):
            server.put(mail(number), at=now - age)
        async with reading(server.port, store) as running:
            await running.up()
            await server.deliver(mail(3))
            await running.received(1)
        server.folders[b"INBOX"].uidvalidity += 1
        server.put(mail(4))
        async with reading(server.port, store) as running:
            await running.received(1)
            await running.up()
            await server.deliver(mail(5))
            await running.received(2)
        assert running.ingest.metrics.known == 1
    assert {touch.subject for touch in await history(store)} == {f"Question {n}" for n in (3, 4, 5)}


async def test_all_folders_may_get_new_numbers_at_once() -> None:
    """That is one event of the server, not a server that cannot count."""
    folders = ("INBOX", "A", "B", "C", "D")
    store = MemoryStore()
    async with ScriptedImap() as server:
        for name in folders:
            server.put(b"", folder=name.encode())
        async with reading(server.port, store, folders=folders) as running:
            await running.up()
        for number, name in enumerate(folders):
            server.folders[name.encode()].uidvalidity += 1
            server.put(mail(number), folder=name.encode())
        async with reading(server.port, store, folders=folders) as running:
            await running.received(len(folders))
            await running.up()
            assert not any("UIDVALIDITY" in state.reason for state in running.states)


async def test_numbers_that_change_all_the_time_are_not_followed() -> None:
    store = MemoryStore()
    async with ScriptedImap() as server:
        for number in range(20):
            server.put(mail(number))

        async def flips(peer: Peer, _tag: str, _rest: str) -> bool:
            server.folders[b"INBOX"].uidvalidity += 1
            assert peer is not None
            return False

        async def hang_up(peer: Peer, _tag: str, _rest: str) -> bool:
            peer.hang_up()
            return True

        server.on("SELECT", flips)
        server.on("IDLE", hang_up)
        async with reading(server.port, store) as running:
            await running.until(lambda: "UIDVALIDITY" in running.ingest.state.reason)
            assert not running.ingest.state.up
            fetches = sum("FETCH" in line for line in server.lines)
            logins = server.logins
            await running.until(lambda: server.logins > logins + 2)
        assert sum("FETCH" in line for line in server.lines) == fetches


class FailingStore:
    """A store that fails where a test says so."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.fail_at: dict[str, int] = {}
        """What fails (`begin`, `commit`, `after_commit`), and how often still."""

    def begin(self) -> UnitOfWork:
        return FailingUnit(self, self.inner.begin())

    async def ping(self) -> None:
        await self.inner.ping()

    async def close(self) -> None:
        await self.inner.close()

    def check(self, where: str) -> None:
        if self.fail_at.get(where, 0) > 0:
            self.fail_at[where] -= 1
            raise StoreUnavailable(f"away at {where}")


class FailingUnit:
    def __init__(self, store: FailingStore, inner: UnitOfWork) -> None:
        self._store = store
        self._inner = inner
        self.contacts = inner.contacts
        self.touches = inner.touches
        self.users = inner.users
        self.mail = inner.mail

    async def __aenter__(self) -> Self:
        self._store.check("begin")
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._inner.__aexit__(kind, error, traceback)

    async def commit(self) -> None:
        self._store.check("commit")
        await self._inner.commit()
        self._store.check("after_commit")


@pytest.mark.parametrize("where", ["begin", "commit", "after_commit"])
async def test_a_database_that_is_away_is_waited_for(store: Store, where: str) -> None:
    """Also when the commit was done and only its answer is lost."""
    failing = FailingStore(store)
    async with ScriptedImap() as server, reading(server.port, failing) as running:
        await running.up()
        for number in range(1, 6):
            failing.fail_at[where] = 2
            await server.deliver(mail(number))
            await running.received(number)
        assert [state.reason for state in running.states if not state.up] != []
        await running.up()
    assert len(await history(store)) == 5
    assert len(running.screens.touches) == 5


async def test_a_kill_between_the_two_transactions_loses_nothing(store: Store) -> None:
    """The uids are noted, the mails are not yet logged."""

    class Killed(BaseException):
        pass

    class Fatal(FailingStore):
        commits_left = 10**6

        def check(self, where: str) -> None:
            if where == "commit":
                self.commits_left -= 1
                if self.commits_left < 0:
                    raise Killed

    async with ScriptedImap() as server:
        async with reading(server.port, store) as running:
            await running.up()
        for number in range(1, 5):
            server.put(mail(number))
        for commits in (0, 1, 2, 3, 4, 5, 6, 8, 10, 12):
            fatal = Fatal(store)
            fatal.commits_left = commits
            with contextlib.suppress(BaseExceptionGroup):
                async with reading(server.port, fatal) as running:
                    await running.until(running.ingest._ended.is_set, seconds=5)
        async with reading(server.port, store) as running:
            await running.up()
    assert len(await history(store)) == 4


async def test_stopping_finishes_the_mail_in_hand() -> None:
    store = MemoryStore()
    async with ScriptedImap() as server:
        asked = asyncio.Event()
        go_on = asyncio.Event()

        async def slow(_peer: Peer, _tag: str, _rest: str) -> bool:
            asked.set()
            await go_on.wait()
            return False

        server.on("FETCH", slow)
        async with reading(server.port, store) as running:
            await running.up()
            await server.deliver(mail(1))
            await server.deliver(mail(2))
            await asked.wait()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(running.ingest.stop())
                await asyncio.sleep(0)
                go_on.set()
    assert len(await history(store)) == 1
    assert server.lines[-1].endswith("LOGOUT")


async def test_stopping_while_nothing_happens_is_quick() -> None:
    async with ScriptedImap() as server:
        async with reading(server.port, MemoryStore(), poll_s=600) as running:
            await running.up()
            async with asyncio.timeout(2):
                await running.ingest.stop()
        assert not running.ingest.state.reason


# Waiting


async def test_a_lost_push_is_healed_by_the_poll() -> None:
    async with ScriptedImap() as server, reading(server.port, MemoryStore()) as running:
        await running.up()
        server.put(mail(1))  # and nobody is told
        await running.received(1, seconds=5)


async def test_a_server_without_idle_is_polled() -> None:
    async with ScriptedImap() as server:
        server.capabilities = "IMAP4rev1 AUTH=PLAIN"
        async with reading(server.port, MemoryStore()) as running:
            await running.up()
            await server.deliver(mail(1))
            await running.received(1, seconds=5)
        assert not any("IDLE" in line for line in server.lines)


async def test_a_server_that_announces_nothing_all_the_time_keeps_nobody_busy() -> None:
    async with ScriptedImap() as server:

        async def chatter(peer: Peer, tag: str, _rest: str) -> bool:
            await peer.send("+ idling", "* 9 EXISTS")
            assert await peer.line() == "DONE"
            await peer.send("* 0 EXISTS", f"{tag} OK done")
            return True

        server.on("IDLE", chatter)
        async with reading(server.port, MemoryStore()) as running:
            await running.up()
            with contextlib.suppress(TimeoutError):
                await running.until(lambda: False, seconds=1)
        assert len(server.lines) < 40


async def test_a_wrong_password_is_tried_once_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with ScriptedImap() as server:
        async with reading(
            server.port, MemoryStore(), password=SecretStr("wrong horse")
        ) as running:
            await running.until(lambda: bool(running.ingest.state.reason.startswith("login")))
            with contextlib.suppress(TimeoutError):
                await running.until(lambda: server.logins > 1, seconds=0.3)
        assert server.logins == 1
        assert [state.up for state in running.states] == [False]
    assert "wrong horse" not in caplog.text
    assert caplog.text.count("login refused") == 1


async def test_a_server_that_says_later_is_not_hammered() -> None:
    async with ScriptedImap() as server:
        server.greeting = b"* BYE too many connections"
        async with reading(
            server.port, MemoryStore(), retry_first_s=0.1, retry_most_s=60
        ) as running:
            await running.until(lambda: "too many" in running.ingest.state.reason)
            server.greeting = b"* OK ready"
            await running.up()


async def test_a_host_that_cannot_be_is_a_red_light() -> None:
    """A slip in the settings, such as two dots, ends nothing else."""
    async with reading(1, MemoryStore(), host="imap..example.com") as running:
        await running.until(lambda: "no name of a server" in running.ingest.state.reason)


async def test_a_folder_that_is_not_there_does_not_stop_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with ScriptedImap() as server:
        async with reading(server.port, MemoryStore(), folders=("INBOX", "Nowhere")) as running:
            await running.up()
            await server.deliver(mail(1))
            await running.received(1)
            assert "NONEXISTENT" in running.ingest.state.reason
            polls = sum("Nowhere" in line for line in server.lines)
            await server.until(lambda: sum("Nowhere" in line for line in server.lines) > polls)
        assert caplog.text.count("folder Nowhere cannot be read") == 1
        async with reading(server.port, MemoryStore(), folders=("Nowhere",)) as running:
            await running.until(lambda: "NONEXISTENT" in running.ingest.state.reason)
            assert not running.ingest.state.up


async def test_a_mail_that_is_too_large_is_known_by_its_headers() -> None:
    store = MemoryStore()
    async with (
        ScriptedImap() as server,
        reading(server.port, store, max_mail_bytes=100_000) as running,
    ):
        await running.up()
        await server.deliver(mail(1, body="x" * 3_000_000))
        await running.received(1)
    [email] = store.tables.emails.values()
    assert (email.parse_state, email.subject) == ("too_large", "Question 1")
    assert email.sender == "ayse@customer.example"
    assert len(store.tables.raw[email.raw_sha256]) == 100_000


async def test_hostile_mails_are_all_logged(store: Store) -> None:
    hostile = [
        b"",
        b"\x00" * 100,
        b"\r\n\r\n",
        b"Content-Type: text/plain; name*\r\n\r\nhi",
        b"Subject: " + b"=?utf-8?q?a?=" * 20_000 + b"\r\n\r\n",
        b"From: <>\r\nSubject: \xe7\xf0\xfe\x00\r\n\r\n\xff",
        b"X: y\r\n" * 100_000,
        b"From: " + b"(" * 5000 + b"\r\n\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 5000,
    ]
    async with ScriptedImap() as server, reading(server.port, store) as running:
        await running.up()
        for number, raw in enumerate(hostile, 1):
            await server.deliver(raw)
            await running.received(number)
        assert running.ingest.metrics.failed == 0
    assert len(await history(store)) == len(hostile)


# The real server


@pytest.mark.dovecot
async def test_three_hundred_mails_on_dovecot(dovecot: Dovecot, store: Store) -> None:
    """Each once, over connections that are cut; and nothing but reading is ever said."""
    user = f"ingest-{type(store).__name__.lower()}"
    dovecot.maildir(user)
    async with recording_proxy(dovecot.port) as (port, sent):
        changes: dict[str, Any] = {"user": user, "password": SecretStr(dovecot.password)}
        async with reading(port, store, **changes) as running:
            await running.up()
            for number in range(1, 101):
                dovecot.deliver(mail(number), user=user)
            await running.received(100, seconds=60)
        for number in range(101, 201):
            dovecot.deliver(mail(number), user=user)
        async with reading(port, store, **changes) as running:
            await running.received(50, seconds=60)
        async with reading(port, store, **changes) as running:
            await running.up()
        dovecot.change_uidvalidity(user=user)
        for number in range(201, 301):
            dovecot.deliver(mail(number), user=user)
        async with reading(port, store, **changes) as running:
            await running.received(100, seconds=60)
            await running.up()
    subjects = [touch.subject for touch in await history(store)]
    assert sorted(subjects) == sorted(f"Question {number}" for number in range(1, 301))
    for path in dovecot.messages(user=user):
        assert not path.name.partition(":2,")[2], "a mail was flagged"
    said = bytes(sent).upper()
    assert b"BODY.PEEK[]" in said
    for word in (b"STORE", b"EXPUNGE", b"CLOSE", b"\\SEEN", b"\\DELETED", b"MOVE", b"BODY["):
        assert word not in said.replace(b"BODY.PEEK[", b"")


@pytest.mark.dovecot
async def test_a_mail_is_seen_at_once_on_dovecot(dovecot: Dovecot) -> None:
    dovecot.maildir("prompt")
    async with reading(
        dovecot.port,
        MemoryStore(),
        user="prompt",
        password=SecretStr(dovecot.password),
        poll_s=600,
    ) as running:
        await running.up()
        dovecot.deliver(mail(1), user="prompt")
        await running.received(1, seconds=10)


@pytest.mark.dovecot
async def test_over_tls_only_a_server_that_proves_itself(dovecot: Dovecot) -> None:
    changes: dict[str, Any] = {
        "tls": "tls",
        "user": "tls",
        "password": SecretStr(dovecot.password),
    }
    async with reading(dovecot.imaps_port, MemoryStore(), **changes) as running:
        await running.until(lambda: "TLS" in running.ingest.state.reason)
    changes["tls_ca_file"] = str(dovecot.certificate)
    async with reading(dovecot.imaps_port, MemoryStore(), **changes) as running:
        await running.up()


async def test_the_parser_may_be_shared() -> None:
    async with LimitedParser() as parser, ScriptedImap() as server:
        settings = MailboxSettings(
            host="127.0.0.1",
            port=server.port,
            tls="none",
            user=server.user,
            password=SecretStr(server.password),
        )
        ingest = MailboxIngest(settings, store=MemoryStore(), publisher=Screens(), parser=parser)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ingest.run())
            await server.until(lambda: bool(server.lines and server.lines[-1].endswith("IDLE")))
            await ingest.stop()
        assert (await parser.parse(b"Subject: x\r\n\r\n")).subject == "x"
