"""How fast the bytes of a PBX become call changes, beside panoramisk's own parser and dispatch.

Input: every recording of the real Asterisk 22 with its full event stream (VarSet and Newexten
included), one after the other, each repetition with uniqueids of its own, in chunks as TCP gives
them. Ours does more: framing, decoding, tracking. The rival parses each message and dispatches it
to one callback that does nothing.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
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
REPETITIONS = 12
ROUNDS = 3

_EPOCH = re.compile(rb"\b(1[78]\d{8})\.(\d+)\b")


def stream() -> bytes:
    """All recordings, several times, with different identities."""
    recordings = [
        path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        for path in sorted(TRACES.glob("*/*.ami"))
        if not path.parent.name.startswith("asterisk_")
    ]
    parts = []
    for repetition in range(REPETITIONS):
        for number, recording in enumerate(recordings):
            shift = b"%d" % (1000 * (repetition * len(recordings) + number + 1))
            parts.append(_EPOCH.sub(rb"\g<1>.\g<2>" + shift, recording))
    return b"".join(parts)


def chunks(data: bytes) -> Iterator[bytes]:
    """The data as TCP gives it."""
    for start in range(0, len(data), CHUNK):
        yield data[start : start + CHUNK]


def ours(data: bytes) -> tuple[float, int]:
    """Seconds and call changes for the whole stream."""
    framer, tracker = Framer(), CallTracker("bench")
    changes = number = 0
    start = time.perf_counter()
    for chunk in chunks(data):
        for raw in framer.feed(chunk):
            number += 1
            if wanted(raw) and (event := decode(raw, number)) is not None:
                for change in tracker.handle(event):
                    changes += not isinstance(change, Anomaly)
    return time.perf_counter() - start, changes


class _Transport(asyncio.Transport):
    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Nothing is sent here."""

    def close(self) -> None:
        """A recorded Shutdown must not end the measurement."""


async def rival(data: bytes) -> tuple[float, int]:
    """The same for panoramisk: seconds and dispatched events."""
    manager = Manager()
    dispatched = 0

    def count(_manager: Manager, _message: Any) -> None:
        nonlocal dispatched
        dispatched += 1

    manager.register_event("*", count)
    protocol = AMIProtocol()
    protocol.connection_made(_Transport())
    protocol.factory, protocol.encoding = manager, "utf-8"
    start = time.perf_counter()
    for chunk in chunks(data):
        protocol.data_received(chunk)
    return time.perf_counter() - start, dispatched


def measure() -> Iterator[Row]:
    """The row for the table."""
    data = stream()
    events = data.count(b"\r\nEvent: ") + data.startswith(b"Event: ")
    times, rival_times, changes = [], [], 0
    for _ in range(ROUNDS):
        seconds, changes = ours(data)
        times.append(seconds)
        seconds, _ = asyncio.run(rival(data))
        rival_times.append(seconds)
    best, rival_best = min(times), min(rival_times)
    yield Row(
        f"AMI bytes to call changes ({events:,} events, {changes:,} changes)",
        f"{events / best:,.0f} events/s",
        f"panoramisk parse+dispatch {events / rival_best:,.0f} events/s",
        f"{rival_best / best:.1f}x",
        "2x",
    )
    spread = quantile(times, 1.0) / best
    yield Row("  spread of the rounds", f"{spread:.2f}")


if __name__ == "__main__":
    from bench.table import printed

    print(printed(measure()))
