"""How fast the bytes of a PBX become call changes, beside panoramisk's own parser and dispatch.

Input: every recording of the real Asterisk 22 with its full event stream (VarSet and Newexten
included), one after the other, each repetition with identities of its own, in chunks as TCP gives
them. Ours does more: framing, decoding, tracking. The rival parses each message and dispatches it
to one callback that does nothing.

Seconds are those of the processor, so that what else runs on the machine counts little, and the
best of several rounds in which both take turns.
"""

from __future__ import annotations

import asyncio
import re
import time
import tracemalloc
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from panoramisk import Manager
from panoramisk.ami_protocol import AMIProtocol

from bench.table import Row, quantile
from cti.ami.codec import decode, wanted
from cti.ami.framing import Framer
from cti.model import Anomaly
from cti.tracker import CallTracker

TRACES = Path(__file__).parents[1] / "tests" / "traces"
CHUNK = 16 * 1024
REPETITIONS = 4
ROUNDS = 4
FEW, MANY = 10, 10_000
"""Calls at the same time."""
CALLS = ("inbound/answered", "queue/ringall_answered", "transfer/attended_answered")
"""What they are, in turn."""

_IDENTITY = re.compile(
    rb"(?<!Timestamp: )\b1[78]\d{8}\.\d+\b"  # uniqueids
    rb"|\bcti-lab-\d+\b"  # those that we gave
    rb"|-[0-9a-f]{8}\b(?!-)"  # channels
    rb"|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"  # bridges
)


class Template:
    """A recording of which there can be any number of copies that do not know each other."""

    def __init__(self, recording: bytes) -> None:
        ends = [match.end() for match in _IDENTITY.finditer(recording)]
        starts = [0, *ends]
        self._pieces = [
            recording[start:end] for start, end in zip(starts, [*ends, None], strict=True)
        ]

    def copy(self, number: int) -> bytes:
        """Return a copy with identities of its own."""
        return (b"%06d" % number).join(self._pieces)


def read(path: Path) -> bytes:
    """Return a recording as it was on the wire."""
    return path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def stream() -> bytes:
    """All recordings, several times, with different identities."""
    templates = [
        Template(read(path))
        for path in sorted(TRACES.glob("*/*.ami"))
        if not path.parent.name.startswith("asterisk_")
    ]
    return b"".join(
        template.copy(repetition * len(templates) + number)
        for repetition in range(REPETITIONS)
        for number, template in enumerate(templates)
    )


def filtered(data: bytes) -> bytes:
    """What a PBX sends whose `eventfilter` lets through only what we read."""
    kept = [raw for raw in Framer().feed(data) if wanted(raw)]
    return b"\r\n\r\n".join([*kept, b""])


def chunks(data: bytes) -> Iterator[bytes]:
    """The data as TCP gives it."""
    for start in range(0, len(data), CHUNK):
        yield data[start : start + CHUNK]


class Ours:
    """From bytes to call changes, as in the daemon but without its queue."""

    def __init__(self) -> None:
        self._framer = Framer()
        self._tracker = CallTracker("bench")
        self._messages = 0
        self.changes = 0
        self.seconds = 0.0

    def feed(self, data: Iterable[bytes]) -> None:
        """Take chunks of bytes."""
        tracker = self._tracker
        start = time.process_time()
        for chunk in data:
            for raw in self._framer.feed(chunk):
                self._messages += 1
                # As the daemon asks twice: the reader of the socket, then the consumer.
                if wanted(raw) and (event := decode(raw, self._messages)) is not None:
                    for change in tracker.handle(event):
                        self.changes += not isinstance(change, Anomaly)
        self.seconds += time.process_time() - start


class _Transport(asyncio.Transport):
    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Nothing is sent here."""

    def close(self) -> None:
        """A recorded Shutdown must not end the measurement."""


async def rival(data: bytes) -> float:
    """Seconds of panoramisk for the same."""
    manager = Manager()
    dispatched = 0

    def count(_manager: Manager, _message: Any) -> None:
        nonlocal dispatched
        dispatched += 1

    manager.register_event("*", count)
    protocol = AMIProtocol()
    protocol.connection_made(_Transport())
    protocol.factory, protocol.encoding = manager, "utf-8"
    start = time.process_time()
    for chunk in chunks(data):
        protocol.data_received(chunk)
    return time.process_time() - start


def beside_panoramisk(what: str, data: bytes, aim: str = "") -> Iterator[Row]:
    """Both with the same bytes."""
    events = data.count(b"\r\nEvent: ") + data.startswith(b"Event: ")
    times, rival_times, changes = [], [], 0
    for _ in range(ROUNDS):
        ours = Ours()
        ours.feed(chunks(data))
        times.append(ours.seconds)
        changes = ours.changes
        rival_times.append(asyncio.run(rival(data)))
    best, rival_best = min(times), min(rival_times)
    yield Row(
        f"{what} ({events:,} events, {changes:,} changes)",
        f"{events / best:,.0f} events/s",
        f"panoramisk parse+dispatch {events / rival_best:,.0f} events/s",
        f"{rival_best / best:.1f}x",
        aim,
    )
    yield Row("  spread of the rounds", f"{quantile(times, 1.0) / best:.2f}")


@cache
def stories() -> list[list[Template]]:
    """The messages of each story, without those that `wanted` drops."""
    recordings = [read(TRACES / f"{name}.ami") for name in CALLS]
    return [
        [Template(raw + b"\r\n\r\n") for raw in Framer().feed(recording) if wanted(raw)]
        for recording in recordings
    ]


def steps(calls: range, *, share: float = 1.0) -> Iterator[list[bytes]]:
    """Yield the next message of each call, then the next, up to a share of each call."""
    plots = [plot[: int(len(plot) * share)] for plot in stories()]
    for step in range(max(map(len, plots))):
        told = ((plots[call % len(plots)], call) for call in calls)
        messages = [plot[step].copy(call) for plot, call in told if step < len(plot)]
        yield list(chunks(b"".join(messages)))


def flatness() -> Iterator[Row]:
    """What an event costs with few calls at the same time, and with many."""
    cost = {}
    per_call = sum(map(len, stories())) / len(CALLS)
    for together in (FEW, MANY):
        ours = Ours()
        for first in range(0, MANY, together):
            for step in steps(range(first, first + together)):
                ours.feed(step)
        cost[together] = ours.seconds / (per_call * MANY) * 1e6
    yield Row(
        f"an event that we keep, {MANY:,} calls at the same time",
        f"{cost[MANY]:.1f} us",
        f"{FEW} calls at the same time {cost[FEW]:.1f} us",
        f"{cost[MANY] / cost[FEW]:.2f}x",
        "flat",
    )


def memory() -> Iterator[Row]:
    """What the tracker holds for a call in progress: talking, its queue or transfer behind it."""
    calls = 3000
    ours = Ours()
    tracemalloc.start()
    sizes = []
    for first in (0, calls):  # what is cached is full after the first half
        for step in steps(range(first, first + calls), share=0.6):
            ours.feed(step)
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    yield Row("memory of a call in progress", f"{(sizes[1] - sizes[0]) / calls / 1024:.1f} KiB")


def measure() -> Iterator[Row]:
    """The rows for the table."""
    data = stream()
    yield from beside_panoramisk(
        "AMI bytes to call changes, full stream", data, "3x, 200,000 events/s"
    )
    yield from beside_panoramisk("the same, only events that we keep", filtered(data))
    yield from flatness()
    yield from memory()


if __name__ == "__main__":
    from bench.table import printed

    print(printed(measure()))
