"""A page server and a real Chromium for each test; all tests here are marked `browser`."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.desk_server import DeskServer, desk_server
from tests.browser.scenes import People, fill

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
WEB = Path(__file__).parents[2] / "agent_ui" / "web"
STATIC = Path(__file__).parents[2] / "agent_ui" / "static"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them, and say why they do not run where they cannot."""
    here = Path(__file__).parent
    why = ""
    if not Path(CHROMIUM).exists():
        why = "no Chromium (apt-get install chromium)"
    elif not (STATIC / "index.html").is_file():
        why = "the page is not built (pip install -e . builds it)"
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if why and "chromium" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One headless Chromium for the whole run."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
            ],
        )
        yield browser
        browser.close()


@dataclass
class Desk:
    """The server, the people in it, and browsers that are signed in."""

    server: DeskServer
    people: People
    context: BrowserContext
    errors: list[str]
    """What went wrong in any page: exceptions, and violations of the content security policy."""

    def page(self, path: str = "/desk", *, supervisor: bool = False) -> Page:
        """A page that is signed in and connected."""
        page = self.blank()
        user = self.people.ayse if supervisor else self.people.ece
        page.goto(self.server.link(user))
        page.wait_for_selector('.connection[data-look="up"]')
        if path != ("/board" if supervisor else "/desk"):
            page.goto(self.server.url + path)
            page.wait_for_selector('.connection[data-look="up"]')
        return page

    def another(self, path: str = "/desk") -> Page:
        """A second tab of the same browser."""
        page = self.blank()
        page.goto(self.server.url + path)
        page.wait_for_selector('.connection[data-look="up"]')
        return page

    def blank(self) -> Page:
        """A tab that has not gone anywhere."""
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on(
            "console",
            lambda message: (
                self.errors.append(message.text)
                if "Content Security Policy" in message.text
                else None
            ),
        )
        return page


def eventually(page: Page, script: str) -> None:
    """Wait until a script is true.

    Playwright's own wait needs `eval`, which the page's policy forbids.
    """
    deadline = time.monotonic() + 10
    while not page.evaluate(script):
        assert time.monotonic() < deadline, f"never true: {script}"
        page.wait_for_timeout(20)


@pytest.fixture
def server() -> Iterator[DeskServer]:
    """A server without anybody in it."""
    with desk_server() as started:
        yield started


@pytest.fixture
def desk(server: DeskServer, chromium: Browser) -> Iterator[Desk]:
    """A filled server and a fresh browser profile; nothing may go wrong in its pages."""
    people = server.run(fill(server.store))
    context = chromium.new_context(
        viewport={"width": 1280, "height": 800}, locale="en-GB", timezone_id="Europe/Istanbul"
    )
    context.set_default_timeout(10_000)
    desk = Desk(server=server, people=people, context=context, errors=[])
    yield desk
    context.close()
    assert desk.errors == []
