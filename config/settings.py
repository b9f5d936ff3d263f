"""Every setting of an installation: each package's own, put together.

A package gets only its part. Nobody but this module and `reading` looks at the environment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from agent_ui.caller import is_in
from agent_ui.settings import LOOPBACK, UiSettings
from config.logs import Format, Level
from config.mistakes import ConfigError, Mistake, unknown_name
from config.reading import Read, read_settings
from config.shapes import url_without_password
from config.toml_lines import Path as Place
from crm_core.errors import Invalid
from crm_core.phone import PhoneRules
from cti.settings import PbxSettings
from mail.settings import MailboxSettings

__all__ = [
    "ConfigError",
    "DatabaseSettings",
    "LogSettings",
    "Mistake",
    "Read",
    "Settings",
    "load_settings",
]


_DATABASE_VARIABLE = "SANTRAL_DATABASE__URL"


def default_database_url() -> str:
    """An SQLite file in the directory where this machine keeps state of services or of the user."""
    return f"sqlite:///{_state_directory() / 'santral.sqlite3'}"


def _state_directory() -> Path:
    state = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]  # set by systemd
    home = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(state) if state else Path(home) / "santral"


class DatabaseSettings(BaseModel):
    """Where customers, history, users and mails are kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: SecretStr = Field(default_factory=lambda: SecretStr(default_database_url()))
    """`sqlite:///path` (in the file: relative to it) or `postgresql://user:password@host/name`."""

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: SecretStr) -> SecretStr:
        from crm_core.db.engine import database_url  # noqa: PLC0415 - loads SQLAlchemy

        try:
            database_url(value.get_secret_value())
        except Invalid as error:
            raise ValueError(str(error)) from None
        return value

    def make_directory(self) -> None:
        """Make the directory of an SQLite file, readable by us alone, if it is not there."""
        kind, _, path = self.url.get_secret_value().partition(":///")
        if kind.startswith("sqlite") and path:
            Path(path.partition("?")[0]).parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def beside(self, directory: Path) -> DatabaseSettings:
        """The same, with the path of an SQLite file taken from this directory if it is relative."""
        kind, _, path = self.url.get_secret_value().partition(":///")
        if not kind.startswith("sqlite") or path.startswith("/"):
            return self
        return DatabaseSettings(url=SecretStr(f"{kind}:///{directory / path}"))

    @property
    def shown(self) -> str:
        """The address without its password."""
        return url_without_password(self.url.get_secret_value())


class LogSettings(BaseModel):
    """What is logged, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    level: Level = "info"
    format: Format = "auto"
    """`auto` is `console` on a terminal and `json` elsewhere."""
    redact: bool = True
    """Mask phone numbers and mail addresses. Secrets are never logged in any case."""


class Settings(BaseModel):
    """The whole installation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    region: str = "TR"
    """The ISO 3166 country of numbers without an international prefix."""
    teams: tuple[str, ...] = ()
    """The names of the teams. When there are any, other settings may only name these."""
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    pbx: tuple[PbxSettings, ...] = ()
    mailbox: tuple[MailboxSettings, ...] = ()
    web: UiSettings = Field(default_factory=UiSettings)
    log: LogSettings = Field(default_factory=LogSettings)

    @field_validator("region")
    @classmethod
    def _check_region(cls, value: str) -> str:
        if not _is_region(value):
            raise ValueError("must be a country code of two capital letters, such as TR")
        return value

    @model_validator(mode="before")
    @classmethod
    def _hand_region_on(cls, values: Any) -> Any:
        """Parts that do not say a region of their own have the installation's."""
        if not isinstance(values, dict) or not _is_region(values.get("region")):
            return values
        region = {"region": values["region"]}
        handed_on = dict(values)
        web, pbxs = values.get("web", {}), values.get("pbx", ())
        if isinstance(web, dict):
            handed_on["web"] = region | web
        if isinstance(pbxs, (list, tuple)):
            handed_on["pbx"] = [region | pbx if isinstance(pbx, dict) else pbx for pbx in pbxs]
        return handed_on

    def recorder_directory(self, pbx: PbxSettings) -> Path:
        """Where the flight recorder of a PBX writes."""
        base = pbx.recorder.directory
        if base is None:
            kind, _, path = self.database.url.get_secret_value().partition(":///")
            is_file = kind.startswith("sqlite")
            here = Path(path.partition("?")[0]).parent if is_file else _state_directory()
            base = here / "flight"
        return base / pbx.name

    def described(self) -> Iterator[str]:
        """What is configured, one line each, without secrets."""
        yield f"region: {self.region}"
        yield f"database: {self.database.shown}"
        yield f"web: {self.web.host}:{self.web.port}" + (
            f", known as {self.web.public_url}" if self.web.public_url else ""
        )
        for pbx in self.pbx:
            yield f"pbx {pbx.name}: {pbx.host}:{pbx.port}" + (", TLS" if pbx.tls else "")
        for mailbox in self.mailbox:
            yield f"mailbox {mailbox.name}: {mailbox.user} at {mailbox.host}:{mailbox.port}"
        if not self.pbx:
            yield "no PBX: no calls will be seen"
        if not self.mailbox:
            yield "no mailbox: no mails will be read"


def load_settings(
    path: Path | None = None, environ: Mapping[str, str] | None = None
) -> Read[Settings]:
    """Read the settings from the file (None: none) and the environment.

    Raises:
        ConfigError: with every mistake there is.
    """
    environ = os.environ if environ is None else environ
    read = read_settings(Settings, path, environ, checks=(_names_used_twice, _teams_that_are_none))
    read = replace(read, warnings=(*read.warnings, *_risks(read.settings.web)))
    if path is None or any(name.startswith(_DATABASE_VARIABLE) for name in environ):
        return read
    database = read.settings.database.beside(path.parent)
    return replace(read, settings=read.settings.model_copy(update={"database": database}))


def _risks(web: UiSettings) -> Iterator[str]:
    """What is allowed but seldom meant."""
    if web.secure and not web.trusted_proxies:
        yield (
            "web.public_url is an https address, but web.trusted_proxies names no proxy: everybody "
            "will seem to come from the same address, and be limited together"
        )
    if not (web.secure or web.host == "localhost" or is_in(web.host, LOOPBACK)):
        yield (
            f"web.host {web.host} can be reached from other machines without TLS: passwords and "
            "customers cross the network in the clear (see docs/operations.md, reverse proxy)"
        )


def _is_region(value: object) -> bool:
    try:
        PhoneRules(region=str(value))
    except Invalid:
        return False
    return isinstance(value, str)


def _tables(values: Mapping[str, Any], key: str) -> Iterator[tuple[int, dict[str, Any]]]:
    tables = values.get(key)
    if isinstance(tables, list):
        yield from ((at, table) for at, table in enumerate(tables) if isinstance(table, dict))


def _names_used_twice(values: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    for key, model in (("pbx", PbxSettings), ("mailbox", MailboxSettings)):
        seen = set()
        default = model.model_fields["name"].get_default()
        for at, table in _tables(values, key):
            name = table.get("name", default)
            if isinstance(name, str) and name in seen:
                yield (key, at, "name"), f"another [[{key}]] is called {name!r} already"
            elif isinstance(name, str):
                seen.add(name)


def _teams_that_are_none(values: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    teams = values.get("teams")
    if not isinstance(teams, list) or not teams:
        return
    names = [team for team in teams if isinstance(team, str)]
    for at, table in _tables(values, "mailbox"):
        team = table.get("team")
        if isinstance(team, str) and team and team not in names:
            yield ("mailbox", at, "team"), unknown_name("team", team, names)
