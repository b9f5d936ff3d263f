"""The demo's contract: two links, a page that answers, a first card within ten seconds, an end."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Origin

from config.demo.center import STORIES
from config.demo.customers import customers

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("crm_core", "cti", "mail", "agent_ui", "config")
SANTRAL = (sys.executable, "-c", "from config.cli import main; main(prog_name='santral')")
STARTS_S, FIRST_POP_S, STOPS_S = 40.0, 10.0, 15.0


class Demo:
    """A running `santral demo`."""

    def __init__(self, process: asyncio.subprocess.Process, desk: str, board: str) -> None:
        self.process, self.desk, self.board = process, desk, board

    async def stop(self) -> int:
        """Ctrl-C; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(STOPS_S):
            return await self.process.wait()


@asynccontextmanager
async def demo(
    directory: Path, command: tuple[str, ...] = SANTRAL, cwd: Path = ROOT
) -> AsyncIterator[Demo]:
    """The demo as a process, with all its temporary files in this directory."""
    said = directory / "stderr"
    with said.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *command,
            *("demo", "--port", "0"),
            cwd=cwd,
            env=os.environ | {"TMPDIR": str(directory / "tmp")},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )
    assert process.stdout is not None
    try:
        links: dict[str, str] = {}
        async with asyncio.timeout(STARTS_S):
            while len(links) < 2:
                line = (await process.stdout.readline()).decode()
                assert line, f"it ended:\n{said.read_text()}"
                if found := re.fullmatch(r"(Agent desk|Supervisor): (http://\S+)\n", line):
                    links[found[1]] = found[2]
        yield Demo(process, links["Agent desk"], links["Supervisor"])
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "tmp").mkdir()
    return tmp_path


