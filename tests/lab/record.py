"""Play scenarios on the real Asterisk and write their AMI streams to ``tests/traces``.

``python -m tests.lab.record`` records all, ``python -m tests.lab.record queue inbound/busy`` some,
``python -m tests.lab.record --release 16 inbound`` some in the oldest dialect (``asterisk_16/``),
with ``--driver sip`` also with chan_sip (``asterisk_16/sip_*``).
Beside each ``<area>/<who_does_what>.ami`` stands a ``.json`` with the ground truth: what happened,
known from having played it and not from reading the stream.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import time
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack
from pathlib import Path

from tests.lab import (
    chained_scenarios,
    conference_scenarios,
    forward_scenarios,
    keys_scenarios,
    loose_scenarios,
    manager_scenarios,
    park_and_pickup_scenarios,
    queue_scenarios,
    refer_scenarios,
    scenarios,
    transfer_scenarios,
    two_pbx_scenarios,
)
from tests.lab.asterisk import Asterisk, peers
from tests.lab.known_wrong import KNOWN_WRONG
from tests.lab.phones import Phones
from tests.lab.processes import LabError
from tests.lab.recorder import Recording, record
from tests.lab.stage import SCENARIOS, Scenario, Stage, Truth

TRACES = Path(__file__).parents[1] / "traces"
STORIES = (
    scenarios,
    transfer_scenarios,
    refer_scenarios,
    keys_scenarios,
    manager_scenarios,
    park_and_pickup_scenarios,
    forward_scenarios,
    conference_scenarios,
    queue_scenarios,
    two_pbx_scenarios,
    chained_scenarios,
    loose_scenarios,
)
"""Importing them fills `SCENARIOS`."""
TOLERANCE_SECONDS = 0.5

log = logging.getLogger(__name__)


def start_recorder(asterisk: Asterisk) -> AbstractAsyncContextManager[Recording]:
    """Start to record the AMI stream of this PBX: the one place that knows how."""
    return record(asterisk.ami_port, "lab", asterisk.secret("lab"))


Recorded = tuple[bytes, Truth]
"""A stream and its ground truth."""


async def play(
    asterisk: Asterisk, story: Scenario, far: Asterisk | None = None
) -> tuple[Recorded, Recorded | None]:
    """Play one scenario on a fresh PBX; return what was recorded there, and at the far PBX."""
    async with AsyncExitStack() as stack:
        there: Stage | None = None
        if far is not None:
            telephones = await stack.enter_async_context(Phones(far))
            there = Stage(far, telephones, await stack.enter_async_context(start_recorder(far)))
        phones = await stack.enter_async_context(Phones(asterisk))
        await phones.register(*story.phones)
        recording = await stack.enter_async_context(start_recorder(asterisk))
        truth = await story.play(Stage(asterisk, phones, recording, far=there))
        await recording.silence()
        near = (recording.stream, truth)
        if there is None:
            told = None
        else:
            await there.ami.silence()
            told = (there.ami.stream, there.truth)
    for pbx, recorded in ((asterisk, near), (far, told)):
        if pbx is None or recorded is None:
            continue
        for secret in (*pbx.users.values(), pbx.phone_password):
            if secret.encode() in recorded[0]:
                raise LabError(f"{story.name}: a secret is in the stream")
    return near, told


def write(name: str, about: str, release: int, recorded: Recorded, target: Path) -> None:
    """Write a trace and its ground truth below ``target``."""
    stream, truth = recorded
    trace = target / f"{name}.ami"
    trace.parent.mkdir(parents=True, exist_ok=True)
    trace.write_bytes(stream)
    told = {"about": about, "asterisk": release, "tolerance_s": TOLERANCE_SECONDS}
    if name in KNOWN_WRONG:
        told["tracker"] = f"known wrong: {KNOWN_WRONG[name]}"
    told["calls"] = truth
    text = json.dumps(told, indent=2, ensure_ascii=False) + "\n"
    if name.startswith("asterisk_16/sip_"):
        text = text.replace("PJSIP/", "SIP/")
    trace.with_suffix(".json").write_text(text, encoding="utf-8")


def record_story(story: Scenario, release: int, driver: str, target: Path) -> int:
    """Play a story on PBXs of its own, write what they said; return the number of events."""
    with ExitStack() as stack:
        asterisk = Asterisk(
            release=release,
            ring_seconds=story.ring_seconds,
            queue_seconds=story.queue_seconds,
            contacts=story.contacts,
            driver=driver,
        )
        far = None
        if story.two:
            far = Asterisk(release=release, ring_seconds=story.ring_seconds)
            peers(asterisk, far)
            stack.enter_context(far)
        stack.enter_context(asterisk)
        near, there = asyncio.run(play(asterisk, story, far))
    name = story.name
    if release != 22:
        flat = name.replace("/", "_")
        name = f"asterisk_{release}/{flat}" if driver == "pjsip" else f"asterisk_16/sip_{flat}"
    write(name, story.about, release, near, target)
    if there is not None:
        about = f"{story.about} (As the other PBX sees it.)"
        write(f"{name}_far", about, release, there, target)
    return near[0].count(b"Event: ")


def main() -> None:
    """Record the scenarios whose names start with one of the arguments (all without any)."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.record")
    parser.add_argument("--release", type=int, default=22, choices=(16, 22))
    parser.add_argument("--driver", default="pjsip", choices=("pjsip", "sip"))
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
        events = record_story(story, release, chosen_by.driver, chosen_by.to)
        log.info("%-45s %3d events, %4.1f s", story.name, events, time.monotonic() - began)


if __name__ == "__main__":
    main()
