"""What the databases do beyond the ports: schema, addresses, outages, speed of the hot path."""

from __future__ import annotations

import asyncio
import sqlite3
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from crm_core.cursors import time_cursor
from crm_core.db import open_store
from crm_core.db.schema import check, differences, migrate
from crm_core.db.transaction import translated
from crm_core.errors import Invalid, NotFound, StoreUnavailable
from crm_core.model import ContactId, Direction, Medium, PointKind, UserId
from crm_core.ports import NewEmail, UnitOfWork
from tests.contracts.conftest import NOW
from tests.contracts.test_units_of_work import call
from tests.lab.fixtures import available
from tests.lab.postgres import Postgres


async def test_the_migrated_schema_is_the_schema(database_url: str) -> None:
    assert await differences(database_url) == []
    assert (await check(database_url)).current


async def test_migrating_again_changes_nothing(database_url: str) -> None:
    before = await migrate(database_url)
    assert before.current


async def test_an_empty_database_says_what_it_lacks(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    state = await check(url)
    assert (state.has, state.current) == (None, False)
    assert (await migrate(url)).has is None
    assert (await check(url)).current


async def test_two_that_migrate_at_once_both_succeed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    await asyncio.gather(migrate(url), migrate(url))
    assert (await check(url)).current


@pytest.mark.parametrize(
    "url",
    [
        "",
        "santral.db",
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://u:secret@h/d",
        "://",
        "http://x",
    ],
)
def test_addresses_of_no_database_are_refused(url: str) -> None:
    with pytest.raises(Invalid) as refused:
        open_store(url)
    assert "secret" not in str(refused.value)


async def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/no/such/dir.db", "postgresql://u:secret@127.0.0.1:1/d"):
        store = open_store(url)
        with pytest.raises(StoreUnavailable) as away:
            await store.ping()
        assert "secret" not in str(away.value)
        async with store.begin() as uow:
            with pytest.raises(StoreUnavailable):
                await uow.touches.open(call())
        await store.close()


async def test_sqlite_keeps_what_was_committed(sqlite_url: str) -> None:
    """The settings that promise it are on, on every connection."""
    store = open_store(sqlite_url)
    async with store.engine.connect() as connection:
        for pragma, expected in [
            ("journal_mode", "wal"),
            ("synchronous", 2),
            ("foreign_keys", 1),
            ("busy_timeout", 5000),
        ]:
            value = (await connection.exec_driver_sql(f"PRAGMA {pragma}")).scalar_one()
            assert value == expected, pragma
    await store.close()


async def test_another_process_that_writes_is_waited_for(sqlite_url: str) -> None:
    """A backup or another program holds the write lock for a moment."""
    store = open_store(sqlite_url)
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    async def write() -> None:
        async with store.begin() as uow:
            await uow.touches.open(call())
            await uow.commit()

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(write())
        async with store.begin() as uow:
            assert await uow.contacts.count() == 0, "reading goes on meanwhile"
        assert not writing.done()
        other.execute("COMMIT")
    other.close()
    await store.close()


async def test_a_lock_that_is_never_released_is_an_outage(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crm_core.db.engine._BUSY_TIMEOUT_MS", 50)
    store = open_store(sqlite_url)
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for _ in range(3):
        async with store.begin() as uow:
            with pytest.raises(StoreUnavailable):
                await uow.touches.open(call())
    other.execute("ROLLBACK")
    other.close()
    async with store.begin() as uow:
        await uow.touches.open(call())
        await uow.commit()
    await store.close()


async def test_a_full_disk_is_an_outage_and_passes(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    # One connection, so that the limit, which belongs to a connection, is met.
    async with store.engine.connect() as connection:
        pages = (await connection.exec_driver_sql("PRAGMA page_count")).scalar_one()
        await connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 3}")
    async with store.begin() as uow:
        with pytest.raises(StoreUnavailable, match="full"):
            await uow.mail.store_raw(b"x" * 1_000_000)
    async with store.engine.connect() as connection:
        await connection.exec_driver_sql("PRAGMA max_page_count=100000")
    async with store.begin() as uow:
        await uow.mail.store_raw(b"x" * 1_000_000)
        await uow.commit()
    await store.close()


@pytest.mark.postgres
async def test_postgresql_restarts_and_the_next_unit_works() -> None:
    """Connections die idle, in a transaction, and before the commit."""
    with available():
        server = Postgres()
    with server:
        url = server.url(server.create_database())
        await migrate(url)
        store = open_store(url)
        async with store.begin() as uow:
            await uow.touches.open(call("call:before"))
            await uow.commit()
        for failing_at in ("statement", "commit"):
            async with store.begin() as uow:
                await uow.touches.open(call("call:during"))
                await asyncio.to_thread(server.stop)
                if failing_at == "statement":
                    with pytest.raises(StoreUnavailable):
                        await uow.touches.by_key("call:before")
                with pytest.raises(StoreUnavailable):
                    await uow.commit()
            with pytest.raises(StoreUnavailable):
                await store.ping()
            await asyncio.to_thread(server.start)
            async with store.begin() as uow:
                assert await uow.touches.by_key("call:before") is not None
                assert await uow.touches.by_key("call:during") is None
            await store.ping()
        await store.close()


@pytest.mark.postgres
async def test_a_terminated_connection_costs_one_unit(postgres_url: str) -> None:
    store = open_store(postgres_url)
    async with store.begin() as uow:
        await uow.touches.open(call("call:1"))
        async with store.engine.connect() as killer:
            await killer.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        with pytest.raises(StoreUnavailable):
            await uow.touches.open(call("call:2"))
    async with store.begin() as uow:
        _, created = await uow.touches.open(call("call:1"))
        assert created
        await uow.commit()
    await store.close()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM nothing",
        "SELEC 1",
        f"SELECT 1 WHERE '' LIKE '{'%' * 60_000}'",
        f"SELECT {', '.join('1' * 3_000)}",
    ],
)
async def test_a_statement_that_is_wrong_is_no_outage(sqlite_url: str, statement: str) -> None:
    """An outage is waited for; nobody must wait for what never gets right."""
    store = open_store(sqlite_url)
    with pytest.raises(OperationalError), translated():
        async with store.engine.connect() as connection:
            await connection.exec_driver_sql(statement)
    await store.close()


