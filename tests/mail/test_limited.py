"""A mail that is too much for the parser costs its process, never the daemon."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

from mail import limited
from mail.errors import ParserUnavailable
from mail.limited import LimitedParser
from mail.model import ParseState
from mail.parse import parse

MAIL = (
    b"From: =?utf-8?q?Zo=C3=AB?= <zoe@example.com>\r\nTo: a@b.example, c@d.example\r\n"
    b"Subject: hi\r\nDate: Mon, 1 Jan 2024 10:00:00 +0300\r\nMessage-ID: <x@y>\r\n"
    b"Auto-Submitted: auto-replied\r\nContent-Disposition: attachment; filename=x.txt\r\n\r\nhello"
)


async def test_the_process_says_what_the_parser_says() -> None:
    async with LimitedParser() as parser:
        for raw in (MAIL, b"", b"\x00\xff" * 50, b"X: y\r\n" * 5000):
            assert await parser.parse(raw) == parse(raw)
        assert await parser.parse(MAIL, complete=False) == parse(MAIL, complete=False)


async def test_a_big_mail_passes_the_pipe() -> None:
    async with LimitedParser() as parser:
        mail = await parser.parse(MAIL + b"x" * 20_000_000)
        assert mail.subject == "hi"


async def test_what_takes_too_long_is_read_by_its_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = limited._START.replace(
        "from mail.limited import serve;",
        "import time, mail.limited as l; from mail.limited import serve;"
        "l.parse = lambda *a, **k: time.sleep(60);",
    )
    monkeypatch.setattr(limited, "_START", slow)
    async with LimitedParser(wall_s=1) as parser:
        mail = await parser.parse(MAIL)
    assert (mail.parse_state, mail.subject) == (ParseState.HEADERS_ONLY, "hi")


@pytest.mark.parametrize(
    "costs",
    [
        "exec('while True: pass')",  # processor time
        "len(bytearray(2**31))",  # memory
        "__import__('os').kill(__import__('os').getpid(), 9)",
        "__import__('os')._exit(0)",
    ],
)
async def test_what_costs_too_much_ends_as_raw_bytes(
    monkeypatch: pytest.MonkeyPatch, costs: str
) -> None:
    """Here even reading the headers is too much."""
    broken = limited._START.replace(
        "from mail.limited import serve;",
        "import mail.limited as l; from mail.limited import serve;"
        f"l.parse = l.headers_only = lambda *a, **k: {costs};",
    )
    monkeypatch.setattr(limited, "_START", broken)
    async with LimitedParser(cpu_s=0) as parser:
        mail = await parser.parse(MAIL)
        assert mail.parse_state is ParseState.RAW_ONLY
        monkeypatch.undo()
        assert (await parser.parse(MAIL)).parse_state is ParseState.OK


async def test_a_process_that_dies_between_two_mails_is_replaced() -> None:
    async with LimitedParser() as parser:
        await parser.parse(MAIL)
        assert parser._process is not None
        os.kill(parser._process.pid, signal.SIGKILL)
        await parser._process.wait()
        mail = await parser.parse(MAIL)
        assert mail.subject == "hi"


async def test_the_process_is_replaced_now_and_then() -> None:
    async with LimitedParser(mails=2) as parser:
        pids = set()
        for _ in range(5):
            await parser.parse(MAIL)
            assert parser._process is not None
            pids.add(parser._process.pid)
        assert len(pids) == 3


async def test_after_a_cancelled_mail_the_next_gets_its_own_answer() -> None:
    async with LimitedParser() as parser:
        await parser.parse(MAIL)
        first = asyncio.create_task(parser.parse(MAIL))  # noqa: TID251 - cancelled right below
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert (await parser.parse(b"Subject: second\r\n\r\n")).subject == "second"


async def test_a_process_that_cannot_start_is_no_fault_of_the_mail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with LimitedParser() as parser:
        monkeypatch.setattr(limited, "_START", "raise SystemExit(3)")
        with pytest.raises(ParserUnavailable):
            await parser.parse(MAIL)
        monkeypatch.undo()
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
        with pytest.raises(ParserUnavailable):
            await parser.parse(MAIL)
        monkeypatch.undo()
        assert (await parser.parse(MAIL)).subject == "hi"


async def test_the_process_inherits_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANTRAL_SECRET", "s3cret")
    async with LimitedParser() as parser:
        await parser.parse(MAIL)
        assert parser._process is not None
        with open(f"/proc/{parser._process.pid}/environ", "rb") as environ:  # noqa: ASYNC230, PTH123
            assert b"s3cret" not in environ.read()
