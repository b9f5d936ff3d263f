"""Channels, the bridges they are in, and the Local pairs between them: who can hear whom.

A Local channel is a tube with two ends (`;1` and `;2`); what goes into one comes out of the other.
Two people hear each other when one can be reached from the other through bridges and tubes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cti.ami.events import ChannelState, Uniqueid

if TYPE_CHECKING:
    from cti.tracker.calls import LiveCall, LiveLeg, Talk


class Bridge:
    """Channels that Asterisk mixes, or (`holding`) keeps waiting side by side."""

    __slots__ = ("holding", "id", "members")

    def __init__(self, bridge: str, *, holding: bool) -> None:
        self.id = bridge
        self.holding = holding
        self.members: dict[Channel, None] = {}
        """In order of entrance."""


class Channel:
    """A channel as its last event showed it."""

    __slots__ = (
        "bridge",
        "call",
        "dialled_by",
        "leg",
        "linkedid",
        "name",
        "other_half",
        "sent_out",
        "state",
        "talks",
        "uniqueid",
    )

    def __init__(self, uniqueid: Uniqueid, name: str, linkedid: str, call: LiveCall) -> None:
        self.uniqueid = uniqueid
        self.name = name
        self.linkedid = linkedid
        self.state = ChannelState.DOWN
        self.call = call
        self.leg: LiveLeg | None = None
        """None for channels at which nobody is, like the halves of Local channels."""
        self.bridge: Bridge | None = None
        self.other_half: Channel | None = None
        self.dialled_by: Channel | None = None
        self.sent_out: tuple[str, str, str] | None = None
        """Trunk, number and name under which a caller from outside was sent on by it."""
        self.talks: dict[Channel, Talk] = {}
        """Whom it hears now."""


def reachable(start: Channel) -> list[Channel]:
    """Return the channels of people that `start` hears through bridges and tubes, itself included.

    In order of distance, so that the answer does not depend on chance.
    """
    people: list[Channel] = []
    seen = {start}
    waiting = [start]
    for channel in waiting:
        if channel.leg is not None:
            people.append(channel)
        bridge = channel.bridge
        if bridge is not None and not bridge.holding:
            for member in bridge.members:
                if member not in seen:
                    seen.add(member)
                    waiting.append(member)
        half = channel.other_half
        if half is not None and half not in seen:
            seen.add(half)
            waiting.append(half)
    return people


def local_pair_name(channel: str) -> str:
    """Return the name that both halves of a Local channel share, `""` for any other channel."""
    if channel.startswith("Local/") and channel.endswith((";1", ";2")):
        return channel[:-2]
    return ""
