"""On which line of a TOML file each setting stands. Pure.

`tomllib` reads the values but forgets the places. This scanner reads the places and leaves the
values alone; it expects a text that `tomllib` has accepted. What it cannot place has no line: the
operator is then told the line of the table around it, and never a wrong one.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str | int, ...]
"""Keys and positions from the root, as in pydantic's errors: `("pbx", 0, "host")`."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE = re.compile(r"[^,\[\]{}#\r\n]+")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")'
    r"|'''.*?'{3,5}(?!')"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)


class _Lost(Exception):  # control flow inside this module
    """The scanner no longer knows where it is."""


def lines_of(text: str, values: Mapping[str, Any]) -> dict[Path, int]:
    """The line, from 1, of each table and key of `text`, which `tomllib` read as `values`.

    Empty when the places found do not fit the values.
    """
    scanner = _Scanner(text)
    try:
        scanner.document()
    except _Lost:
        return {}
    outer = {path[:length] for path in scanner.lines for length in range(1, len(path))}
    if scanner.lines.keys() - outer != set(_leaves(values)):
        return {}
    return scanner.lines


def nearest_line(lines: Mapping[Path, int], path: Path) -> int | None:
    """The line of the path, or else of the innermost thing around it that has one."""
    for length in range(len(path), 0, -1):
        if (line := lines.get(path[:length])) is not None:
            return line
    return None


def _leaves(value: object, path: Path = ()) -> list[Path]:
    """The paths of all values that are neither tables nor arrays, and of what is empty."""
    match value:
        case dict() if value:
            return [leaf for key, inner in value.items() for leaf in _leaves(inner, (*path, key))]
        case list() if value:
            return [leaf for at, inner in enumerate(value) for leaf in _leaves(inner, (*path, at))]
        case _:
            return [path] if path else []


@dataclass(slots=True)
class _Scanner:
    text: str
    at: int = 0
    lines: dict[Path, int] = field(default_factory=dict)
    _lengths: dict[Path, int] = field(default_factory=dict)
    """How many tables each array of tables has so far."""
    _counted_to: int = 0
    _line: int = 1

    def document(self) -> None:
        table: Path = ()
        while True:
            self._skip(_BLANK)
            if self.at >= len(self.text):
                return
            here = self._line_here()
            if self._take("[["):
                table = self._next_element(self._dotted_key(), here)
                self._expect("]]")
            elif self._take("["):
                table = self._resolved(self._dotted_key(), here)
                self.lines[table] = here
                self._expect("]")
            else:
                self._key_and_value(table)

    def _key_and_value(self, table: Path) -> None:
        here = self._line_here()
        path = table
        for key in self._dotted_key():
            path = (*path, key)
            self.lines.setdefault(path, here)
        self._expect("=")
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: Path) -> None:
        if self._take("["):
            self._array(path)
        elif self._take("{"):
            self._inline_table(path)
        elif self._match(_STRING) is None and self._match(_BARE_VALUE) is None:
            raise _Lost

    def _array(self, path: Path) -> None:
        index = 0
        while True:
            self._skip(_BLANK)
            if self._take("]"):
                break
            inner = (*path, index)
            self.lines[inner] = self._line_here()
            self._value(inner)
            index += 1
            self._skip(_BLANK)
            self._take(",")

    def _inline_table(self, path: Path) -> None:
        while True:
            self._skip(_BLANK)
            if self._take("}"):
                break
            self._key_and_value(path)
            self._skip(_BLANK)
            self._take(",")

    def _dotted_key(self) -> list[str]:
        keys = []
        while True:
            self._skip(_SPACE)
            if (quoted := self._match(_STRING)) is not None:
                keys.append(_unquoted(quoted))
            elif (bare := self._match(_BARE_KEY)) is not None:
                keys.append(bare)
            else:
                raise _Lost
            self._skip(_SPACE)
            if not self._take("."):
                return keys

    def _resolved(self, keys: list[str], here: int) -> Path:
        """The path of a table header: inside an array of tables it means the last table."""
        path: Path = ()
        for key in keys:
            path = (*path, key)
            self.lines.setdefault(path, here)
            if path in self._lengths:
                path = (*path, self._lengths[path] - 1)
        return path

    def _next_element(self, keys: list[str], here: int) -> Path:
        array = (*self._resolved(keys[:-1], here), keys[-1])
        index = self._lengths.get(array, 0)
        self._lengths[array] = index + 1
        self.lines.setdefault(array, here)
        self.lines[*array, index] = here
        return (*array, index)

    def _match(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self.text, self.at)
        if found is None:
            return None
        self.at = found.end()
        return found[0]

    def _skip(self, pattern: re.Pattern[str]) -> None:
        self._match(pattern)

    def _take(self, token: str) -> bool:
        if self.text.startswith(token, self.at):
            self.at += len(token)
            return True
        return False

    def _expect(self, token: str) -> None:
        self._skip(_SPACE)
        if not self._take(token):
            raise _Lost

    def _line_here(self) -> int:
        self._line += self.text.count("\n", self._counted_to, self.at)
        self._counted_to = self.at
        return self._line


def _unquoted(key: str) -> str:
    return next(iter(tomllib.loads(f"{key} = 0")))
