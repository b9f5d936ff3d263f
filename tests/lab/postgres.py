"""The real PostgreSQL on a database directory of its own, made for a test and removed after it."""

from __future__ import annotations

import os
import pwd
import secrets
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from tests.lab.processes import (
    LabError,
    NotInstalledError,
    Server,
    free_port,
    missing,
    remove_tree,
)

USER = "santral"
"""The superuser of the test's server; it needs no password on loopback."""


def binaries() -> Path:
    """Return the directory with the newest ``initdb`` and ``postgres`` of this machine."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda path: float(path.parts[-3]),
    )
    if not found:
        raise missing("PostgreSQL", "postgres")
    return found[-1].parent


class Postgres:
    """One running PostgreSQL: a context manager that blocks until it accepts connections.

    It listens on a free loopback port and on a Unix socket in `directory`. Durability is off:
    it is a test's database.
    """

    def __init__(self) -> None:
        self._binaries = binaries()
        self.host = "127.0.0.1"
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="santral-postgres-"))
        self._server: Server | None = None

    def __enter__(self) -> Self:
        try:
            self._initialise()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the server (again, with the same data) and wait until it accepts connections."""
        self._server = Server(
            "PostgreSQL",
            [
                *self._as_unprivileged(),
                self._binaries / "postgres",
                *("-D", self.directory / "data"),
            ],
            output=self.directory / "log",
            cwd=self.directory,
        )
        self._server.wait_until(self._is_ready, seconds=30)

    def stop(self) -> None:
        """End the server and its connections; the data stays. Safe to call twice."""
        if self._server is not None:
            self._server.stop(signal_number=signal.SIGINT)  # "fast": does not wait for clients
            self._server = None

    def close(self) -> None:
        """End the server and remove its files."""
        self.stop()
        remove_tree(self.directory)

    def url(self, database: str = "postgres", *, scheme: str = "postgresql") -> str:
        """Return the URL of a database; ``scheme`` may name a driver, as in SQLAlchemy."""
        return f"{scheme}://{USER}@{self.host}:{self.port}/{database}"

    def create_database(self, prefix: str = "test") -> str:
        """Create an empty database and return its name."""
        name = f"{prefix}_{secrets.token_hex(6)}"
        self.sql(f'CREATE DATABASE "{name}"')
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""
        self.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def sql(self, statement: str, *, database: str = "postgres") -> str:
        """Run one statement with psql and return what it prints, unaligned and without headings."""
        done = subprocess.run(
            [
                str(self._binaries / "psql"),
                *("-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"),
                *("-d", self.url(database), "-c", statement),
            ],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        if done.returncode != 0:
            raise LabError(f"psql: {done.stderr.strip()}")
        return done.stdout.strip()

    def log(self) -> str:
        """Return what the server logged so far."""
        return (self.directory / "log").read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        if self._server is None:
            raise LabError("PostgreSQL is not running")
        return self._server.pid

    def _as_unprivileged(self) -> list[str]:
        """Return the command that drops root, which PostgreSQL refuses to run as."""
        if os.geteuid() != 0:
            return []
        return ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", "--"]

    def _initialise(self) -> None:
        if os.geteuid() == 0:
            try:
                owner = pwd.getpwnam("postgres")
            except KeyError:
                raise NotInstalledError("there is no user named postgres") from None
            os.chown(self.directory, owner.pw_uid, owner.pw_gid)
        done = subprocess.run(
            [
                *self._as_unprivileged(),
                str(self._binaries / "initdb"),
                *("-D", str(self.directory / "data"), "-U", USER, "-A", "trust"),
                *("-E", "UTF8", "--locale=C.UTF-8", "--no-sync"),
            ],
            capture_output=True,
            text=True,
            cwd=self.directory,
            check=False,
        )
        if done.returncode != 0:
            raise LabError(f"initdb: {done.stdout}{done.stderr}")
        with (self.directory / "data/postgresql.conf").open("a") as config:
            config.write(
                f"port = {self.port}\n"
                "listen_addresses = '127.0.0.1'\n"
                f"unix_socket_directories = '{self.directory}'\n"
                "fsync = off\n"
                "synchronous_commit = off\n"
                "full_page_writes = off\n"
                "shared_buffers = 32MB\n"
                "max_connections = 60\n"
                "timezone = 'UTC'\n"
            )

    def _is_ready(self) -> bool:
        done = subprocess.run(
            [
                str(self._binaries / "pg_isready"),
                *("-q", "-h", self.host, "-p", str(self.port), "-t", "1"),
            ],
            check=False,
        )
        return done.returncode == 0
