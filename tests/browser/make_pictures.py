"""Takes the pictures of `docs/images` from the running demo.

    .venv/bin/python -m tests.browser.make_pictures

Starts `santral demo`, plays along until a VIP with a history rings and until callers wait, and
ends it again; that takes a few minutes.
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
PATIENCE_S = 600

VIP_RINGS = """() => {
  const card = document.querySelector('.card[data-look="ringing"][data-result="known"]');
  return card !== null && document.querySelector('.toast') === null
    && card.querySelector('h2 .tier[data-tier="vip"]') !== null
    && card.querySelector('.who > .account') !== null
    && card.querySelector('.way .queue') !== null
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


def put_away(page: Page) -> None:
    """Clear the desk of calls that are over, as a tidy agent does."""
    page.evaluate(
        "document.querySelectorAll('.card:is([data-look=ended], [data-look=gone]) "
        'button[title="Put away"]\').forEach(button => button.click())'
    )


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


def main() -> None:
    """Wait for both moments, whichever comes first."""
    arguments = argparse.ArgumentParser(description="Take the pictures of docs/images.")
    arguments.add_argument("--to", type=Path, default=IMAGES, help="the folder")
    to: Path = arguments.parse_args().to
    to.mkdir(parents=True, exist_ok=True)
    with demo() as (desk_link, board_link), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        desk, board = sign_in(browser, desk_link), sign_in(browser, board_link)
        wanted = {"desk.png": (desk, VIP_RINGS), "board.png": (board, BUSY)}
        began = time.monotonic()
        while wanted:
            assert time.monotonic() - began < PATIENCE_S, f"never seen: {', '.join(wanted)}"
            put_away(desk)
            # Once for what is there; the figures of a day that has just begun are no picture.
            for name, (page, moment) in list(wanted.items()):
                old_enough = name == "desk.png" or time.monotonic() - began > 60
                if old_enough and page.evaluate(moment):
                    page.wait_for_timeout(400)  # the card has arrived
                    take(page, name, to)
                    del wanted[name]
            desk.wait_for_timeout(100)
        browser.close()


if __name__ == "__main__":
    main()
