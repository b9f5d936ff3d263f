"""The real servers as pytest fixtures: import the ones a ``conftest.py`` needs.

A server that is not installed skips the test with the command that installs it; with ``CI=true``
it fails instead, so that nothing is skipped unseen. Servers live for the session and belong to no
event loop; `phones` is made anew for each test, in the test's loop.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
import pytest_asyncio

from tests.lab import chromium
from tests.lab.asterisk import Asterisk
from tests.lab.dovecot import Dovecot
from tests.lab.phones import Phones
from tests.lab.postgres import Postgres
from tests.lab.processes import NotInstalledError

__all__ = [
    "asterisk",
    "chromium_path",
    "dovecot",
    "fresh_asterisk",
    "phones",
    "postgres",
    "postgres_database",
]


@contextmanager
def available() -> Iterator[None]:
    """Skip the test when a server is missing, or fail it where everything must be there."""
    try:
        yield
    except NotInstalledError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must run this test: {error}", pytrace=False)
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def asterisk() -> Iterator[Asterisk]:
    """The session's Asterisk 22: phones ring for 4 s, queues for 6 s."""
    with available():
        server = Asterisk()
    with server:
        yield server


@pytest.fixture
def fresh_asterisk() -> Iterator[Asterisk]:
    """An Asterisk 22 of this test alone, to be broken or restarted (0.4 s)."""
    with available():
        server = Asterisk()
    with server:
        yield server


@pytest_asyncio.fixture
async def phones(asterisk: Asterisk) -> AsyncIterator[Phones]:
    """The phones of this test, none registered yet, on the session's Asterisk."""
    with available():
        telephones = Phones(asterisk)
    async with telephones:
        yield telephones


@pytest.fixture(scope="session")
def dovecot() -> Iterator[Dovecot]:
    """The session's Dovecot with TLS on a second port; give each test a user name of its own."""
    with available():
        server = Dovecot(tls=True)
    with server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The session's PostgreSQL."""
    with available():
        server = Postgres()
    with server:
        yield server


@pytest.fixture
def postgres_database(postgres: Postgres) -> Iterator[str]:
    """The name of an empty database of this test alone (see `Postgres.url`)."""
    name = postgres.create_database()
    yield name
    postgres.drop_database(name)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The browser's program; its arguments are `chromium.ARGUMENTS`."""
    with available():
        return str(chromium.chromium_path())
