"""What an operator sets for each PBX.

Secrets are plain fields here; that they may also come from a file or from the environment
(`events_secret_file`, `events_secret_env`) is the business of whoever reads the configuration.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FilePath,
    SecretStr,
    model_validator,
)

from crm_core.errors import Invalid
from crm_core.phone import PhoneRules

_LONGEST_VALUE: Final = 900
"""Bytes. Asterisk refuses lines of more than 1024 with their key (`manager.c`, `inbuf`)."""


def _sendable(value: str) -> str:
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
        raise ValueError("must not contain control characters such as line ends")
    if len(value.encode()) > _LONGEST_VALUE:
        raise ValueError(f"must not be longer than {_LONGEST_VALUE} bytes")
    return value


def _sendable_secret(value: SecretStr) -> SecretStr:
    _sendable(value.get_secret_value())
    return value


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from error
    return value


Sendable = Annotated[str, AfterValidator(_sendable)]
Secret = Annotated[SecretStr, AfterValidator(_sendable_secret)]
Pattern = Annotated[str, AfterValidator(_pattern)]
Seconds = Annotated[float, Field(gt=0, le=3600)]


class LinkSettings(BaseModel):
    """How patiently a PBX is waited for. All in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    connect_s: Seconds = 5.0
    login_s: Seconds = 10.0
    """Asterisk itself takes one second to refuse a login."""
    booted_s: Seconds = 5.0
    """How long `FullyBooted` is waited for before the list of channels is asked for anyway."""
    list_s: Seconds = 15.0
    order_s: Seconds = 5.0
    audit_every_s: Seconds = 120.0
    """How often the channels are listed, to see whether events were lost."""
    ping_every_s: Seconds = 15.0
    ping_answer_s: Seconds = 5.0
    """A PBX that does not answer a ping in this time is taken for gone."""
    retry_first_s: Seconds = 1.0
    retry_most_s: Seconds = 60.0
    """Tries are a random time apart that doubles on average from the first to the most."""
    retry_refused_s: Seconds = 120.0
    """After a refused login: more often would get this host banned."""


class RecorderSettings(BaseModel):
    """The flight recorder: keeps what a PBX said, to look at a call again (`santral trace`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    days: Annotated[int, Field(ge=1, le=365)] = 7
    """How long it is kept. It holds the numbers and names of callers."""
    max_bytes: Annotated[int, Field(ge=16 * 1024 * 1024)] = 1024 * 1024 * 1024
    """What it may take on the disk, compressed; the oldest goes first."""
    directory: Path | None = None
    """A directory for each PBX is made in it.

    None: `flight` beside the SQLite database, else in the directory where this machine keeps state.
    """


class RecoverySettings(BaseModel):
    """Where the PBX's own records are read, to learn how calls ended that nobody saw ending."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cdr_csv: Path | None = None
    """`Master.csv` of `cdr_csv`, or a file of `cdr_custom`, as this machine sees it."""
    cdr_columns: tuple[Annotated[str, Field(pattern=r"^[a-z]{1,40}$")], ...] = ()
    """The columns of a file of `cdr_custom`, by the names that `CDR()` has for them."""
    queue_log: Path | None = None
    """Tells abandoned calls from others for sure, and how long a caller of a queue waited."""
    cel_csv: Path | None = None
    """A file of `cel_custom`: tells to the microsecond who talked with whom. Besides `cdr_csv`."""
    cel_columns: tuple[Annotated[str, Field(pattern=r"^[a-z]{1,40}$")], ...] = ()
    """Its columns, by the names that `cel_custom.conf` has for them."""
    wait_s: Seconds = 30.0
    """How long a call is looked for, before how it ended is said to be unknown."""
    longest_gap_s: Annotated[float, Field(gt=0, le=31 * 86_400)] = 86_400.0
    """How far back calls are looked for that began and ended unseen."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        needed = {"uniqueid", "channel", "start", "end", "disposition"}
        if self.cdr_columns and (missing := needed - set(self.cdr_columns)):
            raise ValueError(f"cdr_columns lacks {', '.join(sorted(missing))}")
        if self.cel_csv is not None:
            if self.cdr_csv is None:
                raise ValueError("cel_csv is read besides cdr_csv, which is not set")
            needed = {"eventtype", "eventtime", "channame", "uniqueid", "eventextra"}
            if missing := needed - set(self.cel_columns):
                raise ValueError(f"cel_columns lacks {', '.join(sorted(missing))}")
        return self

    @property
    def enabled(self) -> bool:
        """Whether there is anything to read."""
        return self.cdr_csv is not None or self.queue_log is not None


class RewriteRule(BaseModel):
    """Changes numbers as this PBX writes them before anything else looks at them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pattern: Pattern
    r"""A regular expression that must match all of the number, such as `8(\d{10})`."""
    replacement: str
    r"""What becomes of it, such as `+7\1`."""


