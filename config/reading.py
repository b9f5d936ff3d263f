"""One TOML file, the environment and secrets, read into models; every mistake with its place.

A setting comes from the first of: an environment variable (`SANTRAL_WEB__PORT`), the file, its
default. A secret `x` may also be given as `x_file` (a file that holds it) or `x_env` (the name of
an environment variable that holds it). Everything that is wrong is found in one pass and listed.
"""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from config.mistakes import ConfigError, Mistake, in_words, syntax_mistake, unknown_key
from config.shapes import Kind, hidden_parts, known_keys, shape_at, shapes
from config.toml_lines import Path as Place
from config.toml_lines import lines_of, nearest_line

M = TypeVar("M", bound=BaseModel)

PREFIX = "SANTRAL_"
NOT_SETTINGS = frozenset({"SANTRAL_CONFIG"})
"""Variables with our prefix that mean something else: the file's path."""

_LARGEST_SECRET = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Read(Generic[M]):
    """What was read, and what an operator should know though nothing is wrong."""

    settings: M
    warnings: tuple[str, ...] = ()


RawCheck = Callable[[Mapping[str, Any]], Iterable[tuple[Place, str]]]
"""A check across settings: given the raw values, the places and words of what is wrong."""


def read_settings(
    model: type[M],
    path: Path | None,
    environ: Mapping[str, str],
    *,
    checks: Iterable[RawCheck] = (),
) -> Read[M]:
    """Read settings from the file (None: none) and the environment.

    Raises:
        ConfigError: with every mistake there is, those of the file in the order of its lines.
    """
    source = _Source(path=path, environ=environ)
    values = source.load()
    source.override(model, values)
    source.prepare(model, values, ())
    for check in checks:
        for place, words in check(values):
            source.mistake(place, words)
    settings = None
    try:
        settings = model.model_validate(values)
    except ValidationError as error:
        for details in error.errors(include_url=False, include_context=True):
            source.refused(model, details)
    if source.mistakes or settings is None:
        raise ConfigError(source.sorted_mistakes())
    return Read(settings=settings, warnings=tuple(source.warnings))


