"""The real Asterisk, started for a test with a configuration and ports of its own.

The program lives in a chroot (``tests/lab/install asterisk``); each instance gets a directory
inside it, so that several can run at once. The dialplan, queues and phones are those of
``asterisk_config/``; the numbers in `Did` tell what a caller finds behind each of them.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import string
import subprocess
import time
from pathlib import Path
from typing import Self

from tests.lab.processes import (
    LabError,
    Server,
    accepts_tcp,
    cache_directory,
    free_port,
    missing,
    remove_tree,
    require_root,
)

CONFIG = Path(__file__).with_name("asterisk_config")
ALL_EVENTS = (
    "system,call,agent,user,config,dtmf,reporting,cdr,dialplan,originate,agi,cc,aoc,message"
)
"""AMI event classes of the listeners: all but ``security``."""
STUBS = ("acl", "ccss", "pjproject", "queuerules", "udptl", "cli_aliases")
"""Files that Asterisk wants to find, if only empty."""

AGENTS = {
    "1001": "Ayşe Yılmaz",
    "1002": "Jonas Weber",
    "1003": "Ольга Ёлкина",
    "1004": "Brian O'Neill",
    "1005": "Zoë Müller",
    "1006": "Ivan Petrov",
    "1007": "Şükrü Çelik",
    "1008": "Reception",
}
"""Extension to name of each phone: also the callerid of its endpoint."""


class Did:
    """The numbers that the trunk can call, by what answers them."""

    PHONE = "902125550101"
    RING_GROUP = "902125550102"
    SUPPORT = "902125550103"
    SALES = "902125550104"
    FPBX = "902125550105"
    VOICEMAIL = "902125550106"
    OFFICE = "902125550107"
    ANNOUNCEMENT = "902125550108"
    SUPPORT_WITH_EXIT = "902125550109"
    OUTBOUND_CALLERID = "902125550100"
    FOLLOW_ME = "902125550110"
    DESK_OR_MOBILE = "902125550111"
    SUPPORT_OR_VOICEMAIL = "902125550112"
    CAREFUL = "902125550113"
    CLOSING = "902125550114"
    STRICT = "902125550115"
    ANNOUNCED = "902125550116"
    WRAPPING = "902125550117"
    VIP = "902125550118"
    PLAIN = "902125550119"
    FLOATING = "902125550120"
    CONFERENCE = "902125550121"
    TWO_PHONES = "902125550122"
    LOOP = "902125550123"
    LOCALS = "902125550124"


class _Template(string.Template):
    delimiter = "@@"


class Asterisk:
    """One running Asterisk: a context manager that blocks until it is fully booted.

    Starting and stopping are synchronous, so that a session-wide fixture belongs to no event
    loop; nothing else here touches asyncio.

    Args:
        release: ``22``, or ``16`` for the oldest dialect (``tests/lab/install asterisk16``).
        ring_seconds: How long a phone rings before the dialplan gives up.
        queue_seconds: How long a caller may wait in a queue.
        contacts: How many phones may register for one extension.
        driver: ``pjsip``, or ``sip`` for chan_sip (release 16 only): channels are ``SIP/…``.

    """

    def __init__(
        self,
        *,
        release: int = 22,
        ring_seconds: int = 4,
        queue_seconds: int = 6,
        contacts: int = 1,
        driver: str = "pjsip",
    ) -> None:
        self.root = cache_directory() / f"asterisk-{release}"
        if not (self.root / "usr/sbin/asterisk").exists():
            raise missing(f"Asterisk {release}", "asterisk" if release == 22 else "asterisk16")
        require_root("the chroot of Asterisk")
        self.release = release
        self.ami_port = free_port()
        self.sip_port = free_port(socket.SOCK_DGRAM)
        self.trunk_port = free_port(socket.SOCK_DGRAM)
        """Where Asterisk sends calls to the outside: `Phones` listens there."""
        self.peer_port = self.trunk_port
        """SIP port of the other PBX: set it before the start, see `peers`."""
        self.phone_password = secrets.token_hex(8)
        self.users = {
            "cti-events": secrets.token_urlsafe(24),
            "cti-actions": secrets.token_urlsafe(24),
            "lab": secrets.token_urlsafe(24),
        }
        """AMI user names and their secrets, as in ``asterisk_config/manager.conf``."""
        self._ring_seconds = ring_seconds
        self._queue_seconds = queue_seconds
        self._contacts = contacts
        self._driver = driver
        self._inside = Path("/srv/lab") / f"{os.getpid()}-{secrets.token_hex(4)}"
        self.directory = self.root / self._inside.relative_to("/")
        """The instance's files as this process sees them (``log/``, ``spool/``, …)."""
        self._server: Server | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Write the configuration, start Asterisk and wait until it is fully booted."""
        self._prepare()
        self._server = Server(
            f"Asterisk {self.release}",
            [
                *("chroot", self.root, "/usr/sbin/asterisk", "-f", "-U", "asterisk"),
                *("-C", self._inside / "etc/asterisk.conf"),
            ],
            output=self.directory / "log/console",
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp", "LC_ALL": "C.UTF-8"},
        )
        try:
            self._server.wait_until(lambda: accepts_tcp(self.ami_port), seconds=30)
            self._wait_fully_booted(seconds=30)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End Asterisk and remove its files. Safe to call twice."""
        if self._server is not None:
            self._server.stop()
            self._server = None
        remove_tree(self.directory)

    @property
    def pid(self) -> int:
        """The process id of the running Asterisk."""
        if self._server is None:
            raise LabError("Asterisk is not running")
        return self._server.pid

    def secret(self, user: str) -> str:
        """Return the AMI secret of ``user``."""
        return self.users[user]

    def cli(self, command: str) -> str:
        """Run a command of Asterisk's own command line and return what it prints."""
        done = subprocess.run(
            [
                *("chroot", str(self.root), "/usr/sbin/asterisk"),
                *("-C", str(self._inside / "etc/asterisk.conf"), "-rx", command),
            ],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp", "LC_ALL": "C.UTF-8"},
        )
        if done.returncode != 0:
            raise LabError(f"asterisk -rx {command!r}: {done.stdout}{done.stderr}")
        return done.stdout

    def set_global(self, name: str, value: str | int) -> None:
        """Change a global variable of the dialplan, such as ``RING_SECONDS``."""
        self.cli(f"dialplan set global {name} {value}")

    def log(self) -> str:
        """Return what Asterisk noticed, warned and erred about so far."""
        path = self.directory / "log/messages"
        alternative = self.directory / "log/messages.log"
        return (path if path.exists() else alternative).read_text(errors="replace")

    def _prepare(self) -> None:
        for name in ("etc", "run", "db/keys", "spool/voicemail", "log/cdr-csv", "log/cel-custom"):
            (self.directory / name).mkdir(parents=True)
        for name in ("cache", "moh", "spool/tmp", "spool/outgoing", "spool/monitor"):
            (self.directory / name).mkdir(parents=True)
        self._write_configuration()
        for tune in sorted(self.root.glob("usr/share/asterisk/sounds/en*/vm-intro.gsm"))[:1]:
            shutil.copy(tune, self.directory / "moh/tune.gsm")
        for stub in STUBS:
            (self.directory / "etc" / f"{stub}.conf").touch()
        uid, gid = self._asterisk_ids()
        for parent, _, files in os.walk(self.directory):
            os.chown(parent, uid, gid)
            for file in files:
                os.chown(Path(parent) / file, uid, gid)

    def _write_configuration(self) -> None:
        values: dict[str, str | int] = {
            "instance": str(self._inside),
            "modules": str(self._modules()),
            "ami_port": self.ami_port,
            "sip_port": self.sip_port,
            "trunk_port": self.trunk_port,
            "peer_port": self.peer_port,
            "contacts": self._contacts,
            "sip_phones": "\n".join(self._sip_phone(*agent) for agent in AGENTS.items()),
            "all_events": ALL_EVENTS,
            "events_secret": self.users["cti-events"],
            "actions_secret": self.users["cti-actions"],
            "lab_secret": self.users["lab"],
            "phone_password": self.phone_password,
            "ring_seconds": self._ring_seconds,
            "queue_seconds": self._queue_seconds,
            "phones": "\n".join(_phone(number, name) for number, name in AGENTS.items()),
        }
        for template in CONFIG.glob("*.conf"):
            text = _Template(template.read_text()).substitute(values)
            if self._driver == "sip":
                text = _for_chan_sip(template.name, text)
            target = self.directory / "etc" / template.name
            target.write_text(text)
            target.chmod(0o600)

    def _sip_phone(self, number: str, name: str) -> str:
        return f"""\
[{number}](phone)
callerid = {name} <{number}>
secret = {self.phone_password}
"""

    def _modules(self) -> Path:
        for directory in sorted(self.root.glob("usr/lib/**/asterisk/modules")):
            return Path("/") / directory.relative_to(self.root)
        raise LabError("the chroot has no Asterisk modules")

    def _asterisk_ids(self) -> tuple[int, int]:
        for line in (self.root / "etc/passwd").read_text().splitlines():
            name, _, uid, gid, *_ = line.split(":")
            if name == "asterisk":
                return int(uid), int(gid)
        raise LabError("the chroot has no user named asterisk")

    def _wait_fully_booted(self, *, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        with socket.create_connection(("127.0.0.1", self.ami_port), timeout=seconds) as ami:
            login = f"Action: Login\r\nUsername: lab\r\nSecret: {self.users['lab']}\r\n\r\n"
            ami.sendall(login.encode())
            received = b""
            while b"Event: FullyBooted" not in received:
                ami.settimeout(max(deadline - time.monotonic(), 0.001))
                try:
                    chunk = ami.recv(65536)
                except TimeoutError:
                    raise LabError(f"Asterisk was not fully booted in {seconds} s") from None
                if not chunk:
                    raise LabError(f"Asterisk closed the AMI connection: {received!r}")
                received += chunk


def peers(first: Asterisk, second: Asterisk) -> None:
    """Connect two PBXs, before their start, by the trunk that each calls ``peer``."""
    first.peer_port, second.peer_port = second.sip_port, first.sip_port


def _for_chan_sip(name: str, text: str) -> str:
    """Return a file of the configuration as a PBX with chan_sip has it."""
    if name == "modules.conf":
        lines = [line for line in text.splitlines() if "pjsip" not in line]
        return "\n".join([*lines, "load = chan_sip.so", ""])
    return text.replace("PJSIP/", "SIP/")


def _phone(number: str, name: str) -> str:
    return f"""\
[{number}](phone)
callerid = {name} <{number}>
auth = {number}
aors = {number}
[{number}](phone-auth)
username = {number}
[{number}](phone-aor)
"""
