"""Errors of telephony, sorted by who must act.

- `CtiError`
    - `PeerUnavailable`: nobody; the PBX cannot be reached, it is tried again.
    - `LoginRefused`: the operator; the secret or the permissions are wrong.
    - `RecordsUnavailable`: the operator; the PBX's call records cannot be read.
    - `ActionFailed`: the caller; the PBX said no to an order.
    - `ActionRefused`: the caller; an order we never send (a value that could inject headers).
"""

from __future__ import annotations


class CtiError(Exception):
    """Something about a PBX went wrong."""


class PeerUnavailable(CtiError):
    """The PBX cannot be reached."""


class LoginRefused(CtiError):
    """The PBX refused our login."""


class RecordsUnavailable(CtiError):
    """The PBX's call records cannot be read."""


class ActionFailed(CtiError):
    """The PBX refused or did not answer an order."""


class ActionRefused(CtiError):
    """The order contains a value that must not be sent."""
