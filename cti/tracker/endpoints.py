"""Which endpoints are phones of ours, and which are trunks that lead outside."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_PHONE: Final = r"[0-9]{2,5}"
_INTERNAL_NUMBER: Final = re.compile(r"[*#]*\d{1,5}[*#]*", re.ASCII)

_NOBODY: Final = frozenset(
    {
        "announcer",
        "asyncgoto",
        "audiosocket",
        "bridge",
        "cbann",
        "cbrec",
        "local",
        "message",
        "multicastrtp",
        "recorder",
        "snoop",
        "surrogate",
        "test",
        "unicastrtp",
    }
)
"""Technologies of Asterisk's own channels: nobody speaks there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRules:
    """Tells phones from trunks by the name of the endpoint.

    Both are regular expressions for all of a name (`PJSIP/1001`) or of its resource (`1001`).
    """

    phones: str = _PHONE
    trunks: str = ""
    """Endpoints that are trunks although they look like phones."""

    def is_phone(self, endpoint: str) -> bool:
        """Tell whether this is a phone of ours; anything else leads outside."""
        return _is_phone(endpoint, self.phones, self.trunks)


@lru_cache(maxsize=4096)  # asked for every channel and every change of a device
def _is_phone(endpoint: str, phones: str, trunks: str) -> bool:
    _, _, resource = endpoint.partition("/")
    names = (endpoint, resource)
    if trunks and any(re.fullmatch(trunks, name) for name in names):
        return False
    return any(re.fullmatch(phones, name) for name in names)


def endpoint_of(channel: str) -> str:
    """Return `PJSIP/1001` for `PJSIP/1001-00000002`. A resource may contain `-` itself."""
    endpoint, dash, _ = channel.rpartition("-")
    return endpoint if dash else channel


def is_somebody(channel: str) -> bool:
    """Tell whether a person, or a line that leads to one, may be at the end of this channel."""
    technology, _, _ = channel.partition("/")
    return technology.lower() not in _NOBODY


@lru_cache(maxsize=4096)
def is_internal_number(number: str) -> bool:
    """Tell whether a dialled number looks like one of the PBX's own: short, or a star code."""
    return _INTERNAL_NUMBER.fullmatch(number) is not None
