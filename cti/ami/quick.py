"""Constructors of frozen dataclasses that are as quick as those of ordinary ones.

A frozen dataclass sets each field by a detour around its own lock, which costs several times what
reading the message costs that the fields came from. `quick` makes the object with the lock open
and closes it: the object is first of a class with the same slots and without the lock, then of the
frozen class itself. What comes out is the same in every way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar, cast

T = TypeVar("T")


def quick(kind: type[T]) -> type[T]:
    """Return a constructor for `kind`, a dataclass with slots, that takes the same keywords.

    It does not call `__post_init__`, and defaults must be values, not factories.
    """
    names = _names(kind)
    defaults = {f.name: f.default for f in fields(kind) if f.default is not MISSING}  # type: ignore[arg-type]
    keywords = [f"{name}=_defaults[{name!r}]" if name in defaults else name for name in names]
    values = {name: name for name in names}
    return cast("type[T]", _compiled(kind, f"*, {', '.join(keywords)}", values, defaults))


def stamped(kind: type[T]) -> Callable[[T, float | None, int], T]:
    """Return a function that copies an event, with another `at` and `seq`.

    For events of which the same one comes again and again.
    """
    values = {name: f"event.{name}" for name in _names(kind)} | {"at": "at", "seq": "seq"}
    return cast("Callable[[T, float | None, int], T]", _compiled(kind, "event, at, seq", values))


def _names(kind: type[Any]) -> list[str]:
    assert is_dataclass(kind)  # noqa: S101 - a mistake of ours, found at import
    assert not hasattr(kind, "__post_init__")  # noqa: S101 - the same
    return [field.name for field in fields(kind)]


def _compiled(
    kind: type[Any],
    parameters: str,
    values: dict[str, str],
    defaults: dict[str, Any] | None = None,
) -> object:
    unlocked = type(
        f"_Unlocked{kind.__name__}",
        kind.__bases__,
        {
            "__slots__": kind.__dict__["__slots__"],
            "__setattr__": object.__setattr__,
            "__delattr__": object.__delattr__,
        },
    )
    lines = [
        f"def make({parameters}):",
        "    _made = _new(_unlocked)",
        *(f"    _made.{name} = {value}" for name, value in values.items()),
        "    _made.__class__ = _kind",
        "    return _made",
    ]
    scope: dict[str, Any] = {
        "_defaults": defaults,
        "_kind": kind,
        "_new": object.__new__,
        "_unlocked": unlocked,
    }
    exec("\n".join(lines), scope)  # noqa: S102 - as dataclasses itself writes `__init__`
    return scope["make"]
