"""The installation's settings: what is written in the example, and what parts get of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from config.mistakes import ConfigError
from config.settings import Settings, load_settings
from config.shapes import secrets_in, url_without_password

PBX = """
[[pbx]]
events_user = "santral"
events_secret = "s3cret-events"
"""
MAILBOX = """
[[mailbox]]
host = "imap.example.com"
user = "support@example.com"
password = "s3cret-mail"
"""


def loaded(tmp_path: Path, text: str, **environ: str) -> Settings:
    path = tmp_path / "santral.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path, environ).settings


def mistakes(tmp_path: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text, **environ)
    return [str(each).removeprefix(f"{tmp_path}/") for each in caught.value.mistakes]


def test_without_a_file_everything_has_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    settings = load_settings(None, {}).settings
    assert settings.database.url.get_secret_value() == "sqlite:////data/santral/santral.sqlite3"
    assert (settings.pbx, settings.mailbox, settings.region) == ((), (), "TR")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/santral:/var/lib/more")
    settings = load_settings(None, {}).settings
    assert settings.database.url.get_secret_value() == "sqlite:////var/lib/santral/santral.sqlite3"


def test_database_and_region_come_from_the_environment_without_a_file() -> None:
    environ = {"SANTRAL_DATABASE__URL": "sqlite:///here.db", "SANTRAL_REGION": "DE"}
    settings = load_settings(None, environ).settings
    assert settings.database.url.get_secret_value() == "sqlite:///here.db"
    assert settings.region == settings.web.region == "DE"


def test_parts_without_a_region_have_the_installations(tmp_path: Path) -> None:
    settings = loaded(tmp_path, 'region = "DE"\n' + PBX + PBX + 'name = "b"\nregion = "RU"\n')
    assert [pbx.region for pbx in settings.pbx] == ["DE", "RU"]
    assert settings.web.region == "DE"


def test_a_wrong_region_is_one_mistake(tmp_path: Path) -> None:
    assert mistakes(tmp_path, 'region = "Turkey"\n' + PBX) == [
        "santral.toml:1: region: must be a country code of two capital letters, such as TR"
    ]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://root:hunter22@db/x", "'mysql' is no database we know: use sqlite or postgresql"),
        ("sqlite://", "the database's address needs a path, as in sqlite:///santral.db"),
        ("hunter22", "the database's address is not of the form sqlite:///path"),
    ],
)
def test_a_wrong_database_address_is_not_repeated(tmp_path: Path, url: str, words: str) -> None:
    assert mistakes(tmp_path, f'[database]\nurl = "{url}"\n') == [
        f"santral.toml:2: database.url: {words}"
    ]


def test_names_are_used_once_in_each_kind(tmp_path: Path) -> None:
    both = PBX + MAILBOX + MAILBOX + PBX
    assert mistakes(tmp_path, both) == [
        "santral.toml:11: mailbox[2].name: another [[mailbox]] is called 'mailbox' already",
        "santral.toml:16: pbx[2].name: another [[pbx]] is called 'pbx' already",
    ]
    loaded(tmp_path, PBX + 'name = "x"\n' + MAILBOX + 'name = "x"\n')


def test_a_mailbox_belongs_to_a_team_that_is_there(tmp_path: Path) -> None:
    text = 'teams = ["support", "sales"]\n' + MAILBOX + 'team = "suport"\n'
    assert mistakes(tmp_path, text) == [
        "santral.toml:7: mailbox[1].team: there is no team 'suport'; did you mean 'support'?"
    ]
    assert loaded(tmp_path, MAILBOX + 'team = "any"\n').mailbox[0].team == "any"


def test_what_is_described_holds_no_secret(tmp_path: Path) -> None:
    text = '[database]\nurl = "postgresql://santral:s3cret-db@db/santral"\n' + PBX + MAILBOX
    settings = loaded(tmp_path, text)
    lines = list(settings.described())
    assert lines == [
        "region: TR",
        "database: postgresql://santral:********@db/santral",
        "web: 127.0.0.1:8080",
        "pbx pbx: 127.0.0.1:5038",
        "mailbox mailbox: support@example.com at imap.example.com:993",
    ]
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in str(settings.model_dump(mode="json"))


def test_every_secret_is_found_for_those_who_hide_them(tmp_path: Path) -> None:
    url = "postgresql://u:s3cret%3Adb@h/d"
    settings = loaded(tmp_path, PBX + MAILBOX, SANTRAL_DATABASE__URL=url)
    assert {"s3cret-events", "s3cret-mail", url, "s3cret:db"} <= set(secrets_in(settings))
    settings = loaded(tmp_path, "", SANTRAL_DATABASE__URL="sqlite:///x.db")
    assert list(secrets_in(settings)) == [], "this address keeps no secret"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///x.db", "sqlite:///x.db"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("postgresql://u:p@h:5/d", "postgresql://u:********@h:5/d"),
        ("postgresql://u:p%40:x@h/d?password=q", "postgresql://u:********@h/d"),
        ("postgresql://h/d?user=u&password=q", "postgresql://h/d"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    assert url_without_password(url) == shown


def test_the_directory_of_a_new_database_is_ours_alone(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "", SANTRAL_DATABASE__URL=f"sqlite:///{tmp_path}/a/b/x.db")
    settings.database.make_directory()
    assert (tmp_path / "a" / "b").stat().st_mode & 0o077 == 0
    settings.database.make_directory()


def test_a_database_named_in_the_file_lies_beside_it(tmp_path: Path) -> None:
    text = '[database]\nurl = "sqlite:///santral.db"\n'
    assert loaded(tmp_path, text).database.shown == f"sqlite:///{tmp_path}/santral.db"
    for url in ("sqlite:////var/x.db", "postgresql://h/d"):
        assert loaded(tmp_path, f'[database]\nurl = "{url}"\n').database.shown == url
    there = loaded(tmp_path, text, SANTRAL_DATABASE__URL="sqlite:///here.db")
    assert there.database.shown == "sqlite:///here.db", "the caller's directory, not the file's"


def test_settings_can_be_made_in_code() -> None:
    values: dict[str, Any] = {"database": {"url": SecretStr("sqlite:///x")}}
    assert Settings(**values).database.shown == "sqlite:///x"


def test_mistakes_are_said_in_words_of_the_file(tmp_path: Path) -> None:
    text = """
