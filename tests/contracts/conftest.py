"""One suite, every store: in memory, SQLite, PostgreSQL."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from crm_core.db import open_store
from crm_core.db.schema import migrate
from crm_core.memory import MemoryStore
from crm_core.ports import Store
from tests.lab.fixtures import postgres  # noqa: F401 - pytest finds fixtures by their names
from tests.lab.postgres import Postgres

NOW = datetime(2026, 11, 24, 9, 30, 0, 123456, tzinfo=UTC)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite database, to be copied."""
    path = tmp_path_factory.mktemp("template") / "santral.db"
    asyncio.run(migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres: Postgres) -> str:  # noqa: F811
    """The name of a migrated, empty PostgreSQL database, to be copied."""
    name = postgres.create_database("template")
    asyncio.run(migrate(postgres.url(name)))
    return name


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A SQLite database of this test alone."""
    path = tmp_path / "santral.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres: Postgres, postgres_template: str) -> Iterator[str]:  # noqa: F811
    """A PostgreSQL database of this test alone."""
    name = f"test_{secrets.token_hex(6)}"
    postgres.sql(f'CREATE DATABASE "{name}" TEMPLATE "{postgres_template}"')
    yield postgres.url(name)
    postgres.drop_database(name)


DATABASES = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest) -> str:
    """Each database in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=["memory", *DATABASES])
def store_url(request: pytest.FixtureRequest) -> str | None:
    """Each store in turn; None stands for the one in memory."""
    if request.param == "memory":
        return None
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest_asyncio.fixture
async def store(store_url: str | None) -> AsyncIterator[Store]:
    """An empty store."""
    opened: Store = MemoryStore() if store_url is None else open_store(store_url)
    yield opened
    await opened.close()
