"""Recorded calls as bytes, as often as a test wants them: each copy is a call of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

TRACES = Path(__file__).parents[1] / "traces"
_SPOKEN_OF = (
    "Newchannel|Newstate|NewCallerid|NewConnectedLine|DialBegin|DialState|DialEnd|BridgeEnter|"
    "BridgeLeave|BridgeDestroy|HangupRequest|Hangup|Hold|Unhold|QueueCallerJoin|QueueCallerLeave|"
    "QueueCallerAbandon|AgentCalled|AgentConnect|AttendedTransfer|BlindTransfer"
)
_EVENT = re.compile(rf"Event: ({_SPOKEN_OF})\r\n".encode())
_UNIQUEID = re.compile(rb"\b\d{10}(?=\.\d+\r\n)")
_CHANNEL = re.compile(rb"(?<=-)0000000(?=[0-9a-f]\b)")
_BRIDGE = re.compile(rb"[0-9a-f]{8}(?=(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_TIMESTAMP = re.compile(rb"Timestamp: [^\r]*\r\n")


class Call:
    """The events of one recorded call that make it a call."""

    def __init__(self, story: str = "inbound/answered") -> None:
        raw = (TRACES / f"{story}.ami").read_bytes()
        self.events = [part + b"\r\n\r\n" for part in raw.split(b"\r\n\r\n") if _EVENT.match(part)]

    def copy(self, number: int) -> list[bytes]:
        """The same call with identities of its own, and without times."""
        return [self._renamed(event, number) for event in self.events]

    def copies(self, numbers: Iterable[int]) -> Iterator[bytes]:
        """The events of many calls that go on at the same time."""
        for events in zip(*(self.copy(number) for number in numbers), strict=True):
            yield from events

    @staticmethod
    def _renamed(event: bytes, number: int) -> bytes:
        event = _TIMESTAMP.sub(b"", event)
        event = _UNIQUEID.sub(b"%d" % (1_600_000_000 + number), event)
        event = _CHANNEL.sub(b"%07x" % number, event)
        return _BRIDGE.sub(b"%08x" % number, event)


def channels_of(events: Iterable[bytes]) -> list[bytes]:
    """What CoreShowChannels answers for the channels that these events spoke of last."""
    last: dict[bytes, bytes] = {}
    for event in events:
        fields = dict(line.partition(b": ")[::2] for line in event.rstrip().split(b"\r\n"))
        if b"ChannelState" not in fields:
            continue
        caller = fields[b"Uniqueid"] == fields[b"Linkedid"]
        last[fields[b"Uniqueid"]] = (
            b"".join(
                b"%b: %b\r\n" % (key, value)
                for key, value in {
                    b"Event": b"CoreShowChannel",
                    **{key: fields[key] for key in _BLOCK},
                    b"Application": b"Dial" if caller else b"AppDial",
                    b"Duration": b"00:00:03",
                    b"BridgeId": b"",
                }.items()
            )
            + b"\r\n"
        )
    return list(last.values())


_BLOCK = tuple(
    key.encode()
    for key in (
        "Channel", "ChannelState", "ChannelStateDesc", "CallerIDNum", "CallerIDName",
        "ConnectedLineNum", "ConnectedLineName", "Context", "Exten", "Priority",
        "Uniqueid", "Linkedid",
    )
)  # fmt: skip
