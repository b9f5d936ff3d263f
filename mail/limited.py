"""The parser in a process of its own, with limits on time and memory.

A mail that is too much for the parser costs that process, never the daemon. What the process could
not do in time is tried once more with the headers alone; if that fails too, the raw bytes stand for
themselves. The process inherits no secrets: its environment is empty.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import resource
import signal
import struct
import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from mail.errors import ParserUnavailable
from mail.model import Classification, Mailbox, MailKind, MailPart, ParsedMail, ParseState
from mail.parse import headers_only, parse, raw_only

log = logging.getLogger(__name__)

MEMORY = 1024**3
"""Octets of address space."""
CPU_S = 10
"""Seconds of processor time for one mail."""
WALL_S = 20.0
"""Seconds by the clock for one mail."""
MAILS = 500
"""After so many mails a fresh process takes over."""

_FRAME = struct.Struct("!BI")
_WHOLE, _BEGINNING, _HEADERS = range(3)
_MAX_ANSWER = 64 * 1024 * 1024
_ROOT = str(Path(__file__).resolve().parents[1])
_START = "import sys; sys.path.insert(0, sys.argv[1]); from mail.limited import serve; serve()"


class LimitedParser:
    """Parses mails one after another in a limited process. No mail makes it raise.

    Args:
        memory: Octets of address space of the process.
        cpu_s: Seconds of processor time for one mail.
        wall_s: Seconds by the clock for one mail.
        mails: Mails after which the process is replaced.
    """

    def __init__(
        self,
        *,
        memory: int = MEMORY,
        cpu_s: int = CPU_S,
        wall_s: float = WALL_S,
        mails: int = MAILS,
    ) -> None:
        self._limits = (str(memory), str(cpu_s))
        self._wall_s = wall_s
        self._mails = mails
        self._lock = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._done = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        async with self._lock:
            await self._end()

    async def parse(self, raw: bytes, *, complete: bool = True) -> ParsedMail:
        """Read a mail as far as the limits allow.

        Raises:
            ParserUnavailable: the process does not start, whatever the mail is.
        """
        async with self._lock:
            for mode in (_WHOLE if complete else _BEGINNING, _HEADERS):
                answer = await self._try(mode, raw)
                if answer is not None:
                    return answer
        return raw_only(raw)

    async def _try(self, mode: int, raw: bytes) -> ParsedMail | None:
        try:
            async with asyncio.timeout(self._wall_s):
                return await self._ask(mode, raw)
        except ParserUnavailable:
            await self._end()
            raise
        except (TimeoutError, OSError, EOFError, ValueError, KeyError, TypeError) as error:
            code = self._process.returncode if self._process else None
            log.warning(
                "a mail of %d octets was too much for the parser (%s, exit code %s)",
                len(raw),
                type(error).__name__,
                code,
                extra={"action": "mail_parser_ended"},
            )
            await self._end()
            return None
        except BaseException:
            # A half-read answer would be taken for that of the next mail.
            await self._end()
            raise

    async def _ask(self, mode: int, raw: bytes) -> ParsedMail:
        if self._process is not None and self._done >= self._mails:
            await self._end()
        process = self._process or await self._start()
        to_process, from_process = process.stdin, process.stdout
        if to_process is None or from_process is None:
            raise AssertionError("the process was started with pipes")
        self._done += 1
        to_process.write(_FRAME.pack(mode, len(raw)))
        to_process.write(raw)
        await to_process.drain()
        _, size = _FRAME.unpack(await from_process.readexactly(_FRAME.size))
        if size > _MAX_ANSWER:
            raise ValueError("the parser's answer is too long")
        return parsed_mail(json.loads(await from_process.readexactly(size)))

    async def _start(self) -> asyncio.subprocess.Process:
        """Start the process and wait until it says that it is ready.

        A process that does not even come so far says nothing about the mail.
        """
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-c", _START),
                *(_ROOT, *self._limits),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={},
                # Ctrl-C in a terminal is for the daemon, which lets the current mail finish.
                start_new_session=True,
            )
            self._done = 0
            if self._process.stdout is None:
                raise AssertionError("the process was started with pipes")
            await self._process.stdout.readexactly(_FRAME.size)
        except (OSError, EOFError) as error:
            raise ParserUnavailable(f"the mail parser cannot be started: {error}") from error
        return self._process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        if process.stdin is not None:
            process.stdin.close()
            with contextlib.suppress(OSError):
                await process.stdin.wait_closed()
        # Reads what is left, so that the pipe is closed too.
        await process.communicate()


def parsed_mail(value: dict[str, object]) -> ParsedMail:
    """The mail that the process sent as JSON.

    Raises:
        KeyError, TypeError, ValueError: it is not one.
    """
    fields: dict[str, object] = dict(value)

    def boxes(name: str) -> tuple[Mailbox, ...]:
        return tuple(Mailbox(**box) for box in _list(value[name]))

    kind = _dict(value["classification"])
    fields |= {
        "parse_state": ParseState(str(value["parse_state"])),
        "headers": tuple((str(name), str(text)) for name, text in _list(value["headers"])),
        "sender": Mailbox(**_dict(value["sender"])) if value["sender"] else None,
        "reply_to": boxes("reply_to"),
        "to": boxes("to"),
        "cc": boxes("cc"),
        "sent_at": datetime.fromisoformat(str(value["sent_at"])) if value["sent_at"] else None,
        "references": tuple(map(str, _list(value["references"]))),
        "parts": tuple(MailPart(**part) for part in _list(value["parts"])),
        "classification": Classification(
            kind=MailKind(str(kind["kind"])), reasons=tuple(map(str, _list(kind["reasons"])))
        ),
        "flags": tuple(map(str, _list(value["flags"]))),
    }
    return ParsedMail(**fields)  # type: ignore[arg-type]  # text fields are as JSON had them


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("a list was expected")
    return value


def _dict(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("an object was expected")
    return value


def serve() -> None:
    """The process's side: read mails from standard input until it ends."""
    memory, cpu_s = (int(word) for word in sys.argv[2:4])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    sink.write(_FRAME.pack(0, 0))
    sink.flush()
    while frame := source.read(_FRAME.size):
        mode, size = _FRAME.unpack(frame)
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = int(used.ru_utime + used.ru_stime) + cpu_s + 1
        resource.setrlimit(resource.RLIMIT_CPU, (limit, hard))
        _serve_one(mode, source.read(size), sink)


def _serve_one(mode: int, raw: bytes, sink: BinaryIO) -> None:
    mail = headers_only(raw) if mode == _HEADERS else parse(raw, complete=mode == _WHOLE)
    octets = json.dumps(asdict(mail), default=datetime.isoformat).encode()
    sink.write(_FRAME.pack(0, len(octets)))
    sink.write(octets)
    sink.flush()
