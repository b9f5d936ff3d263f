"""The `santral` command: what it prints, what it changes, and how it ends."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner, Result

from config.cli import main
from config.settings import Settings

TRACES = Path(__file__).resolve().parent.parent / "traces"
PASSWORD = "correct horse battery"

Santral = Callable[..., Result]


@pytest.fixture
def santral(tmp_path: Path) -> Iterator[Santral]:
    """Runs a command on a database of this test, and expects this exit code."""
    root = logging.getLogger()
    handlers, level, umask = root.handlers[:], root.level, os.umask(0o022)
    os.umask(umask)
    environ = {name: None for name in os.environ if name.startswith("SANTRAL_")} | {
        "SANTRAL_DATABASE__URL": f"sqlite:///{tmp_path}/santral.sqlite3"
    }

    def run(*args: str, code: int = 0, stdin: str | bytes = "", **more: str | None) -> Result:
        result = CliRunner().invoke(main, args, input=stdin, env=environ | more)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    yield run
    os.umask(umask)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines_of(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


# --- settings -------------------------------------------------------------------------------------


def test_check_config_shows_what_is_configured_without_secrets(
    santral: Santral, tmp_path: Path
) -> None:
    path = tmp_path / "santral.toml"
    path.write_text('[[pbx]]\nname = "main"\nevents_user = "u"\nevents_secret = "s3cret"\n')
    path.chmod(0o600)
    result = santral("check-config", "-c", str(path))
    assert result.stdout.splitlines()[-1] == "OK"
    assert "pbx main: 127.0.0.1:5038" in result.stdout
    assert "s3cret" not in result.output
    assert santral("check-config", SANTRAL_CONFIG=str(path)).stdout == result.stdout


def test_check_config_lists_every_mistake_and_exits_2(santral: Santral, tmp_path: Path) -> None:
    path = tmp_path / "santral.toml"
    path.write_text('[web]\nprot = 1\nport = "x"\n')
    result = santral("check-config", "-c", str(path), code=2, SANTRAL_LOG__LEVEL="loud")
    assert result.stdout == ""
    assert [line.removeprefix(f"{tmp_path}/") for line in result.stderr.splitlines()] == [
        "santral.toml:2: web.prot: there is no such setting; did you mean 'port'?",
        'santral.toml:3: web.port: must be a whole number, not "x"',
        (
            "environment variable SANTRAL_LOG__LEVEL: log.level: "
            "must be 'debug', 'info', 'warning' or 'error', not \"loud\""
        ),
    ]


@pytest.mark.parametrize(
    "args",
    [
        ("migrate",),
        ("user", "list"),
        ("user", "link", "ece"),
        ("import", "/dev/null"),
        ("match", "112"),
        ("doctor",),
        ("serve",),
    ],
)
def test_every_command_refuses_wrong_settings_with_2(santral: Santral, args: tuple[str]) -> None:
    result = santral(*args, "-c", "/nowhere.toml", code=2)
    assert result.stderr == "/nowhere.toml: there is no such file\n"


def test_wrong_usage_exits_2(santral: Santral) -> None:
    santral("bogus", code=2)
    santral("match", code=2)
    santral("replay", "--bogus", code=2)


def test_a_database_that_cannot_be_reached_is_said_in_one_line(santral: Santral) -> None:
    url = "postgresql://u:s3cret@127.0.0.1:1/santral"
    result = santral("user", "list", code=1, SANTRAL_DATABASE__URL=url)
    assert result.stderr.startswith("santral: ")
    assert len(result.stderr.splitlines()) == 1
    assert "s3cret" not in result.output


# --- the database ---------------------------------------------------------------------------------


def test_migrate_makes_the_tables_and_says_so(santral: Santral) -> None:
    assert "the database was empty" in santral("migrate", "--check", code=1).stderr
    assert santral("migrate").stdout.startswith("the database was empty before, has ")
    assert santral("migrate").stdout.startswith("up to date at ")
    assert santral("migrate", "--check").stdout.startswith("up to date at ")


def test_an_empty_database_is_made_at_the_first_use_and_is_ours_alone(
    santral: Santral, tmp_path: Path
) -> None:
    santral("user", "list")
    santral("migrate", "--check")
    assert (tmp_path / "santral.sqlite3").stat().st_mode & 0o077 == 0


def test_a_database_of_another_version_is_left_alone(santral: Santral, tmp_path: Path) -> None:
    import sqlite3

    santral("migrate")
    connection = sqlite3.connect(tmp_path / "santral.sqlite3")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    result = santral("match", "112", code=1)
    assert "the database has the schema 9999" in result.stderr
    assert "run `santral migrate`" in result.stderr


def test_a_file_that_is_no_database_is_said_in_one_line(santral: Santral, tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("dear diary, " * 100)
    url = f"sqlite:///{tmp_path}/x.db"
    said = santral("user", "list", code=1, SANTRAL_DATABASE__URL=url).stderr
    assert said == "santral: what is there is not a database of ours: file is not a database\n"
    assert "not a database" in santral("doctor", code=1, SANTRAL_DATABASE__URL=url).output


def test_a_defect_of_the_daemon_is_logged_without_secrets(
    santral: Santral, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "santral.toml"
    path.write_text('[[pbx]]\nevents_user = "u"\nevents_secret = "s3cret-ami"\n')

    async def broken(settings: Settings) -> None:
        raise ExceptionGroup("of a TaskGroup", [ValueError(repr(settings.pbx[0].events_secret))])

    async def also_broken(settings: Settings) -> None:
        raise ValueError(f"{settings.pbx[0].events_secret.get_secret_value()} +905321234567")

    for defect in (broken, also_broken):
        monkeypatch.setattr("config.app.serve", defect)
        said = santral("serve", "-c", str(path), code=1).stderr.splitlines()[-1]
        line = json.loads(said)
        assert (line["level"], line["event"][:14]) == ("critical", "a part failed,")
        assert "ValueError" in line["exception"]
        assert "s3cret" not in said
        assert "5321234567" not in said


# --- users ----------------------------------------------------------------------------------------


def test_a_user_is_added_and_listed(santral: Santral) -> None:
    args = ("--name", "Ece Yıldız", "--team", "support", "--phone", "main:PJSIP/1001")
    added = santral("user", "add", "Ece", *args, "--password-stdin", stdin=f"{PASSWORD}\n")
    assert added.stdout == "created agent ece\n"
    assert lines_of(santral("user", "list", "--json")) == [
        {
            "login": "ece",
            "name": "Ece Yıldız",
            "role": "agent",
            "team": "support",
            "language": "en",
            "email": "",
            "phones": ["main:PJSIP/1001"],
            "active": True,
        }
    ]
    assert "ece\tagent\tEce Yıldız\tsupport\tmain:PJSIP/1001" in santral("user", "list").stdout


def test_a_login_or_a_phone_that_is_taken_is_refused(santral: Santral) -> None:
    phone = ("--phone", "main:PJSIP/1001", "--no-password")
    santral("user", "add", "ece", *phone)
    assert "'ece' is taken" in santral("user", "add", "ECE", "--no-password", code=1).stderr
    taken = santral("user", "add", "can", *phone, code=1).stderr
    assert "the phone main:PJSIP/1001 belongs to ece;" in taken
    assert "santral user change ece --remove-phone main:PJSIP/1001" in taken
    assert "'ece' is taken" in santral("user", "add", "ece", *phone, code=1).stderr
    santral("user", "change", "ece", "--inactive")
    taken = santral("user", "add", "can", *phone, code=1).stderr
    assert "belongs to ece, who is inactive but keeps it" in taken
    santral("user", "change", "ece", "--remove-phone", "main:PJSIP/1001")
    santral("user", "add", "can", *phone)


def test_the_password_is_typed_twice(santral: Santral) -> None:
    santral("user", "add", "ece", stdin=f"{PASSWORD}\n{PASSWORD}\n")
    result = santral("user", "password", "ece", stdin=f"{PASSWORD}1\n{PASSWORD}1\n")
    assert result.stdout == "changed the password of ece\n"
    assert PASSWORD not in result.output


def test_a_user_is_changed(santral: Santral) -> None:
    santral("user", "add", "ece", "--no-password", "--phone", "main:PJSIP/1001")
    santral("user", "add", "can", "--no-password", "--phone", "main:PJSIP/1002")
    santral(
        *("user", "change", "ECE", "--name", "Ece Yıldız", "--role", "supervisor", "--team", "a"),
        *("--remove-phone", "main:PJSIP/1001", "--add-phone", "main:PJSIP/1003"),
    )
    ece = lines_of(santral("user", "list", "--json"))[0]
    assert ece == {
        "login": "ece",
        "name": "Ece Yıldız",
        "role": "supervisor",
        "team": "a",
        "language": "en",
        "email": "",
        "phones": ["main:PJSIP/1003"],
        "active": True,
    }
    taken = santral("user", "change", "ece", "--add-phone", "main:PJSIP/1002", code=1)
    assert "the phone main:PJSIP/1002 belongs to can" in taken.stderr
    none = santral("user", "change", "ece", "--remove-phone", "main:PJSIP/1", code=1)
    assert "'ece' has no phone 'PJSIP/1'" in none.stderr
    assert "there is no user" in santral("user", "change", "eve", "--team", "", code=1).stderr
    assert "nothing to change" in santral("user", "change", "ece", code=2).stderr
    santral("user", "change", "ece", "--name", " ", code=2)
    santral("user", "change", "ece", "--add-phone", "1001", code=2)
    assert lines_of(santral("user", "list", "--json"))[0] == ece


def test_a_user_who_left_is_inactive_and_may_come_back(santral: Santral) -> None:
    santral("user", "add", "ece", "--no-password")
    assert "(inactive)" in santral("user", "change", "ece", "--inactive").stdout
    assert "is inactive" in santral("user", "link", "ece", code=1).stderr
    assert "(inactive)" not in santral("user", "change", "ece", "--active").stdout
    santral("user", "link", "ece")


@pytest.mark.parametrize(
    "args",
    [
        ("add", "ece", "--password-stdin"),
        ("add", "ece", "--no-password", "--phone", "1001"),
        ("add", "ece", "--no-password", "--role", "boss"),
        ("add", " ", "--no-password"),
    ],
)
def test_what_cannot_be_a_user_is_wrong_usage(santral: Santral, args: tuple[str]) -> None:
    santral("user", *args, code=2, stdin="short\n")
    assert santral("user", "list").stdout == ""


def test_a_phone_belongs_to_a_pbx_of_the_settings(santral: Santral, tmp_path: Path) -> None:
    path = tmp_path / "santral.toml"
    text = 'teams = ["support"]\n[[pbx]]\nname = "main"\nevents_user = "u"\nevents_secret = "s"\n'
    path.write_text(text)
    add = ("user", "add", "ece", "--no-password", "-c", str(path))
    assert "there is no PBX 'mian'" in santral(*add, "--phone", "mian:SIP/1", code=2).stderr
    assert "there is no team 'sales'" in santral(*add, "--team", "sales", code=2).stderr
    santral(*add, "--phone", "main:SIP/1", "--team", "support")


def test_a_link_signs_in_at_the_address_people_use(santral: Santral) -> None:
    santral("user", "add", "ece", "--no-password")
    link = santral("user", "link", "ece").stdout
    assert link.startswith("http://127.0.0.1:8080/signin/")
    link = santral("user", "link", "ece", SANTRAL_WEB__PUBLIC_URL="https://desk.example").stdout
    assert link.startswith("https://desk.example/signin/")
    assert "there is no user 'eve'" in santral("user", "link", "eve", code=1).stderr
    any_port = santral("user", "link", "ece", code=1, SANTRAL_WEB__PORT="0")
    assert "the port is chosen when Santral starts" in any_port.stderr


# --- customers ------------------------------------------------------------------------------------

CONTACTS = "Name;Phone;Email;Company\nZoë Müller;0532 123 45 67;zoe@example.com;Acme\nBad;12;;\n"


def test_contacts_are_imported_and_then_known(santral: Santral, tmp_path: Path) -> None:
    file = tmp_path / "contacts.csv"
    file.write_text(CONTACTS, encoding="utf-8")
    result = santral("import", str(file), "--dry-run")
    assert result.stderr.startswith("REFUSED: 1 of 2 rows")
    dry = result.stdout
    assert "row 3, Phone: '12' is no phone number" in dry
    assert "2 rows: 1 created, 0 updated, 0 unchanged, 1 refused (nothing was changed)" in dry
    assert lines_of(santral("match", "+905321234567", "--json"))[0]["result"] == "unknown"

    (report,) = lines_of(santral("import", str(file), "--json"))
    assert (report["created"], report["refused"], report["dry_run"]) == (1, 1, False)
    assert [(each["row"], each["column"]) for each in report["errors"]] == [(3, "Phone")]

    for party in ("05321234567", "0532 123 45 67", "+905321234567", "ZOE@example.com"):
        (match,) = lines_of(santral("match", party, "--json"))
        assert match["result"] == "known"
        assert match["candidates"] == [
            {"contact": 1, "name": "Zoë Müller", "account": "Acme", "external_id": ""}
        ]
        assert match["reasons"]
    said = santral("match", "05321234567").stdout
    assert said.startswith("+905321234567: known\n  Zoë Müller, Acme\n  because: ")


def test_contacts_come_from_standard_input_and_by_another_countrys_rules(santral: Santral) -> None:
    csv = "name,phone\nJonas,030 901820\n"
    santral("import", "-", stdin=csv, SANTRAL_REGION="DE")
    (match,) = lines_of(santral("match", "+4930901820", "--json"))
    assert match["result"] == "known"


def test_a_file_without_contacts_fails(santral: Santral) -> None:
    assert "no column with names" in santral("import", "-", code=1, stdin="a,b\n1,2\n").stderr
    assert santral("import", "-", code=1, stdin="name,phone\nx,1\n").stdout
    assert "No such file" in santral("import", "/nowhere.csv", code=1).stderr


def test_match_reads_a_number_by_the_rules_of_the_pbx_that_was_called(
    santral: Santral, tmp_path: Path
) -> None:
    path = tmp_path / "santral.toml"
    path.write_text(
        "[[pbx]]\n"
        'name = "istanbul"\n'
        'events_user = "u"\n'
        'events_secret = "s"\n'
        'own_numbers = ["0212 555 01 01"]\n'
        "[[pbx]]\n"
        'name = "berlin"\n'
        'region = "DE"\n'
        'events_user = "u"\n'
        'events_secret = "s"\n'
        'own_numbers = ["030 901820"]\n'
    )

    def party(*args: str) -> tuple[str, str]:
        (match,) = lines_of(santral("match", *args, "--json", "-c", str(path)))
        return match["result"], match["party"]

    assert party("0170 1234567", "--did", "+4930901820") == ("unknown", "+491701234567")
    assert party("0170 1234567", "--did", "+493012345678") == ("unknown", "+491701234567")
    assert party("0532 123 45 67") == ("unknown", "+905321234567")
    assert party("+4930901820") == ("own", "+4930901820")
    assert party("1001") == ("internal", "1001")
    assert party("anonymous") == ("withheld", "")


# --- calls and mails ------------------------------------------------------------------------------

BUSY = TRACES / "inbound" / "busy.ami"


def test_replay_prints_calls_and_needs_no_database(santral: Santral, tmp_path: Path) -> None:
    (call,) = lines_of(santral("replay", str(BUSY)))
    assert call["outcome"] == "busy"
    assert lines_of(santral("replay", str(BUSY), "--calls")) == [call]
    assert lines_of(santral("replay", "-", stdin=BUSY.read_bytes())) == [call]
    assert not (tmp_path / "santral.sqlite3").exists()


def test_replay_prints_every_change(santral: Santral) -> None:
    events = [each["event"] for each in lines_of(santral("replay", "--events", str(BUSY)))]
    assert events[0] == "call_started"
    assert events[-1] == "call_ended"


def test_replay_takes_phones_and_trunks_from_the_settings(santral: Santral, tmp_path: Path) -> None:
    path = tmp_path / "santral.toml"
    pbx = 'events_user = "u"\nevents_secret = "s"\n'
    path.write_text(
        f'[[pbx]]\nname = "a"\n{pbx}[[pbx]]\nname = "b"\nphones = "trunk|[0-9]+"\n{pbx}'
    )
    path.chmod(0o600)
    assert "which PBX? --pbx a or b" in santral("replay", str(BUSY), "-c", str(path), code=2).stderr
    santral("replay", str(BUSY), "-c", str(path), "--pbx", "c", code=2)
    (call,) = lines_of(santral("replay", str(BUSY), "-c", str(path), "--pbx", "a"))
    assert call["direction"] == "inbound"
    (call,) = lines_of(santral("replay", str(BUSY), "-c", str(path), "--pbx", "b"))
    assert call["direction"] != "inbound", "a call from a phone of ours does not come in"
    assert call["call"].startswith("b:")


def test_replay_of_what_is_no_recording(santral: Santral) -> None:
    assert santral("replay", "-", stdin=b"\xff\x00 nonsense \r\n\r\n").stdout == ""
    assert "No such file" in santral("replay", "/nowhere.ami", code=1).stderr


def test_record_needs_a_pbx(santral: Santral, tmp_path: Path) -> None:
    result = santral("record", str(tmp_path / "x.ami"), code=2)
    assert "there is no [[pbx]] in the settings" in result.stderr


def test_a_mail_is_parsed_as_the_daemon_does(santral: Santral) -> None:
    raw = b"From: =?utf-8?q?Zo=C3=AB?= <zoe@example.com>\nSubject: Hi\x1b[2J\n\nMerhaba\n"
    (mail,) = lines_of(santral("mail", "parse", "-", "--json", stdin=raw))
    assert mail["from"] == {"address": "zoe@example.com", "name": "Zoë"}
    assert mail["text"].strip() == "Merhaba"
    said = santral("mail", "parse", "-", stdin=raw).stdout
    assert "From: Zoë <zoe@example.com>" in said
    assert "\x1b" not in said


def test_the_command_starts_without_loading_the_database_or_the_web() -> None:
    code = (
        "import sys, config.cli; heavy = {'sqlalchemy', 'aiohttp', 'websockets', 'phonenumbers', "
        "'pydantic', 'panoramisk', 'argon2'} & set(sys.modules); sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
