"""Which channels a message of the manager interface speaks of. Pure.

Works on bytes, without the codec: the recorder looks at every message that Asterisk sends, also
at those that nothing else reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from cti.ami.orders import AUDIT

_ID: Final = re.compile(rb"(?:nique|inked)[iI][dD]: ([^\r\n]+)")
"""The end of a header such as `DestUniqueid`, `LinkedID` (as CDR has it) or `BridgeUniqueid`."""
_L: Final = ord("L")
_HOLDING: Final = b"\r\nBridgeTechnology: holding_bridge"
"""Channels in such a bridge only wait side by side, as in a parking lot."""


LANDMARK: Final = "~"
"""Stands in the index for messages that are about every call."""
_LANDMARKS: Final = (b"Event: SantralRecorder\r\n", b"Event: CoreShowChannelsComplete\r\n")
_AUDIT: Final = AUDIT.encode() + b"\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ids:
    """What a message speaks of."""

    channels: tuple[tuple[str, str], ...]
    """Uniqueid and linkedid of each channel; `""` where the message has only one of them."""
    bridges: tuple[str, ...]
    """Bridges whose members hear each other."""

    @property
    def together(self) -> set[str]:
        """The ids that this message shows to belong together."""
        return {one for pair in self.channels for one in pair if one} | set(self.bridges)


def ids_of(message: bytes) -> Ids | None:
    """Return what a message speaks of; None if of no channel and no bridge."""
    channels: dict[bytes, list[str]] = {}
    bridges = []
    for found in _ID.finditer(message):
        start = found.start() - 1
        line = message.rfind(b"\n", 0, start) + 1
        prefix = message[line:start]
        if b":" in prefix:
            continue  # in the value of another header
        value = found[1].decode("utf-8", "replace")
        if prefix.endswith(b"Bridge"):
            bridges.append(value)
        else:
            pair = channels.setdefault(prefix, ["", ""])
            at = message[start] == _L
            pair[at] = pair[at] or value  # the first value counts, as for the codec
    if not channels and not bridges:
        return None
    return Ids(
        channels=tuple((uniqueid, linkedid) for uniqueid, linkedid in channels.values()),
        bridges=() if bridges and _HOLDING in message else tuple(bridges),
    )


def is_landmark(message: bytes) -> bool:
    """Tell whether a message says that something was missed, or that all channels were listed.

    The lists of audits are not meant: they come every few minutes, and tell nothing new.
    """
    return message.startswith(_LANDMARKS) and _AUDIT not in message


class Groups:
    """Ids that belong together, as far as the messages seen show it."""

    def __init__(self) -> None:
        self._of: dict[str, set[str]] = {}

    def note(self, message: bytes) -> None:
        """Note what a message shows."""
        ids = ids_of(message)
        if ids is not None:
            self.add(ids.together)
        elif is_landmark(message):
            self.add((LANDMARK,))

    def add(self, together: Iterable[str]) -> None:
        """Note that these ids belong together."""
        group: set[str] | None = None
        for one in together:
            known = self._of.get(one)
            if known is None:
                if group is None:
                    group = set()
                group.add(one)
                self._of[one] = group
            elif group is None:
                group = known
            elif known is not group:
                small, group = sorted((known, group), key=len)
                group |= small
                for moved in small:
                    self._of[moved] = group

    def __iter__(self) -> Iterator[set[str]]:
        seen = set()
        for group in self._of.values():
            if id(group) not in seen:
                seen.add(id(group))
                yield group