[web]
host = ""
public_url = "https://desk.example.com/santral"
trusted_proxies = ["10.0.0.1/8"]
[web.sign_in]
idle_hours = inf
absolute_hours = 1e9
[[pbx]]
name = "a b"
events_user = "u"
events_secret = "s"
tls_ca_file = "/nowhere/ca.pem"
[[mailbox]]
host = "h"
user = "u"
password = "p"
folders = []
"""
    assert [line.partition(": ")[2] for line in mistakes(tmp_path, text)] == [
        "web.host: must not be empty",
        ("web.public_url: must be an address such as https://desk.example.com, without a path"),
        (
            "web.trusted_proxies[1]: must be a network such as 10.0.0.0/8 or an address, "
            'not "10.0.0.1/8"'
        ),
        "web.sign_in.idle_hours: must be a number, not Infinity",
        "web.sign_in.absolute_hours: must be at most 8784.0, not 1000000000.0",
        'pbx[a b].name: must match ^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$, not "a b"',
        "pbx[a b].tls_ca_file: there is no file /nowhere/ca.pem",
        "mailbox[1].folders: must not be empty",
    ]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("https://Desk.Example.com/", "https://desk.example.com"),
        ("https://desk.example.com:443", "https://desk.example.com"),
        ("http://[::1]:80", "http://[::1]"),
        ("http://desk:8080", "http://desk:8080"),
    ],
)
def test_an_address_is_kept_as_browsers_say_it(tmp_path: Path, written: str, said: str) -> None:
    assert loaded(tmp_path, f'[web]\npublic_url = "{written}"\n').web.public_url == said


@pytest.mark.parametrize(
    ("web", "warned"),
    [
        ("", []),
        ('host = "localhost"', []),
        ('host = "::1"', []),
        ('host = "0.0.0.0"', ["web.host 0.0.0.0"]),
        ('host = "desk.internal"\npublic_url = "http://desk"', ["web.host desk.internal"]),
        ('public_url = "https://desk"', ["web.public_url"]),
        ('host = "10.1.1.1"\npublic_url = "https://d"\ntrusted_proxies = ["10.1.1.2"]', []),
    ],
)
def test_what_is_risky_is_warned_of(tmp_path: Path, web: str, warned: list[str]) -> None:
    path = tmp_path / "santral.toml"
    path.write_text(f"[web]\n{web}\n")
    warnings = load_settings(path, {}).warnings
    assert [
        warning[: len(words)] for warning, words in zip(warnings, warned, strict=True)
    ] == warned
