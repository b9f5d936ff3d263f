"""The real daemon in a process of its own, as an operator runs it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

DEADLINE = 20.0
SANTRAL = Path(sys.executable).with_name("santral")

Line = dict[str, Any]


class Daemon:
    """`santral serve` with settings of its own, and the other commands with the same settings.

    Args:
        directory: Where its settings, secrets and (by default) its database go.
        settings: The TOML text. Logs are JSON lines on its standard error.

    """

    def __init__(self, directory: Path, settings: str) -> None:
        self.directory = directory
        self.settings = directory / "santral.toml"
        self.settings.write_text(settings + '\n[log]\nformat = "json"\n', encoding="utf-8")
        self.settings.chmod(0o600)
        self.url = ""
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._lines: list[Line] = []
        self._said = asyncio.Condition()
        self._tail: deque[str] = deque(maxlen=60)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start it; returns when the page is served."""
        self._lines.clear()
        self._process = await asyncio.create_subprocess_exec(
            SANTRAL,
            "serve",
            "-c",
            self.settings,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            # Where state goes that has no place beside an SQLite file.
            env={**os.environ, "XDG_DATA_HOME": str(self.directory)},
            limit=2**20,
        )
        self._reader = asyncio.create_task(self._read())  # noqa: TID251 - `stop` awaits it
        line = await self.said("ui_up")
        self.url = f"http://127.0.0.1:{line['port']}"

    async def stop(self, *, seconds: float = DEADLINE) -> int:
        """Send SIGTERM; returns the exit code, 0 if it was never started."""
        if self._process is None:
            return 0
        assert self._reader is not None
        if self._process.returncode is None:
            self._process.terminate()
        try:
            async with asyncio.timeout(seconds):
                code = await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
            raise AssertionError(f"it did not stop:\n{self.log}") from None
        await self._reader
        return code

    async def kill(self) -> None:
        """Send SIGKILL, as a machine that loses power would."""
        assert self._process is not None
        assert self._reader is not None
        self._process.kill()
        await self._process.wait()
        await self._reader

    async def said(self, action: str, where: Callable[[Line], bool] = lambda _line: True) -> Line:
        """Wait for a log line with this action; returns it."""
        try:
            async with asyncio.timeout(DEADLINE), self._said:
                while True:
                    for line in self._lines:
                        if line.get("action") == action and where(line):
                            return line
                    assert self._process is not None
                    if self._process.returncode is not None:
                        raise AssertionError(f"it ended before it said {action}:\n{self.log}")
                    await self._said.wait()
        except TimeoutError:
            raise AssertionError(f"it never said {action}:\n{self.log}") from None

    @property
    def log(self) -> str:
        """What it logged last."""
        return "\n".join(self._tail)

    @property
    def lines(self) -> list[Line]:
        """Every line it logged since the start."""
        return list(self._lines)

    async def run(self, *arguments: str, stdin: str = "") -> str:
        """Run another command with the same settings; returns what it prints."""
        process = await asyncio.create_subprocess_exec(
            SANTRAL,
            *arguments,
            "-c",
            self.settings,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, error = await process.communicate(stdin.encode())
        assert process.returncode == 0, f"{arguments}: {error.decode()}"
        return out.decode()

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        async for raw in self._process.stderr:
            text = raw.decode("utf-8", "replace").rstrip("\n")
            self._tail.append(text)
            try:
                line = json.loads(text)
            except ValueError:
                continue
            async with self._said:
                self._lines.append(line)
                self._said.notify_all()
        await self._process.wait()
        async with self._said:
            self._said.notify_all()
