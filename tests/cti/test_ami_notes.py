"""What docs/ami-notes.md names as proof is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cti.traces import TRACES

HERE = Path(__file__).parent
NOTES = (HERE.parents[1] / "docs" / "ami-notes.md").read_text(encoding="utf-8")
AREAS = "|".join(path.name for path in TRACES.iterdir() if path.is_dir())


def named(pattern: str) -> list[str]:
    found = sorted(set(re.findall(pattern, NOTES)))
    assert found
    return found


@pytest.mark.parametrize("story", named(rf"`((?:{AREAS})/\w+)`"))
def test_each_recording_is_there(story: str) -> None:
    assert (TRACES / f"{story}.ami").is_file()


@pytest.mark.parametrize("test", named(r"`(test_\w+)(?:\.\.\.)?`"))
def test_each_test_is_there(test: str) -> None:
    """A name in the notes may be cut short by `...`."""
    assert any(
        f"def {test}" in path.read_text(encoding="utf-8") for path in HERE.parent.rglob("test_*.py")
    )
