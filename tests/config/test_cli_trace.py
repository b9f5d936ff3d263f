"""`santral trace`: one call out of the recording that the daemon keeps."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner, Result

from config.cli import main
from config.settings import Settings, load_settings
from cti.flight.recorder import FlightRecorder
from cti.flight.shelf import Shelf
from cti.replay import replay_calls

STORY = Path(__file__).resolve().parent.parent / "traces" / "inbound" / "answered.ami"
(CALL,) = replay_calls(STORY, "main")
UNIQUEID = CALL["legs"][1]["uniqueid"]
PBXS = """
[[pbx]]
name = "main"
events_user = "u"
events_secret = "s3cret"
[[pbx]]
name = "branch"
events_user = "u"
events_secret = "s3cret"
"""

Santral = Callable[..., Result]


@pytest.fixture
def santral(tmp_path: Path) -> Iterator[Santral]:
    """Runs a command with two PBXs, and expects this exit code."""
    root = logging.getLogger()
    handlers, level, umask = root.handlers[:], root.level, os.umask(0o022)
    os.umask(umask)
    path = tmp_path / "santral.toml"
    path.write_text(f'[database]\nurl = "sqlite:///{tmp_path}/santral.sqlite3"\n{PBXS}')
    path.chmod(0o600)
    others = {name: None for name in os.environ if name.startswith("SANTRAL_")}
    environ = others | {"SANTRAL_CONFIG": str(path)}

    def run(*args: str, code: int = 0, stdin: bytes = b"") -> Result:
        result = CliRunner().invoke(main, args, env=environ, input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    yield run
    os.umask(umask)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """What the daemon recorded of the PBX called main."""
    directory = tmp_path / "flight" / "main"
    shelf = Shelf(directory, keep=timedelta(days=7), max_bytes=64 << 20)
    with FlightRecorder(shelf) as recorder:
        recorder.begin()(STORY.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    return directory


def replay(santral: Santral, recording: bytes) -> dict[str, Any]:
    result = santral("replay", "-", "--pbx", "main", stdin=recording)
    (line,) = result.stdout.splitlines()
    call: dict[str, Any] = json.loads(line)
    return call


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("call", [CALL["call"], UNIQUEID, CALL["linkedids"][0]])
def test_a_call_is_exported_without_the_people(santral: Santral, call: str) -> None:
    result = santral("trace", call)
    assert "905321112233" not in result.stdout
    assert "Zoë" not in result.stdout
    assert result.stderr.endswith("events, from main\n")
    again = replay(santral, result.stdout_bytes)
    assert len(again["caller"]["number"]) == len("905321112233")
    differ = {"caller", "dialed"}
    assert {key: value for key, value in again.items() if key not in differ} == {
        key: value for key, value in CALL.items() if key not in differ
    }


@pytest.mark.usefixtures("recorded")
def test_raw_exports_it_as_it_was(santral: Santral) -> None:
    assert replay(santral, santral("trace", CALL["call"], "--raw").stdout_bytes) == CALL


@pytest.mark.usefixtures("recorded")
def test_a_file_is_written_for_us_alone(santral: Santral, tmp_path: Path) -> None:
    out = tmp_path / "call.ami"
    result = santral("trace", CALL["call"], "--out", str(out))
    assert result.stdout == ""
    assert out.stat().st_mode & 0o777 == 0o600
    assert replay(santral, out.read_bytes())["talks"] == CALL["talks"]
    assert santral("trace", CALL["call"]).stdout_bytes == out.read_bytes()


@pytest.mark.usefixtures("recorded")
def test_only_the_pbx_that_is_meant_is_searched(santral: Santral) -> None:
    santral("trace", UNIQUEID, "--pbx", "main")
    result = santral("trace", UNIQUEID, "--pbx", "branch", code=1)
    assert result.stderr == "santral: nothing is recorded\n"
    result = santral("trace", UNIQUEID, "--pbx", "nowhere", code=2)
    assert "there is only main, branch" in result.stderr


@pytest.mark.usefixtures("recorded")
def test_a_call_that_is_not_there_says_what_is(santral: Santral) -> None:
    result = santral("trace", "main:1.1", code=1)
    assert result.stderr.startswith("santral: main:1.1 is not recorded; what is kept begins at: ")
    assert "main 20" in result.stderr


def test_no_pbx_is_a_wrong_usage(tmp_path: Path) -> None:
    empty = tmp_path / "empty.toml"
    empty.write_text("")
    result = CliRunner().invoke(main, ["trace", "1.1", "-c", str(empty)])
    assert result.exit_code == 2
    assert "there is no [[pbx]]" in result.stderr


# --- where it is ----------------------------------------------------------------------------------


def settings_with(tmp_path: Path, url: str, more: str = "") -> Settings:
    path = tmp_path / "settings.toml"
    pbx = '[[pbx]]\nname = "main"\nevents_user = "u"\nevents_secret = "s"\n'
    path.write_text(f'[database]\nurl = "{url}"\n{pbx}{more}')
    path.chmod(0o600)
    return load_settings(path, {}).settings


def test_the_recording_is_beside_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_with(tmp_path, "sqlite:////var/lib/santral/santral.sqlite3")
    (pbx,) = settings.pbx
    assert settings.recorder_directory(pbx) == Path("/var/lib/santral/flight/main")

    monkeypatch.setenv("STATE_DIRECTORY", "/state")
    settings = settings_with(tmp_path, "postgresql://u:p@host/santral")
    assert settings.recorder_directory(pbx) == Path("/state/flight/main")

    more = '[pbx.recorder]\ndirectory = "here"\n'
    settings = settings_with(tmp_path, "sqlite:////var/lib/x.sqlite3", more)
    assert settings.recorder_directory(settings.pbx[0]) == tmp_path / "here" / "main"