async def test_an_error_does_not_tell_what_was_to_be_stored(database_url: str) -> None:
    """Errors go to the log, and a mail must not."""
    store = open_store(database_url)
    lost = NewEmail(
        direction=Direction.INBOUND,
        message_id="",
        content_key="k",
        raw_sha256=b"nothing has this hash",
        parse_state="ok",
        text="a secret between us",
    )
    async with store.begin() as uow:
        with pytest.raises(NotFound) as refused:
            await uow.mail.store_email(lost)
    await store.close()
    told = "".join(traceback.format_exception(refused.value))
    assert "INSERT INTO email" in told
    assert "a secret" not in told


_HOT_QUESTIONS: dict[str, Callable[[UnitOfWork], Awaitable[object]]] = {
    "who has the number": lambda uow: uow.contacts.hits(PointKind.PHONE, "+905321234567"),
    "the last touches": lambda uow: uow.touches.of_contact(ContactId(1)),
    "the history": lambda uow: uow.touches.page(),
    "its next page": lambda uow: uow.touches.page(after=time_cursor(NOW, 1)),
    "a person's": lambda uow: uow.touches.page(contact=ContactId(1), medium=Medium.PHONE),
    "an agent's": lambda uow: uow.touches.page(agent=UserId(1), medium=Medium.PHONE),
    "the mails": lambda uow: uow.touches.page(medium=Medium.EMAIL),
    "what an agent may see": lambda uow: uow.touches.page(
        visible_to=UserId(1), teams=["sales", "support"], medium=Medium.PHONE
    ),
    "the next page of it": lambda uow: uow.touches.page(
        visible_to=UserId(1), teams=["sales"], after=time_cursor(NOW, 1)
    ),
    "an agent's that another may see": lambda uow: uow.touches.page(
        agent=UserId(2), visible_to=UserId(1), teams=["sales"]
    ),
    "what a restart takes up": lambda uow: uow.touches.unfinished(key_prefix="call:main:"),
}


@pytest.mark.parametrize("question", _HOT_QUESTIONS)
async def test_what_is_asked_all_day_is_answered_from_indexes(
    question: str, sqlite_url: str
) -> None:
    """The time of an answer must not grow with the number of customers and touches."""
    store = open_store(sqlite_url)
    asked: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, values: Any, *_: object) -> None:
        asked.append((statement, values))

    event.listen(store.engine.sync_engine, "before_cursor_execute", note)
    async with store.begin() as uow:
        await _HOT_QUESTIONS[question](uow)
    event.remove(store.engine.sync_engine, "before_cursor_execute", note)
    async with store.engine.connect() as connection:
        for statement, values in asked:
            rows = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            plan = [detail for *_, detail in rows.all()]
            for step in plan:
                # In the order of the index until the page is full; or one page sorted anew.
                assert not step.startswith("SCAN touch") or step.endswith("ix_touch_at_id"), plan
                assert not step.startswith(("SCAN contact", "SCAN account")), plan
            scanned = any(step.startswith("SCAN touch") for step in plan)
            assert scanned == (question == "the history"), plan
    assert asked
    await store.close()
