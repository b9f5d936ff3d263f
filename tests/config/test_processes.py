"""Commands that run until they are told to stop, as processes of their own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from config.demo.pbx import DemoPbx

COMMAND = (sys.executable, "-c", "from config.cli import main; main(prog_name='santral')")
ROOT = Path(__file__).resolve().parents[2]


@asynccontextmanager
async def santral(*args: str, **environ: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A running command, killed at the end of the block if it has not ended itself."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SANTRAL_")}
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *args,
        cwd=ROOT,
        env=kept | environ,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line_with(process: asyncio.subprocess.Process, words: str) -> str:
    """Wait for a line of standard error that holds these words."""
    assert process.stderr is not None
    while raw := await process.stderr.readline():
        if words in (line := raw.decode()):
            return line
    raise AssertionError(f"it ended without saying {words!r}")


async def test_serve_runs_until_sigterm_and_exits_0(tmp_path: Path) -> None:
    environ = {
        "SANTRAL_DATABASE__URL": f"sqlite:///{tmp_path}/new/santral.sqlite3",
        "SANTRAL_WEB__PORT": "0",
    }
    async with santral("serve", **environ) as process:
        line = json.loads(await line_with(process, "serving at"))
        assert line["level"] == "info"
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0


async def test_serve_ends_with_1_when_its_port_is_taken(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    environ = {
        "SANTRAL_DATABASE__URL": f"sqlite:///{tmp_path}/santral.sqlite3",
        "SANTRAL_WEB__PORT": str(port),
    }
    async with server, santral("serve", **environ) as process:
        assert await process.wait() == 1
        assert process.stderr is not None
        said = (await process.stderr.read()).decode()
    assert "ddress already in use" in said
    assert "Traceback" not in said


async def test_record_writes_what_a_pbx_sends_until_it_is_told_to_stop(tmp_path: Path) -> None:
    file = tmp_path / "call.ami"
    async with DemoPbx(username="santral", secret="s3cret-s3cret", members={}) as pbx:
        environ = {
            "SANTRAL_PBX__0__PORT": str(pbx.port),
            "SANTRAL_PBX__0__EVENTS_USER": "santral",
            "SANTRAL_PBX__0__EVENTS_SECRET": "s3cret-s3cret",
        }
        async with santral("record", str(file), "--seconds", "1", **environ) as process:
            await line_with(process, "recording pbx to")
            assert await process.wait() == 0
    assert file.read_bytes().startswith(b"Asterisk Call Manager")
    assert b"s3cret-s3cret" not in file.read_bytes()
    assert file.stat().st_mode & 0o077 == 0


async def test_record_says_that_the_login_was_refused(tmp_path: Path) -> None:
    async with DemoPbx(username="santral", secret="s3cret-s3cret", members={}) as pbx:
        environ = {
            "SANTRAL_PBX__0__PORT": str(pbx.port),
            "SANTRAL_PBX__0__EVENTS_USER": "santral",
            "SANTRAL_PBX__0__EVENTS_SECRET": "wr0ng-wr0ng",
        }
        async with santral("record", str(tmp_path / "x.ami"), **environ) as process:
            assert await process.wait() == 1
            assert process.stderr is not None
            said = (await process.stderr.read()).decode()
    assert "santral: " in said
    assert "wr0ng" not in said
