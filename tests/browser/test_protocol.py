"""The page's own description of the protocol and the server's are the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from agent_ui import messages
from agent_ui.http import contacts

SOURCES = Path(__file__).parents[2] / "agent_ui" / "web" / "src"


def interfaces(source: str) -> dict[str, set[str]]:
    """The fields of each interface of a TypeScript file, those it extends included."""
    found: dict[str, set[str]] = {}
    pattern = r"interface (\w+)(?: extends (\w+))? \{(.*?)\n\}"
    for name, base, body in re.findall(pattern, source, re.DOTALL):
        fields = set(re.findall(r"^  (\w+)\??:", body, re.MULTILINE))
        found[name] = fields | found.get(base, set())
    return found


def models(module: object) -> dict[str, type[BaseModel]]:
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, BaseModel)
    }


@pytest.mark.parametrize(
    ("file", "module"), [("protocol.ts", messages), ("api.ts", contacts)], ids=["push", "contacts"]
)
def test_every_body_has_the_same_fields_on_both_sides(file: str, module: object) -> None:
    ours = models(module)
    theirs = interfaces((SOURCES / file).read_text(encoding="utf-8"))
    common = ours.keys() & theirs.keys()
    assert len(common) >= 4
    for name in common:
        assert theirs[name] == set(ours[name].model_fields), name


def test_the_page_knows_every_frame_and_every_body_in_it() -> None:
    ours = {
        name
        for name, model in models(messages).items()
        if model.__module__ == messages.__name__ and name not in {"Frame", "ServerFrame"}
    }
    theirs = interfaces((SOURCES / "protocol.ts").read_text(encoding="utf-8"))
    assert ours <= theirs.keys()


def test_the_lock_file_names_no_host() -> None:
    lock = (SOURCES.parent / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in lock
