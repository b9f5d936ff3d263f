"""What the fields of a settings model are in TOML: tables, lists, secrets, plain values. Pure."""

from __future__ import annotations

import types
from collections.abc import Iterator
from enum import Enum, auto
from pathlib import PurePath
from typing import Annotated, Any, Union, get_args, get_origin
from urllib.parse import unquote, urlsplit, urlunsplit

from pydantic import BaseModel, SecretBytes, SecretStr

from config.toml_lines import Path


class Kind(Enum):
    """What a setting is in the file."""

    TABLE = auto()
    """`[web]`"""
    TABLES = auto()
    """`[[pbx]]`, any number of them."""
    NAMED = auto()
    """`[team.support]`, `[team.sales]`."""
    LIST = auto()
    SECRET = auto()
    PATH = auto()
    """A path, relative to the file that names it."""
    VALUE = auto()


_SECRET_TYPES = (SecretStr, SecretBytes)


def _shape(annotation: Any) -> tuple[Kind, type[BaseModel] | None]:
    """What a field's annotation means in TOML, and the model inside it."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _shape(arguments[0])
    if origin in (Union, types.UnionType):
        inner = [_shape(item) for item in arguments if item is not types.NoneType]
        for shape in inner:
            if shape[0] is not Kind.VALUE:
                return shape
        return (Kind.VALUE, None)
    if origin in (tuple, list, set, frozenset):
        kind, model = _shape(arguments[0]) if arguments else (Kind.VALUE, None)
        return (Kind.TABLES, model) if kind is Kind.TABLE else (Kind.LIST, None)
    if origin is dict:
        kind, model = _shape(arguments[1])
        return (Kind.NAMED, model) if kind is Kind.TABLE else (Kind.VALUE, None)
    if isinstance(annotation, type):
        if issubclass(annotation, BaseModel):
            return (Kind.TABLE, annotation)
        if issubclass(annotation, _SECRET_TYPES):
            return (Kind.SECRET, None)
        if issubclass(annotation, PurePath):
            return (Kind.PATH, None)
    return (Kind.VALUE, None)


def shapes(model: type[BaseModel]) -> dict[str, tuple[Kind, type[BaseModel] | None]]:
    """Of each key of a table: what it is, and the model inside it."""
    return {
        info.alias or name: _shape(info.annotation) for name, info in model.model_fields.items()
    }


def known_keys(model: type[BaseModel]) -> Iterator[str]:
    """The keys that a table may have, with the other ways to give its secrets."""
    for name, (kind, _inner) in shapes(model).items():
        yield name
        if kind is Kind.SECRET:
            yield f"{name}_file"
            yield f"{name}_env"


def shape_at(model: type[BaseModel], place: Path) -> tuple[Kind, bool]:
    """What is at a place, and whether it is a secret or holds one."""
    kind = Kind.TABLE
    steps = iter(place)
    for step in steps:
        if not isinstance(step, str):
            break
        kind, inner = shapes(model).get(step, (Kind.VALUE, None))
        if inner is None:
            return kind, kind is Kind.SECRET
        model = inner
        if kind in (Kind.TABLES, Kind.NAMED):
            if next(steps, None) is None:
                return kind, True
            kind = Kind.TABLE
    return kind, True


def url_without_password(url: str) -> str:
    """The address as it may be shown."""
    parts = urlsplit(url)
    if parts.password is None and "password" not in parts.query:
        return url
    user, _, host = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    return urlunsplit(parts._replace(netloc=f"{name}:********@{host}" if user else host, query=""))


def hidden_parts(secret: str) -> Iterator[str]:
    """What of a secret must not be seen: all of it, and the password if it is an address.

    An address without a password is no secret, though it stands where one may stand.
    """
    if "://" not in secret:
        yield secret
    elif url_without_password(secret) != secret:
        yield secret
        if password := urlsplit(secret).password:
            yield unquote(password)


def secrets_in(value: object) -> Iterator[str]:
    """The plain text of every secret in settings, for those who must keep them out of sight."""
    match value:
        case SecretStr():
            yield from hidden_parts(value.get_secret_value())
        case SecretBytes():
            yield value.get_secret_value().decode(errors="replace")
        case BaseModel():
            for _name, inner in value:
                yield from secrets_in(inner)
        case dict():
            for inner in value.values():
                yield from secrets_in(inner)
        case tuple() | list() | set() | frozenset():
            for inner in value:
                yield from secrets_in(inner)
        case _:
            pass
