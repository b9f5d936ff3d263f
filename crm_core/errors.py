"""Errors of the core, sorted by who must act.

- `CoreError`
    - `StoreUnavailable`: nobody; the unit of work is repeated.
    - `NotFound`: the caller named something that is not there.
    - `Conflict`: the caller asks for what another already has.
    - `Invalid`: the caller sent a value that cannot be.
"""

from __future__ import annotations


class CoreError(Exception):
    """Something in the customer core went wrong."""

    code = "core_error"


class StoreUnavailable(CoreError):
    """The database does not answer."""

    code = "store_unavailable"


class NotFound(CoreError):
    """There is no such thing."""

    code = "not_found"


class Conflict(CoreError):
    """Somebody else already has that."""

    code = "conflict"


class Invalid(CoreError):
    """The value cannot be accepted."""

    code = "invalid"