class PbxSettings(BaseModel):
    """One Asterisk: how to reach it, and how its numbers and endpoints are to be read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$")] = "pbx"
    """Part of each call's id: do not change it later."""
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 5038

    tls: bool = False
    tls_ca_file: FilePath | None = None
    """The certificates to trust instead of the system's, for a PBX that signed its own."""
    tls_verify: bool = True
    """False accepts any certificate: encrypted, but to whom nobody knows."""

    auth: Literal["plain", "md5"] = "plain"
    """`md5` does not send the secret itself; Asterisk must then have it in clear."""
    events_user: Sendable
    events_secret: Secret
    actions_user: Sendable = ""
    actions_secret: Secret = SecretStr("")
    """A second AMI user for orders such as pause or click-to-call. Without one there are none."""

    region: str = "TR"
    """The ISO 3166 country of numbers without an international prefix."""
    trunk_prefixes: tuple[str, ...] = ()
    """Digits dialled to get a line, such as `9`: taken off public numbers."""
    rewrite: tuple[RewriteRule, ...] = ()
    extension_digits: tuple[int, int] = (2, 5)
    """The fewest and the most digits of an internal extension."""
    own_numbers: tuple[str, ...] = ()
    """Numbers of this company: they never become customers."""

    phones: Pattern = r"\d{2,5}"
    """Endpoints that are phones: a regular expression for all of `1001` or of `PJSIP/1001`."""
    trunks: Pattern = ""
    """Endpoints that are trunks though they look like phones. All others are trunks anyway."""
    queues: tuple[str, ...] = ()
    """The queues to show. None named: all."""

    dial_context: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,79}$")] = "from-internal"
    """The dialplan context in which numbers dialled from the desk start."""
    dial_timeout_s: Annotated[int, Field(ge=5, le=120)] = 30
    """How long the agent's own phone rings for a click-to-call."""

    inbox_size: Annotated[int, Field(ge=100)] = 50_000
    """Events that may wait to be worked on before the link is dropped and resynchronised."""
    link: LinkSettings = LinkSettings()
    recorder: RecorderSettings = RecorderSettings()
    recovery: RecoverySettings = RecoverySettings()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.actions_user) != bool(self.actions_secret.get_secret_value()):
            raise ValueError("actions_user and actions_secret go together")
        try:
            self.phone_rules()
        except Invalid as error:
            raise ValueError(str(error)) from error
        return self

    def phone_rules(self) -> PhoneRules:
        """How this PBX's numbers are to be read."""
        return PhoneRules(
            region=self.region,
            trunk_prefixes=self.trunk_prefixes,
            rewrites=tuple((rule.pattern, rule.replacement) for rule in self.rewrite),
            extension_digits=self.extension_digits,
        )

    def is_phone(self, endpoint: str) -> bool:
        """Tell whether `PJSIP/1001` is a phone of ours; anything else is a trunk."""
        _, _, resource = endpoint.partition("/")
        names = (endpoint, resource)
        if self.trunks and any(re.fullmatch(self.trunks, name) for name in names):
            return False
        return any(re.fullmatch(self.phones, name) for name in names)

    @property
    def takes_orders(self) -> bool:
        """Whether a second session for orders is configured."""
        return bool(self.actions_user)
