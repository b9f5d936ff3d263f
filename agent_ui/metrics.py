"""Counts and times of the push, for `/metrics` and the benchmark. Pure."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(slots=True)
class Histogram:
    """How often a time was at most so long."""

    bounds: tuple[float, ...] = _SECONDS
    counts: list[int] = field(default_factory=lambda: [0] * (len(_SECONDS) + 1))
    """One for each bound, and one for what is longer."""
    total: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count one time."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    @property
    def count(self) -> int:
        """How many times were counted."""
        return sum(self.counts)


@dataclass(slots=True)
class PushMetrics:
    """What the push did since the start."""

    notices: int = 0
    notices_failed: int = 0
    """Notices that could not be turned into a frame; each is in the log."""
    frames: int = 0
    """Frames put in an outbox, once for each browser."""
    frames_sent: int = 0
    bytes_sent: int = 0
    snapshots: int = 0
    resumed: int = 0
    resume_misses: int = 0
    """Browsers that came back too late for their missed frames."""
    evicted: int = 0
    """Sockets closed because the browser did not read."""
    replaced: int = 0
    """Sockets closed because the user had too many."""
    refused: int = 0
    """Handshakes refused for their origin."""
    bad_frames: int = 0
    acks: int = 0
    received_to_sent: Histogram = field(default_factory=Histogram)
    """From the bytes of the PBX to the frame in the socket, if the notice says when they came."""
    shown_to_acked: Histogram = field(default_factory=Histogram)
    """From the card's publication to its acknowledgement, by our clock."""
    ringing_to_shown: Histogram = field(default_factory=Histogram)
    """From the ring (the PBX's clock) to the card on the screen (the browser's clock)."""
