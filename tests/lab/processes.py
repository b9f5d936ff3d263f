"""Start, watch and stop the servers of the lab, each by its own process id."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

POLL_SECONDS = 0.02
"""Pause between two tries to reach a server that is starting: it has no other way to tell us."""


class NotInstalledError(Exception):
    """A real server that a test needs is not installed on this machine."""


class LabError(Exception):
    """A real server did not do what the lab asked of it."""


def cache_directory() -> Path:
    """Return where ``tests/lab/install`` keeps what it downloads."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "santral-lab"


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return a loopback port that nobody uses at this moment."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def require_root(what: str) -> None:
    """Raise `NotInstalledError` unless this process may change root and user."""
    if os.geteuid() != 0:
        raise NotInstalledError(f"{what} needs root (chroot, change of user)")


def missing(what: str, part: str) -> NotInstalledError:
    """Say that ``what`` is missing and how to get it."""
    return NotInstalledError(f"{what} is not installed: run tests/lab/install {part}")


class Server:
    """One server process in the foreground, with its output in a file."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        output: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.output = output
        with output.open("ab") as sink:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=dict(env) if env is not None else None,
                cwd=cwd,
            )

    @property
    def pid(self) -> int:
        """The process id of the server."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def wait_until(self, ready: Callable[[], bool], *, seconds: float) -> None:
        """Return as soon as ``ready()`` is true; raise `LabError` if the server dies or is late."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running:
                raise LabError(f"{self.name} ended while starting:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise LabError(f"{self.name} was not ready in {seconds} s:\n{self.tail()}")
            time.sleep(POLL_SECONDS)

    def tail(self, lines: int = 20) -> str:
        """Return the last lines that the server printed."""
        try:
            text = self.output.read_text(errors="replace")
        except OSError:
            return "(no output)"
        return "\n".join(text.splitlines()[-lines:])

    def stop(self, *, signal_number: int = 15, seconds: float = 5.0) -> None:
        """End the process: ask first, insist after ``seconds``. Safe to call twice."""
        if self._process.poll() is not None:
            return
        self._process.send_signal(signal_number)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(seconds)


def accepts_tcp(port: int) -> bool:
    """Return whether a server listens on this loopback port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def remove_tree(directory: Path) -> None:
    """Delete a directory that the lab made, whatever is left in it."""
    shutil.rmtree(directory, ignore_errors=True)
