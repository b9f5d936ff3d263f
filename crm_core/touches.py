"""Touches: who is it (asked in the transaction that logs it), and what is written down."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields as fields_of
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from crm_core.matching import identify
from crm_core.model import Match, Party, PartyKind, PointKind, Touch, TouchId
from crm_core.ports import NewTouch, UnitOfWork
from crm_core.text import storable, storable_json, storable_key

CHANGEABLE = frozenset(field.name for field in fields_of(Touch)) - {"id", "key", "medium"}
"""The fields of a touch that `TouchStore.change` takes."""
_GIVEN = tuple(field.name for field in fields_of(NewTouch) if field.name not in {"key", "details"})
_POINT_KINDS = {PartyKind.PHONE: PointKind.PHONE, PartyKind.EMAIL: PointKind.EMAIL}


async def match_party(
    uow: UnitOfWork,
    party: Party,
    *,
    own: AbstractSet[str] = frozenset(),
    at: datetime | None = None,
    recent: int = 5,
) -> tuple[Match, list[Touch]]:
    """Who the party is, and the last touches of that customer, newest first.

    Only a known customer has touches here: those of somebody it may be are not shown as theirs.
    """
    kind = _POINT_KINDS.get(party.kind)
    hits = await uow.contacts.hits(kind, party.address, at=at) if kind and party.address else []
    match = identify(party, hits, own)
    if match.contact is None:
        return match, []
    return match, await uow.touches.of_contact(match.contact.contact, limit=recent)


def new_touch(new: NewTouch, touch: TouchId, *, agent_name: str = "") -> Touch:
    """The touch that is stored for `new`: times in UTC, text that every database takes."""
    return Touch(
        id=touch,
        agent_name=agent_name,
        key=storable_key(new.key),
        **{name: _stored(getattr(new, name)) for name in _GIVEN},
        details=storable_details(new.details or {}),
    )


def changed_touch(touch: Touch, fields: Mapping[str, object]) -> Touch:
    """The touch with the named fields set.

    Raises:
        TypeError: there is no such field, or it cannot be changed.
    """
    check_changeable(fields)
    return replace(touch, **stored_fields(fields))


def check_changeable(fields: Mapping[str, object]) -> None:
    """Raise TypeError for a name that is no changeable field."""
    if wrong := fields.keys() - CHANGEABLE:
        raise TypeError(f"a touch has no changeable field {min(wrong)!r}")


def stored_fields(fields: Mapping[str, object]) -> dict[str, Any]:
    """Changed fields as they are stored."""
    return {name: _stored(value) for name, value in fields.items()}


def _stored(value: object) -> Any:
    match value:
        case datetime():
            return value.astimezone(UTC)
        case StrEnum():
            return value
        case str():
            return storable(value)
        case Party():
            return replace(
                value,
                address=storable(value.address),
                raw=storable(value.raw),
                name=storable(value.name),
            )
        case Match():
            return replace(value, party=storable(value.party))
        case Mapping():
            return storable_details(value)
        case _:
            return value


def storable_details(details: Mapping[str, object]) -> dict[str, object]:
    """The details as JSON that every database takes."""
    clean = storable_json(dict(details))
    assert isinstance(clean, dict)  # noqa: S101 - storable_json keeps the kind of its value
    return clean
