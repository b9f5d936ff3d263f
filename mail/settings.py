"""What an operator sets for each mailbox.

The password is a plain field here; that it may also come from a file or from the environment
(`password_file`, `password_env`) is the business of whoever reads the configuration.
"""

from __future__ import annotations

import ssl
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FilePath, SecretStr

from crm_core.address import mail_address


def _own_address(value: str) -> str:
    """An address, or `@example.com` for all addresses of a domain."""
    domain = value.startswith("@")
    address = mail_address(f"all{value}" if domain else value)
    if address is None:
        raise ValueError("must be a mail address, or @ and a domain for all of its addresses")
    return address.removeprefix("all") if domain else address


def _one_line(value: str) -> str:
    if any(char in value for char in "\0\r\n"):
        raise ValueError("must not contain line ends")
    return value


OwnAddress = Annotated[str, AfterValidator(_own_address)]
OneLine = Annotated[str, AfterValidator(_one_line)]


class MailboxSettings(BaseModel):
    """One mailbox: how to reach it over IMAP, and whose mails these are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$")] = "mailbox"
    """Part of what was read how far: do not change it later."""
    host: Annotated[OneLine, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] = 993
    tls: Literal["tls", "none"] = "tls"
    """`none` sends the password and every mail in the clear: only for a server on this machine."""
    tls_ca_file: FilePath | None = None
    """The certificates to trust instead of the system's, for a server that signed its own."""
    user: OneLine
    password: SecretStr
    folders: Annotated[tuple[OneLine, ...], Field(min_length=1)] = ("INBOX",)
    """The first is watched all the time, the others at every poll. `Sent` brings the answers that
    were written in other programs."""

    team: str = ""
    """Who is told of a mail whose sender nobody owns."""
    own_addresses: tuple[OwnAddress, ...] = ()
    """Our addresses, and `@example.com` for all of a domain: they never become customers, and
    mails from them count as sent."""
    backfill_days: Annotated[int, Field(ge=0, le=3650)] = 0
    """How many days of mails that are there already are read at the very first start."""

    poll_s: Annotated[float, Field(ge=1, le=1500)] = 60.0
    """Seconds after which the server is asked for mail even if it said nothing. IDLE is renewed
    then: servers and address translators forget a connection that is silent for long."""
    answer_s: Annotated[float, Field(gt=0, le=300)] = 30.0
    """Seconds that the server may take for one answer."""
    retry_first_s: Annotated[float, Field(gt=0, le=300)] = 2.0
    retry_most_s: Annotated[float, Field(gt=0, le=3600)] = 300.0
    """Tries are a random time apart that grows from the first to the most."""
    retry_refused_s: Annotated[float, Field(gt=0, le=86400)] = 900.0
    """After a refused login: more often would get the account locked."""
    max_mail_bytes: Annotated[int, Field(ge=64 * 1024, le=1024**3)] = 40 * 1024**2
    """Of a larger mail only the beginning is fetched; it is shown as too large."""
    max_attempts: Annotated[int, Field(ge=1, le=50)] = 5
    """Tries for one mail until it is set aside and tried only rarely."""

    @property
    def ours(self) -> frozenset[str]:
        """Every address of ours that this mailbox knows of: its user, too, where that is one."""
        user = mail_address(self.user)
        return frozenset(self.own_addresses) | ({user} if user else frozenset())

    def ssl_context(self) -> ssl.SSLContext | None:
        """How the server proves who it is, or None without TLS.

        Raises:
            OSError: the file with certificates cannot be read.
        """
        if self.tls == "none":
            return None
        cafile = None if self.tls_ca_file is None else str(self.tls_ca_file)
        return ssl.create_default_context(cafile=cafile)
