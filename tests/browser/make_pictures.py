"""Takes the pictures of `docs/images` from the running demo.

    .venv/bin/python -m tests.browser.make_pictures

The first caller of a demo is a VIP, another one each time: demos are started until it is one with a
company and a history. The last of them goes on until it is busy. That takes a few minutes.
"""

from __future__ import annotations

import argparse
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.conftest import CHROMIUM

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SANTRAL = Path(sys.executable).with_name("santral")
MAX_BYTES = 150_000
PATIENCE_S = 300
DEMOS = 40

VIP_RINGS = """() => {
  const card = document.querySelector('.card[data-look="ringing"][data-result="known"]');
  return card !== null && document.querySelector('.toast') === null
    && card.querySelector('h2 .tier[data-tier="vip"]') !== null
    && card.querySelector('.who > .account') !== null
    && card.querySelectorAll('.before li').length >= 3;
}"""
BUSY = """() => document.querySelector('.toast') === null
  && document.querySelectorAll('.waiting').length >= 2
  && document.querySelectorAll('tbody tr[data-state="talking"]').length >= 1
  && document.querySelectorAll('tbody tr').length >= 3"""


@contextmanager
def demo() -> Iterator[tuple[str, str]]:
    """The demo, and the links to sign in at the desk and at the board."""
    process = subprocess.Popen(
        [SANTRAL, "demo", "--port", "0"], stdout=subprocess.PIPE, text=True, encoding="utf-8"
    )
    assert process.stdout is not None
    with process:
        try:
            links = [process.stdout.readline().partition(": ")[2].strip() for _ in range(2)]
            yield links[0], links[1]
        finally:
            process.send_signal(signal.SIGINT)


def sign_in(browser: Browser, link: str) -> Page:
    """A page in a profile of its own, connected."""
    page = browser.new_page(
        viewport={"width": 1280, "height": 800}, color_scheme="light", locale="en-GB"
    )
    page.goto(link)
    page.wait_for_selector('.connection[data-look="up"]')
    return page


def smaller(png: bytes) -> bytes:
    """The same picture, compressed as hard as it goes."""
    at, pixels, before, after = 8, b"", b"", b""
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        chunk = png[at : at + 12 + length]
        if chunk[4:8] == b"IDAT":
            pixels += chunk[8:-4]
        elif pixels:
            after += chunk
        else:
            before += chunk
        at += len(chunk)
    body = b"IDAT" + zlib.compress(zlib.decompress(pixels), 9)
    packed = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:8] + before + packed + after


def take(page: Page, name: str, to: Path) -> None:
    """Write the picture and say how big it is."""
    png = smaller(page.screenshot())
    assert len(png) < MAX_BYTES, f"{name}: {len(png)} bytes"
    (to / name).write_bytes(png)
    sys.stdout.write(f"{to / name}: {len(png) // 1000} kB\n")


def desk_picture(browser: Browser, link: str, to: Path) -> bool:
    """Take the picture if the first caller makes a good one."""
    page = sign_in(browser, link)
    page.wait_for_selector('.card[data-look="ringing"]')
    page.wait_for_timeout(400)  # the card has arrived
    good = bool(page.evaluate(VIP_RINGS))
    if good:
        take(page, "desk.png", to)
    page.close()
    return good


def board_picture(browser: Browser, link: str, to: Path) -> None:
    """Take the picture when the center is busy, a minute after it began."""
    page = sign_in(browser, link)
    page.wait_for_timeout(60_000)
    deadline = time.monotonic() + PATIENCE_S
    while not page.evaluate(BUSY):
        assert time.monotonic() < deadline, "the board was never busy"
        page.wait_for_timeout(100)
    take(page, "board.png", to)
    page.close()


def main() -> None:
    """Take both pictures."""
    arguments = argparse.ArgumentParser(description="Take the pictures of docs/images.")
    arguments.add_argument("--to", type=Path, default=IMAGES, help="the folder")
    to: Path = arguments.parse_args().to
    to.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for _ in range(DEMOS):
            with demo() as (desk_link, board_link):
                if desk_picture(browser, desk_link, to):
                    board_picture(browser, board_link, to)
                    break
        else:
            raise SystemExit("No demo began with a VIP who has a company and a history.")
        browser.close()


if __name__ == "__main__":
    main()
