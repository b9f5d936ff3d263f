"""Play scenarios on the real Asterisk and write their AMI streams to ``tests/traces``.

``python -m tests.lab.record`` records all, ``python -m tests.lab.record queue inbound/busy`` some,
``python -m tests.lab.record --release 16 inbound`` some in the oldest dialect (``asterisk_16/``).
Beside each ``<area>/<who_does_what>.ami`` stands a ``.json`` with the ground truth: what happened,
known from having played it and not from reading the stream.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.lab import loose_scenarios, scenarios, transfer_scenarios
from tests.lab.asterisk import Asterisk
from tests.lab.phones import Phones
from tests.lab.processes import LabError
from tests.lab.recorder import Recording, record
from tests.lab.stage import SCENARIOS, Scenario, Stage, Truth

TRACES = Path(__file__).parents[1] / "traces"
STORIES = (scenarios, transfer_scenarios, loose_scenarios)
"""Importing them fills `SCENARIOS`."""
TOLERANCE_SECONDS = 0.5

log = logging.getLogger(__name__)


def start_recorder(asterisk: Asterisk) -> AbstractAsyncContextManager[Recording]:
    """Start to record the AMI stream of this PBX: the one place that knows how."""
    return record(asterisk.ami_port, "lab", asterisk.secret("lab"))


async def play(asterisk: Asterisk, story: Scenario) -> tuple[bytes, Truth]:
    """Play one scenario on a fresh PBX; return its stream and its ground truth."""
    async with Phones(asterisk) as phones:
        await phones.register(*story.phones)
        async with start_recorder(asterisk) as recording:
            truth = await story.play(Stage(asterisk, phones, recording))
            await recording.silence()
            stream = recording.stream
    for secret in (*asterisk.users.values(), asterisk.phone_password):
        if secret.encode() in stream:
            raise LabError(f"{story.name}: a secret is in the stream")
    return stream, truth


def write(story: Scenario, release: int, stream: bytes, truth: Truth, target: Path) -> None:
    """Write the trace and the ground truth of one scenario below ``target``."""
    name = story.name if release == 22 else f"asterisk_{release}/{story.name.replace('/', '_')}"
    trace = target / f"{name}.ami"
    trace.parent.mkdir(parents=True, exist_ok=True)
    trace.write_bytes(stream)
    told = {
        "about": story.about,
        "asterisk": release,
        "tolerance_s": TOLERANCE_SECONDS,
        "calls": truth,
    }
    trace.with_suffix(".json").write_text(
        json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def main() -> None:
    """Record the scenarios whose names start with one of the arguments (all without any)."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.record")
    parser.add_argument("--release", type=int, default=22, choices=(16, 22))
    parser.add_argument("--to", type=Path, default=TRACES, help="where to write the traces")
    parser.add_argument("names", nargs="*", help="starts of scenario names")
    chosen_by = parser.parse_args()
    names: list[str] = chosen_by.names
    release: int = chosen_by.release
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    chosen = [
        story
        for story in SCENARIOS.values()
        if not names or any(story.name.startswith(name) for name in names)
    ]
    if not chosen:
        raise SystemExit(f"no such scenario; known: {', '.join(SCENARIOS)}")
    for story in chosen:
        began = time.monotonic()
        with Asterisk(
            release=release, ring_seconds=story.ring_seconds, queue_seconds=story.queue_seconds
        ) as asterisk:
            stream, truth = asyncio.run(play(asterisk, story))
        write(story, release, stream, truth, chosen_by.to)
        log.info(
            "%-45s %3d events, %4.1f s",
            story.name,
            stream.count(b"Event: "),
            time.monotonic() - began,
        )


if __name__ == "__main__":
    main()
