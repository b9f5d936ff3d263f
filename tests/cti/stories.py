"""What a PBX sends in the usual order of Asterisk 22, for plays that are about something else."""

from __future__ import annotations

from pathlib import Path

from cti.ami.events import AmiEvent
from tests.cti.pbx import Channel

DID = "902125550101"
TRACES = Path(__file__).parents[1] / "traces"
RECORDED = sorted(
    str(path.relative_to(TRACES)).removesuffix(".calls.json")
    for path in TRACES.rglob("*.calls.json")
)
"""The recorded calls of which it is agreed what the tracker makes of them."""


def ringing(caller: Channel, phone: Channel) -> list[AmiEvent]:
    """A phone is dialled and rings."""
    return [phone.new(), caller.dials(phone), phone.rings(), caller.dial_says(phone, "RINGING")]


def answered(caller: Channel, phone: Channel, bridge: str = "b1") -> list[AmiEvent]:
    """The phone is picked up, and the two talk."""
    return [
        phone.up(),
        caller.dial_ends(phone, "ANSWER"),
        caller.up(),
        phone.enters(bridge),
        caller.enters(bridge),
    ]


def over(first: Channel, other: Channel, bridge: str = "b1") -> list[AmiEvent]:
    """The first hangs up."""
    return [
        first.asks_to_hang_up(),
        first.leaves(bridge),
        other.leaves(bridge),
        first.hangs_up(),
        other.hangs_up(),
    ]


def given_up(caller: Channel, *phones: Channel) -> list[AmiEvent]:
    """The caller hangs up while the phones ring."""
    return [
        caller.asks_to_hang_up(),
        *(caller.dial_ends(phone, "CANCEL") for phone in phones),
        *(phone.hangs_up(0) for phone in phones),
        caller.hangs_up(),
    ]
