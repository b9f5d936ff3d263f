"""One connection and one transaction on it, begun when it is needed.

On PostgreSQL it is a transaction as everybody knows it (READ COMMITTED). SQLite allows one writer
at a time and refuses to turn a reader into a writer when another has written meanwhile; so there
a unit reads without a transaction until its first write, which begins one with the write lock
already taken. Each statement sees what was committed before it, on both.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

from sqlalchemy import CursorResult, Executable, Table, exc
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from crm_core.db.engine import DRIVER_ERRORS, unavailable
from crm_core.errors import StoreUnavailable

_LOCK_DEADLINE_S = 10.0

_Result = TypeVar("_Result")
Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]]


class Transaction:
    """What a unit of work reads and writes through. Errors come out as the core's own."""

    def __init__(self, engine: AsyncEngine, write_lock: asyncio.Lock) -> None:
        self._engine = engine
        self._write_lock = write_lock
        self._connection: AsyncConnection | None = None
        self._holds_lock = False
        self._failed = False
        self.on_sqlite = engine.dialect.name == "sqlite"

    async def read(
        self, statement: Executable, parameters: Parameters | None = None
    ) -> CursorResult[Any]:
        """The rows of a statement that changes nothing."""
        return await self._whole(self._execute(statement, parameters))

    async def _execute(
        self, statement: Executable, parameters: Parameters | None
    ) -> CursorResult[Any]:
        with self._noticing_failure(), translated():
            connection = await self._connected()
            return await connection.execute(statement, cast("Any", parameters))

    async def write(
        self, statement: Executable, parameters: Parameters | None = None
    ) -> CursorResult[Any]:
        """Execute a statement that may change something."""
        if self.on_sqlite and not self._holds_lock:
            await self._begin_writing()
        return await self.read(statement, parameters)

    def insert(self, table: Table) -> postgresql.Insert:
        """An INSERT that knows ON CONFLICT. SQLite's is another class with the same methods."""
        if self.on_sqlite:
            return cast("postgresql.Insert", sqlite.insert(table))
        return postgresql.insert(table)

    async def commit(self) -> None:
        """Make durable what was written.

        After a statement has failed there is nothing to commit, whoever caught its error:
        PostgreSQL would answer such a COMMIT with a silent rollback.
        """
        if self._failed:
            raise StoreUnavailable("the unit of work failed before and must be repeated")
        if self._connection is not None:
            await self._whole(self._commit(self._connection))

    async def _commit(self, connection: AsyncConnection) -> None:
        with self._noticing_failure(), translated():
            if not self.on_sqlite:
                await connection.commit()
            elif self._holds_lock:
                await connection.exec_driver_sql("COMMIT")
                self._release()

    async def end(self) -> None:
        """Undo what was not committed and give the connection back. Never raises."""
        if self._connection is None:
            return
        # Whoever is cancelled here still leaves a clean connection and a free lock behind.
        ending = asyncio.get_running_loop().create_task(self._end(self._connection))
        self._connection = None
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            await asyncio.wait([ending])
            raise

    async def _end(self, connection: AsyncConnection) -> None:
        try:
            if self._holds_lock:
                with contextlib.suppress(exc.SQLAlchemyError, *DRIVER_ERRORS):
                    await self._roll_back(connection)
            with contextlib.suppress(exc.SQLAlchemyError, *DRIVER_ERRORS):
                await connection.close()
        finally:
            self._release()

    async def _roll_back(self, connection: AsyncConnection) -> None:
        try:
            if not connection.invalidated:
                await connection.exec_driver_sql("ROLLBACK")
        except exc.DBAPIError:
            # SQLite has rolled back by itself (disk full), or the connection is of no more use.
            await connection.invalidate()

    async def _connected(self) -> AsyncConnection:
        if self._connection is None:
            self._connection = await self._engine.connect()
        return self._connection

    async def _begin_writing(self) -> None:
        try:
            async with asyncio.timeout(_LOCK_DEADLINE_S):
                await self._write_lock.acquire()
        except TimeoutError as error:
            raise StoreUnavailable("another unit of work does not end") from error
        self._holds_lock = True
        try:
            await self._whole(self._begin())
        except BaseException:
            if self._connection is None:
                self._release()
            raise

    async def _begin(self) -> None:
        with self._noticing_failure(), translated():
            connection = await self._connected()
            # A writer in another process is waited for, as long as busy_timeout says.
            await connection.exec_driver_sql("BEGIN IMMEDIATE")

    async def _whole(self, statement: Coroutine[Any, Any, _Result]) -> _Result:
        """Wait for a statement; on SQLite it ends even if whoever waits for it is cancelled.

        SQLAlchemy closes a connection whose statement was cancelled. SQLite then keeps the write
        lock for as long as anything, such as the traceback of that error, still holds the cursor
        (`sqlite3_close_v2`, zombie connections): nobody could write meanwhile.
        """
        if not self.on_sqlite:
            return await statement
        task = asyncio.get_running_loop().create_task(statement)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            while not task.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # nobody is left to hear of it
            raise

    def fail(self) -> None:
        """Let nothing of this transaction be committed."""
        self._failed = True

    @contextlib.contextmanager
    def _noticing_failure(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.fail()
            raise

    def _release(self) -> None:
        if self._holds_lock:
            self._holds_lock = False
            self._write_lock.release()


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Raise what may pass as StoreUnavailable; let everything else through."""
    try:
        yield
    except (exc.SQLAlchemyError, *DRIVER_ERRORS) as error:
        if (passing := unavailable(error)) is not None:
            raise passing from error
        raise
