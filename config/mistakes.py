"""What can be wrong with settings, and how that is said to an operator."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic_core import ErrorDetails

from config.shapes import Kind
from config.toml_lines import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One thing that is wrong: where it was written, which setting, and what about it."""

    where: str
    """`santral.toml:12`, the name of an environment variable, or the file alone."""
    what: str
    """For people, without any secret: `web.port: must be at most 65535, not 70000`."""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class ConfigError(Exception):
    """The settings cannot be used as they are; the operator must act. Lists every mistake."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


def unknown_key(key: str, known: Iterable[str]) -> str:
    """That no setting has this name, and which one may have been meant."""
    return "there is no such setting" + _meant(key, known)


def unknown_name(what: str, name: str, known: Iterable[str]) -> str:
    """That nothing of this kind has the name, and which one may have been meant."""
    return f"there is no {what} {name!r}" + _meant(name, known)


def _meant(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def syntax_mistake(error: tomllib.TOMLDecodeError, text: str) -> tuple[str, int]:
    """What is no TOML, and on which line."""
    words, _, place = str(error).partition(" (at ")
    line = re.match(r"line (\d+)", place)
    last = text.count("\n") + (not text.endswith("\n"))
    number = max(1, min(int(line[1]) if line else last, last))
    words = _what_was_meant(words, text.split("\n"), number) or f"{words[:1].lower()}{words[1:]}"
    return f"is not TOML: {words}", number


_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]")
_BARE_TEXT = re.compile(r"\s*([\w.-]+)\s*=\s*([\w./~@:+-]+)")


def _what_was_meant(words: str, lines: list[str], number: int) -> str:
    """A mistake that many make, said so that it can be mended; `""` for any other.

    Shows no value: it may be a secret.
    """
    line = lines[number - 1]
    if words.startswith(("Cannot declare", "Cannot overwrite")):
        if (header := _HEADER.match(line)) is None:
            key = line.partition("=")[0].strip()
            return f"{key} is given twice" if re.fullmatch(r"[\w.-]+", key) else ""
        brackets, name = header.groups()
        for at, earlier in enumerate(lines[: number - 1], 1):
            other = _HEADER.match(earlier)
            if other is None or other[2] != name:
                continue
            if other[1] == brackets:
                return f"[{name}] is there already, on line {at}: put its settings together"
            one, many = f"[{name}]", f"[[{name}]]"
            above, here = (one, many) if brackets == "[[" else (many, one)
            return f"{here} here, but {above} on line {at}: write {many} in both places"
        return f"{name} is there already, further up, as something else"
    bare = _BARE_TEXT.match(line)
    if bare is None or not words.startswith(("Invalid value", "Expected newline")):
        return ""
    key, value = bare.groups()
    if value.lower() in ("yes", "no", "on", "off", "true", "false"):
        return f"{key} must be true or false, in small letters and without quotes"
    return f'text needs quotes: {key} = "…"'


_LIMITS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}
_TYPES = (
    ("int_", "a whole number"),
    ("float_", "a number"),
    ("finite_number", "a number"),
    ("bool_", "true or false"),
    ("string_type", "a text in quotes"),
    ("path_type", "a path in quotes"),
    ("ip_", "a network such as 10.0.0.0/8 or an address"),
)


def in_words(details: ErrorDetails, place: Path, kind: Kind, *, secret: bool) -> str:
    """Why a model did not accept a value; the value is shown unless it is secret."""
    error, value, context = details["type"], details["input"], details.get("ctx") or {}
    key = place[-1] if place else ""
    shown = ""
    if not secret and isinstance(value, (str, int, float)) and len(str(value)) <= 100:
        shown = f", not {json.dumps(value, ensure_ascii=False)}"
    if error in _LIMITS:
        words, limit = _LIMITS[error]
        return f"must be {words} {context[limit]}{shown}"
    for prefix, words in _TYPES:
        if error.startswith(prefix):
            return f"must be {words}{shown}"
    if error in ("literal_error", "enum"):
        expected = str(context.get("expected", ""))
        choices = re.findall(r"'([^']*)'", expected)
        return f"must be {expected}{shown}{_meant(str(value), choices)}"
    if error in ("string_too_short", "too_short"):
        return "must not be empty"
    if error == "path_not_file":
        return f"there is no file {value}"
    if error == "string_pattern_mismatch":
        return f"must match {context['pattern']}{shown}"
    if kind is Kind.TABLES and error.endswith("_type"):
        return f"must be written as tables: [[{key}]]"
    if error in ("model_type", "model_attributes_type", "dict_type"):
        return f"must be a table: [{key}]" if isinstance(key, str) else "must be a table"
    if error.endswith("_type") and kind is Kind.LIST:
        return f'must be a list: {key} = ["…"]'
    message = details["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return f"{message[:1].lower()}{message[1:]}" if error != "value_error" else message
