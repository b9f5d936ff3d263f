"""The database: units of work with all their parts."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from crm_core import ports
from crm_core.db.contact_store import SqlContacts
from crm_core.db.engine import make_engine
from crm_core.db.mail_store import SqlMail
from crm_core.db.touch_store import SqlTouches
from crm_core.db.transaction import Transaction, translated
from crm_core.db.user_store import SqlUsers


def open_store(url: str) -> SqlStore:
    """The store at `sqlite:///path` or `postgresql://user@host/database`.

    Connects when it is first used. The schema must be there already: see `crm_core.db.schema`.

    Raises:
        Invalid: the address is none of the two.
    """
    return SqlStore(make_engine(url))


class SqlStore:
    """A `Store` on SQLite or PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self._write_lock = asyncio.Lock()

    def begin(self) -> SqlUnitOfWork:
        """A new unit of work. It takes a connection when it first needs one."""
        return SqlUnitOfWork(Transaction(self.engine, self._write_lock))

    async def ping(self) -> None:
        """Raises StoreUnavailable if the database does not answer."""
        with translated():
            async with self.engine.connect() as connection:
                await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


class SqlUnitOfWork:
    """A `UnitOfWork` on a database."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self.contacts: ports.ContactStore = SqlContacts(transaction)
        self.touches: ports.TouchStore = SqlTouches(transaction)
        self.users: ports.UserStore = SqlUsers(transaction)
        self.mail: ports.MailStore = SqlMail(transaction)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._transaction.end()

    async def commit(self) -> None:
        """Make everything durable."""
        await self._transaction.commit()
