"""How connections are made, and which errors mean that the database is away."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from typing import Any

import asyncpg
from sqlalchemy import event, exc
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import await_only

from crm_core.errors import Invalid, StoreUnavailable

_SQLITE_NAMES = {"sqlite", "sqlite+aiosqlite"}
_POSTGRESQL_NAMES = {"postgres", "postgresql", "postgresql+asyncpg"}

# Each connection to SQLite is a thread, and reads are short.
_SQLITE_CONNECTIONS = 8
_POSTGRESQL_CONNECTIONS = 16
_BUSY_TIMEOUT_MS = 5_000

DRIVER_ERRORS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What asyncpg lets through unwrapped, mostly while connecting. Timeouts are OSErrors."""

# PostgreSQL says with these that the same work may succeed a moment later.
_TRY_AGAIN = (
    "08",  # connection exceptions
    "25P02",  # the transaction was aborted by a failure that the caller caught
    "40",  # serialization failure, deadlock
    "53",  # out of disk, memory or connections
    "55P03",  # lock not available
    "57P",  # shutdown, crash, starting up
    "58",  # system errors
)


def database_url(url: str) -> URL:
    """The address for SQLAlchemy: `sqlite:///path` or `postgresql://user@host/database`.

    Raises:
        Invalid: it is neither. The message does not repeat the address, which may hold a password.
    """
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError) as error:
        raise Invalid("the database's address is not of the form sqlite:///path") from error
    if parsed.drivername in _SQLITE_NAMES:
        if not parsed.database or parsed.database == ":memory:":
            raise Invalid("the database's address needs a path, as in sqlite:///santral.db")
        return parsed.set(drivername="sqlite+aiosqlite")
    if parsed.drivername in _POSTGRESQL_NAMES:
        query = dict(parsed.query)
        if "sslmode" in query:  # libpq's name for what asyncpg calls ssl
            query.setdefault("ssl", query.pop("sslmode"))
        return parsed.set(drivername="postgresql+asyncpg", query=query)
    raise Invalid(f"{parsed.drivername!r} is no database we know: use sqlite or postgresql")


def make_engine(url: str) -> AsyncEngine:
    """An engine; nothing is connected yet."""
    address = database_url(url)
    if address.get_backend_name() == "sqlite":
        engine = create_async_engine(
            address,
            # We say BEGIN IMMEDIATE and COMMIT ourselves (store.py): the driver's own BEGIN comes
            # late and takes the write lock later still, when it can only fail.
            connect_args={"isolation_level": None},
            skip_autocommit_rollback=True,
            isolation_level="AUTOCOMMIT",
            hide_parameters=True,  # of a mail or a caller, in the text of an error
            pool_size=_SQLITE_CONNECTIONS,
            max_overflow=0,
            pool_timeout=10,
        )
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        return engine
    return create_async_engine(
        address,
        hide_parameters=True,
        pool_size=_POSTGRESQL_CONNECTIONS,
        max_overflow=0,
        pool_timeout=10,
        pool_pre_ping=True,
        connect_args={
            "timeout": 5,
            "command_timeout": 60,
            "server_settings": {
                "application_name": "santral",
                "jit": "off",  # our statements are short; planning them twice is not
                "synchronous_commit": "on",
                "lock_timeout": "10s",
                "idle_in_transaction_session_timeout": "60s",
            },
        },
    )


def _prepare_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={_BUSY_TIMEOUT_MS}",
        "synchronous=FULL",  # what was committed survives a loss of power
        "foreign_keys=ON",
        "cache_size=-16000",
        "temp_store=MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    deadline = time.monotonic() + _BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError:
            # The one lock that busy_timeout does not wait for: another turns a new file to WAL.
            if time.monotonic() > deadline:
                raise
            await_only(asyncio.sleep(0.02))
    cursor.close()


def unavailable(error: BaseException) -> StoreUnavailable | None:
    """The error as `StoreUnavailable` if the same work may succeed later, else None."""
    match error:
        case exc.DBAPIError():
            if error.connection_invalidated or _may_pass(error):
                return StoreUnavailable(_first_line(error.orig or error))
        case exc.PendingRollbackError():
            return StoreUnavailable("the unit of work failed before and must be repeated")
        case exc.TimeoutError():
            return StoreUnavailable("no connection to the database became free")
        case OSError():
            return StoreUnavailable(f"the database cannot be reached: {_first_line(error)}")
        case asyncpg.PostgresError():
            if str(error.sqlstate).startswith(_TRY_AGAIN):
                return StoreUnavailable(_first_line(error))
        case asyncpg.InterfaceError() | exc.InvalidRequestError() if "closed" in str(error):
            return StoreUnavailable(_first_line(error))
        case _:
            pass
    return None


def _may_pass(error: exc.DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return str(state).startswith(_TRY_AGAIN)
    if isinstance(error, exc.OperationalError):
        # SQLite says with the same class, and the general code, that a statement is wrong or too
        # long: no waiting heals that, and whoever repeats it stands still for ever.
        code = getattr(error.orig, "sqlite_errorcode", None)
        return code != sqlite3.SQLITE_ERROR or "no transaction is active" in str(error.orig)
    # From asyncpg: the connection was lost, or is not usable after that.
    return isinstance(error, exc.InterfaceError)


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:300] or type(error).__name__