@dataclass(slots=True)
class _Source:
    """Where values come from while they are read, and what is wrong with them."""

    path: Path | None
    environ: Mapping[str, str]
    lines: dict[Place, int] = field(default_factory=dict)
    variables: dict[Place, str] = field(default_factory=dict)
    """The environment variable that gave a value."""
    secrets: set[str] = field(default_factory=set)
    values: Mapping[str, Any] = field(default_factory=dict)
    mistakes: dict[Place, list[tuple[int, Mistake]]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def load(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        if self.path is not None:
            text = self._text(self.path)
            try:
                values = tomllib.loads(text)
                self.lines = lines_of(text, values)
            except tomllib.TOMLDecodeError as error:
                raise self._unreadable(*syntax_mistake(error, text)) from None
            except RecursionError:
                raise self._unreadable("it is nested too deeply") from None
        self.values = values
        return values

    def _text(self, path: Path) -> str:
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            raise self._unreadable("there is no such file") from None
        except OSError as error:
            raise self._unreadable(f"cannot be read: {error.strerror}") from None
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            raise self._unreadable("is not UTF-8 text", line) from None

    def _unreadable(self, words: str, line: int | None = None) -> ConfigError:
        where = f"{self.path}" if line is None else f"{self.path}:{line}"
        return ConfigError([Mistake(where=where, what=words)])

    # --- the environment ---

    def override(self, model: type[BaseModel], values: dict[str, Any]) -> None:
        """Put the values of environment variables over those of the file."""
        sections = set(model.model_fields)
        for variable in sorted(self.environ):
            if not variable.startswith(PREFIX) or variable in NOT_SETTINGS:
                continue
            segments = variable.removeprefix(PREFIX).lower().split("__")
            if len(segments) == 1 and segments[0] not in sections:
                # Container platforms set variables with a service's name in front.
                self.warnings.append(f"{variable}: {unknown_key(segments[0], sections)}")
                continue
            self._put(variable, segments, model, values)

    def _put(
        self, variable: str, segments: list[str], model: type[BaseModel], table: dict[str, Any]
    ) -> None:
        place: Place = ()
        step: Place
        while True:
            key, *rest = segments
            known = list(known_keys(model))
            if key not in known:
                self._wrong_variable(variable, unknown_key(key, known))
                return
            place = (*place, key)
            kind, inner = shapes(model).get(key, (Kind.VALUE, None))
            if inner is None:
                if rest:
                    self._wrong_variable(variable, f"{key!r} has no settings inside it")
                    return
                table[key] = _from_text(self.environ[variable], kind)
                if kind is Kind.SECRET or f"{key}".endswith(("_file", "_env")):
                    _drop_other_ways(table, key, model)
                self.variables[place] = variable
                return
            needed = 1 if kind is Kind.TABLE else 2
            if len(rest) < needed:
                example = "__".join([variable, *(["0"] if kind is not Kind.TABLE else [])])
                first = next(known_keys(inner)).upper()
                self._wrong_variable(variable, f"is a table; set its keys, as {example}__{first}")
                return
            empty: Any = [] if kind is Kind.TABLES else {}
            inside = table.setdefault(key, empty)
            if not isinstance(inside, type(empty)):
                return  # the file has something else there, which is reported as such
            if isinstance(inside, list):
                index = _index_of(rest[0], inside, inner)
                if isinstance(index, str):
                    words = f"there is no [[{key}]] {rest[0]!r}: use one of {index}"
                    self._wrong_variable(variable, words)
                    return
                table, step = inside[index], (index,)
            elif kind is Kind.NAMED:
                table, step = inside.setdefault(rest[0], {}), (rest[0],)
            else:
                table, step = inside, ()
            if not isinstance(table, dict):
                return
            place, segments, model = (*place, *step), rest[len(step) :], inner

    def _wrong_variable(self, variable: str, words: str) -> None:
        place: Place = (variable,)
        mistake = Mistake(where=f"environment variable {variable}", what=words)
        self.mistakes.setdefault(place, []).append((0, mistake))

    # --- unknown keys and secrets ---

    def prepare(self, model: type[BaseModel], table: dict[str, Any], place: Place) -> None:
        """Refuse keys that no model has, and put secrets where the models expect them."""
        known = list(known_keys(model))
        for key in [key for key in table if key not in known]:
            self.mistake((*place, key), unknown_key(key, known))
            del table[key]
        for name, (kind, inner) in shapes(model).items():
            if kind is Kind.SECRET:
                self._resolve_secret(table, name, place)
                continue
            value = table.get(name)
            here = (*place, name)
            if kind is Kind.PATH and isinstance(value, str) and here not in self.variables:
                table[name] = str(self._beside(value))
            if inner is None or value is None:
                continue
            if kind is Kind.TABLE and isinstance(value, dict):
                self.prepare(inner, value, here)
            elif kind is Kind.NAMED and isinstance(value, dict):
                for key, item in value.items():
                    if isinstance(item, dict):
                        self.prepare(inner, item, (*here, key))
            elif kind is Kind.TABLES and isinstance(value, list):
                for at, item in enumerate(value):
                    if isinstance(item, dict):
                        self.prepare(inner, item, (*here, at))

    def _resolve_secret(self, table: dict[str, Any], name: str, place: Place) -> None:
        ways = [key for key in (name, f"{name}_file", f"{name}_env") if key in table]
        if len(ways) > 1:
            self.mistake((*place, ways[1]), f"give only one of {' and '.join(ways)}")
        given = {key: table.pop(key) for key in ways}
        if not ways:
            return
        way, value = ways[0], given[ways[0]]
        here = (*place, way)
        if not isinstance(value, str):
            self.mistake(here, "must be a text in quotes")
            secret = None
        elif way == name:
            secret = value
            if here not in self.variables and any(hidden_parts(value)):
                self._warn_if_readable_by_all(self.path, "holds secrets")
        elif way == f"{name}_file":
            secret = self._secret_of_file(here, value)
        else:
            secret = self.environ.get(value)
            if not secret:
                self.mistake(here, f"the environment variable {value} is not set")
        if secret:
            self.secrets.update(hidden_parts(secret))
            table[name] = secret
        elif secret == "" and way == name:
            table[name] = secret
        if way != name:
            # What is said later about the secret is said of the key that is in the file.
            if here in self.lines:
                self.lines[*place, name] = self.lines[here]
            if here in self.variables:
                self.variables[*place, name] = self.variables[here]
            if not secret:
                self.mistakes.setdefault((*place, name), [])

    def _secret_of_file(self, place: Place, name: str) -> str | None:
        path = Path(name) if place in self.variables else self._beside(name)
        try:
            with path.open("rb") as file:
                raw = file.read(_LARGEST_SECRET + 1)
        except OSError as error:
            self.mistake(place, f"{path} cannot be read: {error.strerror}")
            return None
        try:
            secret = raw.decode().strip("\r\n")
        except UnicodeDecodeError:
            secret = ""
        if not secret or len(raw) > _LARGEST_SECRET or "\0" in secret:
            self.mistake(place, f"{path} holds no secret" + (": it is empty" if not raw else ""))
            return None
        self._warn_if_readable_by_all(path, "holds a secret")
        return secret

    def _beside(self, name: str) -> Path:
        """What a path in the file means, wherever the process runs."""
        path = Path(name)
        if path.parts[:1] == ("~",):
            path = Path.home().joinpath(*path.parts[1:])
        return path if self.path is None else self.path.parent / path

    def _warn_if_readable_by_all(self, path: Path | None, why: str) -> None:
        if path is None or os.name != "posix":
            return
        if path.stat().st_mode & stat.S_IROTH:
            warning = f"{path} {why} and every user of this machine can read it (chmod o-r)"
            if warning not in self.warnings:
                self.warnings.append(warning)

    # --- mistakes ---

    def refused(self, model: type[BaseModel], details: ErrorDetails) -> None:
        """Say in words what a model did not accept."""
        place = self._existing(details["loc"])
        kind, secret = shape_at(model, place)
        covered = (place[:length] in self.mistakes for length in range(1, len(place) + 1))
        if details["type"] == "missing":
            if place not in self.mistakes:
                self.mistake(place, "is missing")
        elif not any(covered):
            self.mistake(place, in_words(details, place, kind, secret=secret))

    def _existing(self, loc: tuple[int | str, ...]) -> Place:
        """The part of pydantic's location that names settings, without its names of types."""
        place: list[int | str] = []
        value: Any = self.values
        for step in loc:
            match value:
                case dict() if isinstance(step, str):
                    place.append(step)
                    value = value.get(step)
                case list() if isinstance(step, int) and step < len(value):
                    place.append(step)
                    value = value[step]
                case _:
                    break
        return tuple(place)

    def mistake(self, place: Place, words: str) -> None:
        """Note what is wrong at a place."""
        for secret in self.secrets:
            if len(secret) > 3:
                words = words.replace(secret, "********")
        line = nearest_line(self.lines, place) or 0
        if (variable := self._variable(place)) is not None:
            where, line = f"environment variable {variable}", 0
        elif self.path is None:
            where = "settings"
        else:
            where = f"{self.path}:{line}" if line else f"{self.path}"
        what = f"{self._spoken(place)}: {words}" if place else words
        self.mistakes.setdefault(place, []).append((line, Mistake(where=where, what=what)))

    def _variable(self, place: Place) -> str | None:
        for length in range(len(place), 0, -1):
            if place[:length] in self.variables:
                return self.variables[place[:length]]
        return None

    def _spoken(self, place: Place) -> str:
        """`pbx[main].host`; an element without a name is said by its position, from 1."""
        words = ""
        value: Any = self.values
        for step in place:
            inside = value[step] if isinstance(value, list) and isinstance(step, int) else None
            if isinstance(step, int):
                name = inside.get("name") if isinstance(inside, dict) else None
                words += f"[{name}]" if isinstance(name, str) and name else f"[{step + 1}]"
                value = inside
            else:
                key = step if re.fullmatch(r"[\w-]+", step) else json.dumps(step)
                words += f".{key}" if words else key
                value = value.get(step) if isinstance(value, dict) else None
        return words

    def sorted_mistakes(self) -> list[Mistake]:
        """Every mistake once: the file's from its top to its end, then the environment's."""
        noted = [item for items in self.mistakes.values() for item in items]
        noted.sort(key=lambda item: (item[1].where.startswith("environment"), item[0]))
        return list(dict.fromkeys(mistake for _line, mistake in noted))


def _index_of(word: str, tables: list[Any], model: type[BaseModel]) -> int | str:
    """Which table a variable's name means, by position or name; one past the last is a new one.

    If it means none: the words that would.
    """
    default = model.model_fields["name"].default if "name" in model.model_fields else ""
    names = [
        _variable_name(table.get("name", default)) if isinstance(table, dict) else ""
        for table in tables
    ]
    if word.isdecimal() and int(word) <= len(tables):
        if int(word) == len(tables):
            tables.append({})
        return int(word)
    if word in names:
        return names.index(word)
    return ", ".join([str(at) for at in range(len(tables) + 1)] + names)


def _variable_name(name: object) -> str:
    return re.sub(r"[^a-z0-9]+", "_", str(name).lower())


def _from_text(text: str, kind: Kind) -> Any:
    """An environment variable's text as TOML would have it; lists as JSON or with commas."""
    if kind is not Kind.LIST:
        return text
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return [item for part in text.split(",") if (item := part.strip())]


def _drop_other_ways(table: dict[str, Any], key: str, model: type[BaseModel]) -> None:
    """A secret from the environment replaces one that the file gives in another way."""
    for name, (kind, _inner) in shapes(model).items():
        ways = {name, f"{name}_file", f"{name}_env"}
        if kind is Kind.SECRET and key in ways:
            for other in ways - {key}:
                table.pop(other, None)
