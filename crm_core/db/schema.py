"""Bring a database to the schema of this version, or say that it is not there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from alembic import autogenerate, command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, exc, text
from sqlalchemy.types import TypeEngine

from crm_core.db import tables
from crm_core.db.engine import make_engine
from crm_core.db.transaction import translated
from crm_core.errors import Invalid

_MIGRATIONS = Path(__file__).parent / "migrations"
# Two that start at once must not both migrate. The number means nothing.
_MIGRATION_LOCK = text("SELECT pg_advisory_lock(7205759403792794)")
_MIGRATION_UNLOCK = text("SELECT pg_advisory_unlock(7205759403792794)")

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaState:
    """Which revision a database has, and which this version needs."""

    has: str | None
    """None for an empty database; a revision we do not know if a newer version was here."""
    needs: str

    @property
    def current(self) -> bool:
        """Whether the database can be used."""
        return self.has == self.needs


async def migrate(url: str) -> SchemaState:
    """Bring the database at `url` to the schema of this version. Returns the state of before.

    Creates the file of a SQLite database. Nothing is half done: each revision is a transaction.

    Raises:
        Invalid: the address is none.
        StoreUnavailable: the database cannot be reached.
        alembic.util.CommandError: the database was migrated by a newer version.
    """
    return await _on_connection(url, _migrate)


async def check(url: str) -> SchemaState:
    """Which schema the database at `url` has.

    Raises:
        Invalid: the address is none, or leads to a file that is no database.
        StoreUnavailable: the database cannot be reached.
    """
    return await _on_connection(url, _state)


async def differences(url: str) -> list[Any]:
    """How the database differs from `tables`; empty if a revision was written for each change."""
    return await _on_connection(url, _differences)


async def _on_connection(url: str, work: Callable[[Connection], _Result]) -> _Result:
    engine = make_engine(url)
    try:
        with translated():
            async with engine.connect() as connection:
                return await connection.run_sync(work)
    except exc.DatabaseError as error:
        if isinstance(error, (exc.OperationalError, exc.ProgrammingError)) or error.orig is None:
            raise
        raise Invalid(f"what is there is not a database of ours: {error.orig}") from error
    finally:
        await engine.dispose()


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's settings; they need no file, so that they work from an installed package too."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _migrate(connection: Connection) -> SchemaState:
    sqlite = connection.dialect.name == "sqlite"
    if sqlite:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(_MIGRATION_LOCK)
        connection.commit()
    try:
        before = _state(connection)
        if not before.current:
            command.upgrade(alembic_config(connection), "head")
    except BaseException:
        if sqlite:
            connection.exec_driver_sql("ROLLBACK")
        else:
            connection.rollback()
        raise
    finally:
        if not sqlite:
            connection.execute(_MIGRATION_UNLOCK)
            connection.commit()
    if sqlite:
        connection.exec_driver_sql("COMMIT")
    return before


def _state(connection: Connection) -> SchemaState:
    needs = ScriptDirectory.from_config(alembic_config()).get_current_head()
    assert needs is not None, "there is at least one revision"  # noqa: S101
    return SchemaState(
        has=MigrationContext.configure(connection).get_current_revision(), needs=needs
    )


def _differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts=dict(CONFIGURATION))
    return list(autogenerate.compare_metadata(context, tables.metadata))


def _same_type(
    _context: MigrationContext,
    _inspected: Column[Any],
    _column: Column[Any],
    inspected_type: TypeEngine[Any],
    metadata_type: TypeEngine[Any],
) -> bool | None:
    """Our own types are compared by what they are in this database; None asks Alembic."""
    if isinstance(metadata_type, tables.StoredText):
        return type(inspected_type).__name__.upper() not in {"TEXT", "VARCHAR"}
    return None


CONFIGURATION: dict[str, Any] = {
    "compare_type": _same_type,
    "compare_server_default": False,
    # SQLite alters a table by building it anew.
    "render_as_batch": True,
}
"""What Alembic is told, when it migrates and when it compares."""
