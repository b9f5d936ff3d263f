"""Cursors: where the next page of a list begins, as text that a client hands back. Pure.

A cursor holds the sort key of the last row of a page, so that rows which come or go meanwhile move
nothing on the pages behind it.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from datetime import UTC, datetime

from crm_core.errors import Invalid

_LONGEST = 4_000
_LARGEST_ID = 2**63 - 1


def name_cursor(name: str, row: int) -> str:
    """The cursor behind a row of a list sorted by name and id."""
    return _encoded([name, row])


def read_name_cursor(cursor: str) -> tuple[str, int]:
    """The name and id in a cursor.

    Raises:
        Invalid: it is no cursor of such a list.
    """
    match _decoded(cursor):
        case [str(name), int(row)] if 0 <= row <= _LARGEST_ID:
            return name, row
    raise Invalid("this is no cursor of this list")


def time_cursor(at: datetime, row: int) -> str:
    """The cursor behind a row of a list sorted by time and id."""
    return _encoded([at.astimezone(UTC).isoformat(), row])


def read_time_cursor(cursor: str) -> tuple[datetime, int]:
    """The time and id in a cursor.

    Raises:
        Invalid: it is no cursor of such a list.
    """
    match _decoded(cursor):
        case [str(text), int(row)] if 0 <= row <= _LARGEST_ID:
            with suppress(ValueError, OverflowError):  # no time at all, or none in UTC
                at = datetime.fromisoformat(text)
                if at.tzinfo is not None:
                    return at.astimezone(UTC), row
    raise Invalid("this is no cursor of this list")


def _encoded(key: list[object]) -> str:
    return urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def _decoded(cursor: str) -> object:
    try:
        if len(cursor) > _LONGEST:
            return None
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        return json.loads(urlsafe_b64decode(padded))
    except (ValueError, RecursionError):
        return None
