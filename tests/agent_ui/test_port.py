"""One port for page, REST API and websocket: what a connection's first bytes decide."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest
import uvloop

from agent_ui import push
from agent_ui.http import app, connection

from .conftest import OpenScene
from .scene import DEADLINE_S, Scene


async def exchange(scene: Scene, *parts: bytes) -> bytes:
    """Send the parts, each in its own packet, and read to the end."""
    async with asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", scene.server.port)
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)
            return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


async def test_page_api_and_websocket_share_the_port(scene: Scene) -> None:
    async with scene.browser("ayse") as browser:
        async with browser.get("/") as page:
            assert page.status == 200
        async with browser.get("/api/v1/session") as answer:
            assert answer.status == 200
    async with scene.page("ayse") as page:
        await page.until("snapshot")


async def test_a_megabyte_is_refused_with_an_answer(scene: Scene) -> None:
    async with scene.browser() as browser:
        for _ in range(2):
            async with browser.post("/api/v1/session", json={"login": "x" * 1_000_000}) as answer:
                assert answer.status == 413
                assert (await answer.json(content_type=None))["code"] == "too_large"


async def test_a_head_that_comes_byte_by_byte_is_understood(scene: Scene) -> None:
    head = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = await exchange(scene, *(head[i : i + 1] for i in range(len(head))))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b'{"status":"ok"}')


async def test_a_request_with_its_body_in_the_same_packet_is_understood(scene: Scene) -> None:
    body = json.dumps({"login": "ayse", "password": "wrong"}).encode()
    answer = await exchange(
        scene,
        b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: same-origin\r\n"
        b"Content-Type: application/json\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body),
    )
    assert answer.startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS to a port that has none
        b"\x00" * 100,
        b"\xff\xfe\xfd\r\n\r\n",
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"Action: Login\r\nUsername: x\r\n\r\n",
    ],
)
async def test_garbage_is_refused_at_once(scene: Scene, garbage: bytes) -> None:
    assert (await exchange(scene, garbage)).startswith(b"HTTP/1.1 400 ")


PUSH = b"GET /api/v1/push HTTP/1.1\r\nHost: x\r\nOrigin: http://x\r\n"
SIGN_IN = (
    b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: same-origin\r\n"
    b"Content-Type: application/json\r\n"
)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\nHost: x\n\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX<script>: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET http://x:99999999/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (SIGN_IN + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (SIGN_IN + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\nhello", 400),
        (SIGN_IN + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
        (SIGN_IN + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", 415),
        (PUSH + b"\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (PUSH + b"Content-Length: 4\r\n\r\nbody", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ],
)
async def test_what_two_servers_might_read_differently_is_refused_quietly(
    scene: Scene, caplog: pytest.LogCaptureFixture, request_: bytes, status: int
) -> None:
    """Who sends nonsense gets no traceback into our log, and is not told what we are made of."""
    caplog.set_level(logging.INFO)
    answer = await exchange(
        scene, request_.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
    )
    assert answer.split(b" ", 2)[1] == b"%d" % status
    assert b"aiohttp" not in answer
    assert b"script" not in answer.partition(b"\r\n\r\n")[2]
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


async def test_a_client_that_goes_in_the_middle_of_a_body_is_no_error_of_ours(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", scene.server.port)
    writer.write(SIGN_IN + b"Content-Length: 100\r\n\r\n{")
    await writer.drain()
    async with scene.browser() as browser, browser.get("/healthz") as answer:
        assert answer.status == 200  # by then the other has been read
    writer.close()
    await writer.wait_closed()
    async with scene.browser() as browser, browser.get("/healthz") as answer:
        assert answer.status == 200
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


async def test_a_client_that_does_not_read_is_cut_off(
    open_scene: OpenScene, static: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = asyncio.Event()

    class Watched(connection.HttpConnection):
        __slots__ = ()

        def connection_lost(self, exc: BaseException | None) -> None:
            super().connection_lost(exc)
            gone.set()

    monkeypatch.setattr(app, "HttpConnection", Watched)
    monkeypatch.setattr(connection, "_READ_S", 0.1)
    (static / "large.bin").write_bytes(bytes(16_000_000))
    async with open_scene() as scene, asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", scene.server.port, limit=1024)
        writer.write(b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        await gone.wait()
        assert len(await reader.read()) < 16_000_000
        writer.close()


async def test_a_head_without_end_is_refused(scene: Scene) -> None:
    answer = await exchange(scene, b"GET / HTTP/1.1\r\n", b"X: " + b"y" * 20_000)
    assert answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("sent", [b"", b"GET", b"GET / HTTP/1.1\r\nHost: x\r\n"])
async def test_a_client_that_dribbles_is_cut_off(open_scene: OpenScene, sent: bytes) -> None:
    async with open_scene(head_s=0.05) as scene:
        assert (await exchange(scene, sent)).startswith(b"HTTP/1.1 408 ")


async def test_clients_that_say_nothing_do_not_keep_others_out(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "_MOST_WAITING", 3)
    async with asyncio.timeout(DEADLINE_S):
        silent = [await asyncio.open_connection("127.0.0.1", scene.server.port) for _ in range(4)]
        assert (await silent[0][0].readline()).startswith(b"HTTP/1.1 503 ")
        answer = await exchange(
            scene, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        assert answer.startswith(b"HTTP/1.1 200 ")
        for _, writer in silent:
            writer.close()


async def test_a_body_that_never_comes_is_given_up(open_scene: OpenScene) -> None:
    async with open_scene(body_s=0.05, drain_s=0.1) as scene:
        reader, writer = await asyncio.open_connection("127.0.0.1", scene.server.port)
        writer.write(
            b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: same-origin\r\n"
            b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
        async with asyncio.timeout(DEADLINE_S):
            assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
        writer.close()
        await writer.wait_closed()


async def test_a_client_that_goes_at_once_leaves_nothing(scene: Scene) -> None:
    for sent in (b"", b"GET /", b"GET /api/v1/push HTTP/1.1\r\nHost: x\r\n\r\n"):
        _, writer = await asyncio.open_connection("127.0.0.1", scene.server.port)
        writer.write(sent)
        writer.close()
        await writer.wait_closed()
    async with scene.browser() as browser, browser.get("/healthz") as answer:
        assert answer.status == 200


async def test_a_plain_get_of_the_push_is_told_to_upgrade(scene: Scene) -> None:
    answer = await exchange(scene, b"GET /api/v1/push HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.startswith((b"HTTP/1.1 403 ", b"HTTP/1.1 426 "))


async def test_a_reused_connection_that_asks_for_the_push_is_closed(scene: Scene) -> None:
    """Proxies keep connections; one must not serve the page first and a websocket then."""
    answer = await exchange(
        scene,
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api/v1/push HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\n\r\n",
    )
    assert b"HTTP/1.1 426 " in answer


async def test_a_connection_of_a_proxy_is_not_kept(scene: Scene) -> None:
    answer = await exchange(
        scene, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.1.1.1\r\n\r\n"
    )
    assert b"Connection: close" in answer


async def test_stopping_does_not_wait_for_idle_connections(open_scene: OpenScene) -> None:
    async with open_scene() as scene:
        idle = [await asyncio.open_connection("127.0.0.1", scene.server.port) for _ in range(3)]
        idle[0][1].write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        await idle[0][0].readline()
        idle[1][1].write(b"GET /healthz HTT")
        loop = asyncio.get_running_loop()
        began = loop.time()
    assert loop.time() - began < 2
    for _, writer in idle:
        writer.close()


def test_all_of_it_works_on_uvloop_too(open_scene: OpenScene) -> None:
    """Handing a connection on is done by the loop's transports, and uvloop has its own."""

    async def run() -> None:
        async with open_scene(head_s=0.2) as scene:
            await test_page_api_and_websocket_share_the_port(scene)
            await test_a_megabyte_is_refused_with_an_answer(scene)
            await test_a_head_that_comes_byte_by_byte_is_understood(scene)
            await test_a_request_with_its_body_in_the_same_packet_is_understood(scene)
            await test_garbage_is_refused_at_once(scene, b"\x16\x03\x01")
            await test_a_reused_connection_that_asks_for_the_push_is_closed(scene)
            assert (await exchange(scene, b"GET /")).startswith(b"HTTP/1.1 408 ")
        await test_stopping_does_not_wait_for_idle_connections(open_scene)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
