"""From the ring's bytes leaving the PBX to the websocket frame at the agent.

The daemon runs in a process of its own as an operator starts it, with 100,000 contacts in SQLite.
This process is the PBX (it plays a call recorded from the real Asterisk 22 over real AMI) and the
agent's browser (a real websocket). Measured from the moment the bytes that say "ringing" are
written to the moment the frame with the card arrives. Each call comes from another customer.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import aiohttp
from websockets.asyncio.client import ClientConnection, connect

from bench.table import Row, quantile
from config.demo.pbx import DemoPbx, Headers, Recording, parse_recording
from crm_core.db.schema import migrate
from crm_core.db.store import open_store
from crm_core.model import ContactPoint, PointKind
from crm_core.ports import ContactDraft
from tests.lab.processes import free_port

CONTACTS = 100_000
CALLS = 400
WARM_UP = 40
SANTRAL = Path(sys.executable).with_name("santral")
RECORDING = Path(__file__).parents[1] / "tests" / "traces" / "inbound" / "answered.ami"


class _TimedPbx(DemoPbx):
    """Notes when the bytes that say "ringing" were written."""

    rung_at: float = 0.0

    def _send(self, headers: Headers) -> None:
        super()._send(headers)
        found = dict(headers)
        if found["Event"] == "Newstate" and found.get("ChannelStateDesc") == "Ringing":
            type(self).rung_at = time.perf_counter()


def number_of(index: int) -> str:
    """The made-up number of the contact with this index."""
    return f"+90532{index:07d}"


async def fill(url: str, count: int) -> None:
    """A database with so many contacts and one agent."""
    await migrate(url)
    store = open_store(url)
    drafts = iter(
        ContactDraft(
            name=f"Customer {index}",
            external_id=f"C-{index}",
            account=f"Company {index // 7}" if index % 3 else "",
            points=(
                ContactPoint(kind=PointKind.PHONE, value=number_of(index)),
                ContactPoint(kind=PointKind.EMAIL, value=f"c{index}@bench.example"),
            ),
        )
        for index in range(count)
    )
    while batch := list(islice(drafts, 1000)):
        async with store.begin() as uow:
            await uow.contacts.upsert_many(batch)
            await uow.commit()
    async with store.begin() as uow:
        await uow.users.add(login="ece", name="Ece", role="agent", phones=[("bench", "PJSIP/1001")])
        await uow.commit()
    await store.close()


async def pops(pbx: _TimedPbx, socket: ClientConnection, recording: Recording) -> list[float]:
    """Play the calls one after the other; the seconds from ring to card of each.

    A call rings for 50 ms: a phone that has stopped ringing before we could say so gets no card.
    """
    times = []
    async for raw in socket:  # what happens before the snapshot is told by it
        if json.loads(raw)["type"] == "snapshot":
            break
    for index in range(WARM_UP + CALLS):
        caller = number_of(index * 7919 % CONTACTS).removeprefix("+")
        playing = asyncio.create_task(  # noqa: TID251 - awaited below
            pbx.play(recording, caller=caller, slowness=0.06)
        )
        known, seen = False, []
        async for raw in socket:
            frame = json.loads(raw)
            seen.append(frame["type"])
            if frame["type"] == "pop":
                times.append(time.perf_counter() - pbx.rung_at)
                known = frame["pop"]["match"]["result"] == "known"
            if frame["type"] == "touch":
                break
        if not known:
            raise RuntimeError(f"call {index} was not matched: {seen}")
        await playing
    return times[WARM_UP:]


async def run(directory: Path, contacts: int = CONTACTS) -> Sequence[float]:
    """The whole measurement."""
    url = f"sqlite:///{directory / 'bench.sqlite3'}"
    await fill(url, contacts)
    async with _TimedPbx(username="bench", secret=secrets.token_hex(8), members={}) as pbx:
        settings = directory / "santral.toml"
        settings.touch(mode=0o600)
        settings.write_text(
            f'[database]\nurl = "{url}"\n[web]\nport = {free_port()}\n[log]\nformat = "json"\n'
            f'[[pbx]]\nname = "bench"\nport = {pbx.port}\n'
            f'events_user = "bench"\nevents_secret = "{pbx.secret}"\n'
        )
        daemon = await asyncio.create_subprocess_exec(
            SANTRAL, "serve", "-c", settings, stderr=asyncio.subprocess.PIPE, limit=2**20
        )
        try:
            port = await _port(daemon)
            origin = f"http://127.0.0.1:{port}"
            cookie = await _signed_in(settings, origin)
            async with connect(
                f"ws://127.0.0.1:{port}/api/v1/push",
                origin=origin,  # type: ignore[arg-type]
                additional_headers={"Cookie": cookie},
            ) as socket:
                return await pops(pbx, socket, parse_recording("", RECORDING.read_bytes()))
        finally:
            daemon.terminate()
            await daemon.wait()


async def _port(daemon: asyncio.subprocess.Process) -> int:
    """Wait until the page is served and the PBX is heard; go on reading the log."""
    assert daemon.stderr is not None
    port, heard = 0, False
    said: list[str] = []
    while not (port and heard):
        raw = await daemon.stderr.readline()
        if not raw:
            raise RuntimeError("the daemon ended:\n" + "\n".join(said))
        said.append(raw.decode("utf-8", "replace").rstrip())
        try:
            line = json.loads(raw)
        except ValueError:
            continue  # a warning before the logs are set up
        port = line.get("port", port) if line.get("action") == "ui_up" else port
        heard = heard or line.get("action") == "pbx_up"

    async def drain() -> None:
        assert daemon.stderr is not None
        while await daemon.stderr.read(2**16):
            pass

    _draining.append(asyncio.create_task(drain()))  # noqa: TID251 - ends with the daemon
    return port


_draining: list[asyncio.Task[None]] = []


async def _signed_in(settings: Path, origin: str) -> str:
    """Use a one-time link as a browser does; returns the cookie."""
    maker = await asyncio.create_subprocess_exec(
        SANTRAL, "user", "link", "ece", "-c", settings, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await maker.communicate()
    path = out.decode().strip()[out.decode().index("/signin/") :]
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        async with session.get(origin + path, headers={"Sec-Fetch-Mode": "navigate"}):
            pass
        return "; ".join(f"{cookie.key}={cookie.value}" for cookie in session.cookie_jar)


def measure() -> Iterator[Row]:
    """The row for the table."""
    with tempfile.TemporaryDirectory(prefix="santral-bench-") as directory:
        times = asyncio.run(run(Path(directory)))
    yield Row(
        f"ring to card, {CONTACTS:,} contacts in SQLite, {CALLS} calls",
        " / ".join(f"{quantile(times, q) * 1000:.1f}" for q in (0.50, 0.95, 0.99))
        + " ms (p50/p95/p99)",
        aim="p99 < 20 ms",
    )


if __name__ == "__main__":
    from bench.table import printed

    print(printed(measure()))
