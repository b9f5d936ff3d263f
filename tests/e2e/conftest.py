"""The daemon between the real Asterisk, the real Dovecot, a database and a browser."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from tests.e2e.daemon import Daemon
from tests.lab import chromium
from tests.lab.asterisk import Asterisk
from tests.lab.dovecot import Dovecot
from tests.lab.fixtures import (
    asterisk,
    chromium_path,
    dovecot,
    phones,
    postgres,
    postgres_database,
)
from tests.lab.postgres import Postgres
from tests.lab.processes import free_port

__all__ = ["asterisk", "chromium_path", "dovecot", "phones", "postgres", "postgres_database"]

CUSTOMERS = """\
id;Name;Company;Type;Tier;Phones;Emails
C-1;Zoë "<script>" O'Brien Şükrü Ёлкин;Acme Lojistik;customer;VIP;+90 532 111 22 33;zoe@acme.example
C-2;Ali Veli;Acme Lojistik;customer;;0532 222 33 44;ali@acme.example
C-3;Ayşe Veli;Acme Lojistik;customer;;0532 222 33 44;ayse@acme.example
C-4;Анна Ёлкина;Балтика;customer;;8 (495) 123-45-67;anna@baltika.example
"""


def settings(
    *, database: str, asterisk: Asterisk | None, dovecot: Dovecot | None, user: str
) -> str:
    """The TOML of an installation with what is given."""
    text = f'teams = ["support"]\n[database]\nurl = "{database}"\n[web]\nport = {free_port()}\n'
    if asterisk is not None:
        text += f"""
[[pbx]]
name = "main"
host = "127.0.0.1"
port = {asterisk.ami_port}
events_user = "cti-events"
events_secret = "{asterisk.secret("cti-events")}"
"""
    if dovecot is not None:
        text += f"""
[[mailbox]]
name = "support"
host = "127.0.0.1"
port = {dovecot.port}
tls = "none"
user = "{user}"
password = "{dovecot.password}"
team = "support"
own_addresses = ["support@santral.example"]
poll_s = 30
"""
    return text


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'santral.sqlite3'}"
    server: Postgres = request.getfixturevalue("postgres")
    name: str = request.getfixturevalue("postgres_database")
    return server.url(name)


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    """The address of an empty SQLite database."""
    return f"sqlite:///{tmp_path / 'santral.sqlite3'}"


@pytest_asyncio.fixture
async def browser(chromium_path: str) -> AsyncIterator[Browser]:
    """A browser of this test alone."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium_path, args=list(chromium.ARGUMENTS)
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture
async def daemons() -> AsyncIterator[Callable[[Path, str], Daemon]]:
    """Makes daemons; whatever still runs at the end of the test is stopped."""
    made: list[Daemon] = []

    def make(directory: Path, text: str) -> Daemon:
        made.append(Daemon(directory, text))
        return made[-1]

    yield make
    for daemon in made:
        await daemon.stop()


MakeDaemon = Callable[[Path, str], Daemon]


async def people(daemon: Daemon) -> None:
    """Customers, an agent at phone 1001 and one at 1002, and a supervisor, by the commands."""
    file = daemon.directory / "customers.csv"
    file.write_text(CUSTOMERS, encoding="utf-8")
    await daemon.run("import", str(file))
    for login, name, role, phone in (
        ("ece", "Ece Yıldız", "agent", "main:PJSIP/1001"),
        ("jonas", "Jonas Weber", "agent", "main:PJSIP/1002"),
        ("deniz", "Deniz Aksoy", "supervisor", ""),
    ):
        await daemon.run(
            *(
                "user",
                "add",
                login,
                "--name",
                name,
                "--role",
                role,
                "--team",
                "support",
                "--no-password",
            ),
            *(("--phone", phone) if phone else ()),
        )


async def sign_in(daemon: Daemon, browser: Browser, login: str, **context: Any) -> Page:
    """Open the page of a user by a one-time link, and wait until it is live."""
    link = (await daemon.run("user", "link", login)).strip().splitlines()[-1]
    page = await (await browser.new_context(**context)).new_page()
    page.set_default_timeout(10_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    path = link[link.index("/signin/") :]
    await page.goto(f"{daemon.url}{path}")
    await page.locator('.connection[data-look="up"]').wait_for()
    page.errors = errors  # type: ignore[attr-defined] # looked at by the tests
    return page


def screenshots() -> Path | None:
    """Where to put pictures of what was seen, if wanted (`SANTRAL_SCREENSHOTS`)."""
    wanted = os.environ.get("SANTRAL_SCREENSHOTS")
    return Path(wanted) if wanted else None
