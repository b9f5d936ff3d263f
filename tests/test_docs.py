"""Documents and lock files keep up with the code, and nothing names a machine."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from pydantic import BaseModel, SecretStr

from config.settings import Settings, load_settings
from config.shapes import shapes

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "config" / "santral.example.toml"
SETTING = re.compile(r"#(?=\w+ = |\[)")


def settings_of(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Every setting's path, with the model that it is a field of."""
    for key, (_kind, inner) in shapes(model).items():
        here = f"{path}.{key}" if path else key
        if inner is None:
            yield here, model
        else:
            yield from settings_of(inner, here)


ALL = dict(settings_of(Settings))
FROM_THE_INSTALLATION = {"pbx.region", "web.region"}
OTHERWISE = {
    "database.url": "sqlite:////var/lib/santral/santral.sqlite3",
    "pbx.tls_ca_file": "asterisk.pem",
    "mailbox.tls_ca_file": "mail.pem",
    "pbx.actions_user": "santral-actions",
    "pbx.recorder.directory": "/var/lib/santral/flight",
    "pbx.recovery.cdr_csv": "/var/log/asterisk/cdr-csv/Master.csv",
    "pbx.recovery.queue_log": "/var/log/asterisk/queue_log",
    "pbx.recovery.cel_csv": "/var/log/asterisk/cel-custom/santral.csv",
    "pbx.recovery.cel_columns": [
        *("eventtype", "eventtime", "channame", "uniqueid", "linkedid", "eventextra"),
    ],
    "pbx.actions_secret": None,
}
"""Examples that say more than the default, which is empty or depends on the machine."""


def example(*, everything: bool) -> dict[str, Any]:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    if everything:
        lines = [SETTING.sub("", line) if SETTING.match(line) else line for line in lines]
    return tomllib.loads("\n".join(lines))


def flat(values: dict[str, Any], path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        here = f"{path}.{key}" if path else key
        if isinstance(value, dict):
            found |= flat(value, here)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for item in value:
                found |= flat(item, here)
        else:
            found[here] = value
    return found


def test_the_example_has_every_setting() -> None:
    written = {
        re.sub(r"_(file|env)$", "", key) if key not in ALL else key
        for key in flat(example(everything=True))
    }
    assert written == set(ALL)


@pytest.mark.parametrize("path", sorted(ALL))
def test_the_example_shows_the_default(path: str) -> None:
    model, key = ALL[path], path.rpartition(".")[2]
    info = model.model_fields[key]
    shown = flat(example(everything=True)).get(path)
    if path in OTHERWISE:
        assert shown == OTHERWISE[path]
    elif not info.is_required() and path not in {"pbx.name", "pbx.host", "mailbox.name"}:
        default = info.get_default(call_default_factory=True)
        assert shown == json.loads(json.dumps(default, default=str))


def test_the_example_works_as_it_is_and_with_everything(tmp_path: Path) -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    every = [SETTING.sub("", line) if SETTING.match(line) else line for line in lines]
    for name in ("ami-events.secret", "ami-actions.secret", "mail.secret"):
        (tmp_path / name).write_text("0123456789abcdef", encoding="utf-8")
        (tmp_path / name).chmod(0o600)
    for name in ("asterisk.pem", "mail.pem"):
        (tmp_path / name).touch()
    path = tmp_path / "santral.toml"
    for text in (lines, every):
        path.write_text("\n".join(text), encoding="utf-8")
        path.chmod(0o600)
        read = load_settings(path, {})
        assert read.warnings == ()
        assert read.settings.pbx[0].events_secret == SecretStr("0123456789abcdef")


@pytest.mark.parametrize("path", sorted(ALL))
def test_every_setting_is_documented_with_its_default(path: str) -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| `{re.escape(path)}` \| (.*?) \|", text, re.MULTILINE)
    assert row, f"docs/configuration.md does not say what {path} is"
    info = ALL[path].model_fields[path.rpartition(".")[2]]
    if info.is_required():
        assert row[1] == "**required**"
    elif path not in FROM_THE_INSTALLATION and path != "database.url":
        assert row[1].strip() == shown_default(info.get_default(call_default_factory=True))


def shown_default(value: Any) -> str:
    match value:
        case SecretStr() | None | "":
            return ""
        case bool():
            return f"`{str(value).lower()}`"
        case tuple():
            return f"`{json.dumps(value, default=str)}`"
        case str() if "\\" in value:
            return f"`'{value}'`"
        case str():
            return f'`"{value}"`'
        case _:
            return f"`{value}`"


def test_documents_name_no_setting_that_is_not_there() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z_.]+)` \|", text, re.MULTILINE)) <= set(ALL)


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    for requirement in requirements():
        assert f"`{requirement.name}`" in text, f"why {requirement.name}?"


def requirements() -> list[Requirement]:
    values = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = [
        *values["project"]["dependencies"],
        *values["project"]["optional-dependencies"]["demo"],
        *values["dependency-groups"]["dev"],
    ]
    return [Requirement(each) for each in listed]


@pytest.mark.parametrize("name", ["dev", "runtime"])
def test_lock_files_hold_what_is_asked_for_and_no_address(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    assert not re.search(r"https?:|://|--(?:extra-)?index|--find-links|--trusted", text)
    locked = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", text, re.MULTILINE))
    locked = {key.lower().replace("_", "-"): value for key, value in locked.items()}
    development = {
        Requirement(each).name
        for each in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
            "dependency-groups"
        ]["dev"]
    }
    for requirement in requirements():
        if name == "runtime" and requirement.name in development:
            continue
        version = locked.get(requirement.name.lower().replace("_", "-"))
        assert version, f"{requirement.name} is not locked: run make lock"
        assert requirement.specifier.contains(version), f"{requirement}: run make lock"
    unhashed = re.findall(r"^[A-Za-z0-9._-]+==[^\\\n]*$", text, re.MULTILINE)
    assert not unhashed


def test_the_pages_lock_file_names_no_registry() -> None:
    lock = json.loads((ROOT / "agent_ui" / "web" / "package-lock.json").read_text("utf-8"))
    assert not [name for name, item in lock["packages"].items() if "resolved" in item]


def tracked() -> list[Path]:
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no clone: what is tracked is not known")
    paths = (ROOT / name for name in listed.decode().split("\0") if name)
    return [path for path in paths if path.is_file() and not path.is_symlink()]


MACHINE = re.compile(
    # Home directories and working copies of somebody, and hosts of private networks.
    rb"/root/|/home/(?!user\b)[a-z]|/Users/|/work/"
    rb"|//[\w.-]+\.(?:internal|corp|lan|intranet|local)\b"
)


def test_no_file_names_a_machine_or_somebodys_directory() -> None:
    wrong = []
    for path in tracked():
        raw = path.read_bytes()
        if b"\0" in raw[:8000] or path == Path(__file__).resolve() or path.name == "LICENSE":
            continue
        name = path.relative_to(ROOT)
        for found in MACHINE.finditer(raw):
            line = raw.count(b"\n", 0, found.start()) + 1
            wrong.append(f"{name}:{line}: {found[0]!r}")
    assert not wrong


LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize(
    "path", sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]), ids=str
)
def test_links_in_documents_lead_somewhere(path: Path) -> None:
    broken = [
        target
        for target in LINK.findall(path.read_text(encoding="utf-8"))
        if not target.startswith(("http:", "https:", "mailto:"))
        if not (path.parent / target).exists()
    ]
    assert not broken


def test_the_licence_is_the_one_that_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["license"] == "GPL-3.0-or-later"
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "GNU GENERAL PUBLIC LICENSE" in text
    assert "Version 3, 29 June 2007" in text
