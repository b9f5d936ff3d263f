"""The real Dovecot, run by hand for a test: a static password, Maildirs in a temporary directory.

The Maildir is the ground truth of a test: what is in it was never lost, whatever IMAP says.
"""

from __future__ import annotations

import itertools
import os
import pwd
import secrets
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from tests.lab.processes import (
    LabError,
    Server,
    accepts_tcp,
    free_port,
    missing,
    remove_tree,
    require_root,
)

BINARY = Path("/usr/sbin/dovecot")
MAIL_OWNER = "mail"
"""The system user that owns the Maildirs: Debian always has it."""

_CONFIG = """\
protocols = imap
listen = 127.0.0.1
base_dir = {directory}/run
state_dir = {directory}/state
instance_name = {name}
log_path = {directory}/log
mail_debug = no
auth_verbose = yes
disable_plaintext_auth = no
auth_mechanisms = plain login
default_internal_user = dovecot
default_login_user = dovenull
default_vsz_limit = 0
first_valid_uid = 1
first_valid_gid = 1
mail_uid = {owner}
mail_gid = {owner}
mail_home = {directory}/mail/%u
mail_location = maildir:~/Maildir
mail_max_userip_connections = {connections}
imap_idle_notify_interval = 30 s
ssl = {ssl}
{certificate}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={owner} gid={owner} home={directory}/mail/%u
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Sent {{
    auto = create
    special_use = \\Sent
  }}
  mailbox Archive {{
    auto = create
    special_use = \\Archive
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = {imaps_port}
    ssl = yes
  }}
}}
service stats {{
  chroot =
}}
service anvil {{
  chroot =
}}
"""


class Dovecot:
    """One running Dovecot: a context manager that blocks until it answers IMAP.

    Any user name logs in with `password`; each has a Maildir of its own.

    Args:
        tls: Also listen on `imaps_port` (and offer STARTTLS) with a certificate for
            ``localhost`` and 127.0.0.1, signed by itself: `ssl_context` trusts it.
        connections: How many connections one user may have at once.

    """

    def __init__(self, *, tls: bool = False, connections: int = 10) -> None:
        if not BINARY.exists():
            raise missing("Dovecot", "dovecot")
        require_root("Dovecot")
        self.host = "127.0.0.1"
        self.port = free_port()
        self.imaps_port = free_port() if tls else 0
        self.password = secrets.token_hex(8)
        self.directory = Path(tempfile.mkdtemp(prefix="santral-dovecot-"))
        self._tls = tls
        self._connections = connections
        self._server: Server | None = None
        self._names = _unique_names()

    def __enter__(self) -> Self:
        try:
            self._prepare()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the server (again, on the same ports and Maildirs) and wait for its greeting."""
        self._server = Server(
            "Dovecot",
            [BINARY, "-F", "-c", self.directory / "dovecot.conf"],
            output=self.directory / "console",
        )
        self._server.wait_until(lambda: accepts_tcp(self.port) and self._greets(), seconds=15)

    def stop(self) -> None:
        """End the server and its connections; the mail stays. Safe to call twice."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def close(self) -> None:
        """End the server and remove its files."""
        self.stop()
        remove_tree(self.directory)

    @property
    def certificate(self) -> Path:
        """The server's certificate in PEM, for a client that is to trust it."""
        return self.directory / "cert.pem"

    def ssl_context(self) -> ssl.SSLContext:
        """Return a client context that trusts this server and nobody else."""
        return ssl.create_default_context(cafile=str(self.certificate))

    def deliver(self, message: bytes, *, user: str = "desk", mailbox: str = "INBOX") -> Path:
        """Put a message into a mailbox as a mail server does: written, then renamed into new/."""
        maildir = self.maildir(user, mailbox)
        name = next(self._names)
        temporary = maildir / "tmp" / name
        temporary.write_bytes(message)
        self._give_to_owner(temporary)
        delivered = maildir / "new" / name
        temporary.rename(delivered)
        return delivered

    def messages(self, *, user: str = "desk", mailbox: str = "INBOX") -> list[Path]:
        """Return the files of all messages in a mailbox."""
        maildir = self.maildir(user, mailbox)
        return sorted(path for part in ("cur", "new") for path in (maildir / part).iterdir())

    def maildir(self, user: str = "desk", mailbox: str = "INBOX") -> Path:
        """Return the Maildir of a mailbox, made when needed."""
        home = self.directory / "mail" / user
        directory = home / "Maildir"
        if mailbox != "INBOX":
            directory /= "." + mailbox.replace("/", ".")
        for part in (home, home / "Maildir", directory, *(directory / p for p in _MAILDIR)):
            if not part.exists():
                part.mkdir()
                self._give_to_owner(part)
        return directory

    def change_uidvalidity(self, *, user: str = "desk", mailbox: str = "INBOX") -> None:
        """Forget all UIDs of a mailbox, as a server does that lost its index.

        Connections that have the mailbox open notice only when they open it again.
        """
        maildir = self.maildir(user, mailbox)
        for path in maildir.glob("dovecot*"):
            if path.is_file():
                path.unlink()
        # UIDVALIDITY is the second in which the list is made: never the same one again.
        (maildir / "dovecot-uidlist").write_text(f"3 V{next(_validities)} N1\n")
        self._give_to_owner(maildir / "dovecot-uidlist")

    def log(self) -> str:
        """Return what Dovecot logged so far."""
        path = self.directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _prepare(self) -> None:
        self.directory.chmod(0o755)
        for name in ("run", "state", "mail"):
            (self.directory / name).mkdir()
        self._give_to_owner(self.directory / "mail")
        certificate = ""
        if self._tls:
            self._make_certificate()
            certificate = (
                f"ssl_cert = <{self.directory}/cert.pem\nssl_key = <{self.directory}/key.pem"
            )
        config = self.directory / "dovecot.conf"
        config.write_text(
            _CONFIG.format(
                directory=self.directory,
                name=self.directory.name,
                owner=MAIL_OWNER,
                password=self.password,
                connections=self._connections,
                ssl="yes" if self._tls else "no",
                certificate=certificate,
                imap_port=self.port,
                imaps_port=self.imaps_port,
            )
        )

    def _make_certificate(self) -> None:
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"),
                *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
                *("-keyout", str(self.directory / "key.pem"), "-out", str(self.certificate)),
            ],
            check=True,
            capture_output=True,
        )

    def _give_to_owner(self, path: Path) -> None:
        owner = pwd.getpwnam(MAIL_OWNER)
        os.chown(path, owner.pw_uid, owner.pw_gid)

    def _greets(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=5) as client:
                return client.recv(4) == b"* OK"
        except OSError:
            return False

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        if self._server is None:
            raise LabError("Dovecot is not running")
        return self._server.pid


_MAILDIR = ("tmp", "new", "cur")
_validities = itertools.count(int(time.time()) + 1_000)


def _unique_names() -> Iterator[str]:
    for number in itertools.count(1):
        yield f"{time.time():.6f}.{os.getpid()}_{number}.lab"