async def opened(link: str) -> tuple[str, str, str]:
    """Open a sign-in link as a browser does: the origin, the page and the cookie."""
    origin = link[: link.index("/", len("http://"))]
    jar = aiohttp.CookieJar(unsafe=True)
    headers = {"Sec-Fetch-Mode": "navigate", "Accept": "text/html"}
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        async with session.get(link, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            page = await answer.text()
        cookie = "; ".join(f"{cookie.key}={cookie.value}" for cookie in jar)
    return origin, page, cookie


async def frame(origin: str, cookie: str, *kinds: str, seconds: float) -> dict[str, Any]:
    """The first frame of one of these kinds."""
    url = origin.replace("http://", "ws://") + "/api/v1/push"
    async with (
        asyncio.timeout(seconds),
        connect(url, origin=Origin(origin), additional_headers={"Cookie": cookie}) as socket,
    ):
        async for text in socket:
            found: dict[str, Any] = json.loads(text)
            if found["type"] in kinds:
                return found
    raise AssertionError("the socket ended")


async def shows_a_card_and_stops(running: Demo) -> None:
    """What a newcomer sees."""
    origin, page, cookie = await opened(running.desk)
    assert "<script" in page
    pop = (await frame(origin, cookie, "pop", seconds=FIRST_POP_S))["pop"]
    assert (pop["state"], pop["match"]["result"]) == ("ringing", "known")
    assert pop["match"]["candidates"][0]["tier"]
    assert pop["recent"], "a customer with a history"
    origin, _, cookie = await opened(running.board)
    snapshot = await frame(origin, cookie, "snapshot", seconds=FIRST_POP_S)
    assert {queue["name"] for queue in snapshot["queues"]} == {"support", "sales", "office"}
    assert len(snapshot["agents"]) == 6
    async with aiohttp.ClientSession(headers={"Cookie": cookie}) as session:
        async with session.get(f"{origin}/api/v1/touches") as answer:
            touches = (await answer.json())["items"]
        async with session.get(f"{origin}/readyz") as answer:
            assert answer.status == 200, await answer.text()
    assert {touch["medium"] for touch in touches} == {"phone", "email"}
    assert await running.stop() == 0


async def test_the_first_card_comes_within_ten_seconds(directory: Path) -> None:
    async with demo(directory) as running:
        await shows_a_card_and_stops(running)
    assert not list((directory / "tmp").iterdir()), "it leaves no file behind"
    assert "Traceback" not in (directory / "stderr").read_text()


async def test_a_link_signs_in_once(directory: Path) -> None:
    async with demo(directory) as running:
        await opened(running.desk)
        async with (
            aiohttp.ClientSession() as session,
            session.get(running.desk, headers={"Sec-Fetch-Mode": "navigate"}) as answer,
        ):
            assert "Set-Cookie" not in answer.headers
        assert await running.stop() == 0


async def test_it_can_be_stopped_at_once(directory: Path) -> None:
    async with demo(directory) as running:
        assert await running.stop() == 0


async def test_it_says_what_it_needs_where_the_extra_is_not_installed(directory: Path) -> None:
    hidden = "import sys; sys.modules['mail_devel'] = None\n"
    process = await asyncio.create_subprocess_exec(
        *(SANTRAL[0], "-c", hidden + SANTRAL[2], "demo", "--port", "0"),
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(directory / "tmp")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    assert (process.returncode, out) == (1, b"")
    assert "pip install 'santral[demo]'" in error.decode()
    assert "Traceback" not in error.decode()


def test_its_customers_are_the_same_in_each_run_and_reach_nobody() -> None:
    people = list(customers())
    assert people == list(customers())
    labels = {
        (point.label, point.value)
        for person in people
        for point in person.points
        if point.kind == "phone" and not point.shared
    }
    mobile = {number for label, number in labels if label == "mobile"}
    assert mobile == {number for _, number in labels if number.startswith(("+905", "+79"))}
    assert len(people) == 2000
    assert all(
        point.value.startswith("+") or point.value.endswith(".example")
        for person in people
        for point in person.points
    )


# --- the wheel ------------------------------------------------------------------------------------


def test_the_wheel_is_told_of_each_recording() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert told["targets"]["wheel"]["force-include"] == {
        f"tests/traces/{name}.ami": f"config/demo/recordings/{name}.ami" for name in STORIES
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The wheel of this tree, built from a copy of it and with the page as it is."""
    if not (ROOT / "agent_ui" / "static" / "index.html").is_file():
        pytest.skip("the page is not built: make setup")
    copy = tmp_path_factory.mktemp("tree")
    for name in ("pyproject.toml", "README.md", "LICENSE", "hatch_build.py"):
        shutil.copy2(ROOT / name, copy)
    leave = shutil.ignore_patterns("node_modules", "__pycache__", "*.sqlite3*")
    for name in (*PACKAGES, "tests/traces"):
        shutil.copytree(ROOT / name, copy / name, ignore=leave)
    (copy / "agent_ui" / "static" / "index.html").touch()  # newer than its sources: not built anew
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"],
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [built] = (copy / "dist").glob("*.whl")
    yield built
    shutil.rmtree(copy)


@pytest.mark.wheel
def test_the_wheel_has_everything_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    packages = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert packages == set(PACKAGES)
    for package in PACKAGES:
        assert f"{package}/__init__.py" in names
        assert f"{package}/py.typed" in names
    assert {f"config/demo/recordings/{story}.ami" for story in STORIES} <= names
    assert len([name for name in names if "/recordings/" in name]) == len(STORIES)
    assert "agent_ui/static/index.html" in names
    assert any(re.fullmatch(r"agent_ui/static/assets/.+\.js", name) for name in names)
    assert "crm_core/db/migrations/versions/rev_0001_first_tables.py" in names
    assert "config/santral.example.toml" in names
    assert not [name for name in names if "agent_ui/web" in name or "__pycache__" in name]


@pytest.fixture
def installed(wheel: Path, directory: Path) -> Path:
    """The `santral` command of the wheel, in an environment of its own."""
    environment = directory / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"),
            *("--python", environment / "bin" / "python"),
            *("install", "--no-deps", "--no-index", wheel),
        ],
        check=True,
    )
    [site] = environment.glob("lib/python*/site-packages")
    # Its libraries are ours; the editable Santral of ours is not, since its .pth is not read.
    (site / "libraries.pth").write_text(f"{Path(aiohttp.__file__).parents[1]}\n")
    where = subprocess.run(
        [environment / "bin" / "python", "-c", "import config; print(config.__file__)"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(site))
    return environment / "bin" / "santral"


@pytest.mark.wheel
async def test_the_demo_runs_from_the_installed_wheel(installed: Path, directory: Path) -> None:
    """Without this tree: only what the wheel brings, and the libraries that it needs."""
    async with demo(directory, (str(installed),), cwd=directory) as running:
        await shows_a_card_and_stops(running)
