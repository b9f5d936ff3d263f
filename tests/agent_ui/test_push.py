"""The websocket, with the real server and a real client."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Collection
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from crm_core.model import User
from crm_core.notices import CallChanged, LiveParticipant, Noticed, PopShown, PopState, PopUpdated

from .conftest import OpenScene
from .scene import AT, AYSE, BORIS, CALLER, DEADLINE_S, HOSTILE, Scene, call, pop


async def until(condition: Any) -> None:
    """Wait for what the server does on its own."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - the server sends no event for this
            await asyncio.sleep(0.005)


async def change(scene: Scene, login: str, **fields: Any) -> None:
    """As `santral user change` does in another process."""
    async with scene.store.begin() as uow:
        await uow.users.change(scene.users[login].id, **fields)
        await uow.commit()


async def test_a_phone_rings_and_the_page_has_the_card(scene: Scene) -> None:
    async with scene.page("ayse") as page:
        hello = await page.frame()
        assert hello["type"] == "hello"
        assert hello["user"]["login"] == "ayse"
        assert (await page.frame())["type"] == "snapshot"
        scene.hub.publish(PopShown(pop=pop(AYSE)))
        shown = await page.frame()
        assert (shown["type"], shown["seq"]) == ("pop", 3)
        assert shown["pop"]["match"]["reasons"] == ["exact number, direct line"]
        await page.socket.send(
            json.dumps({"type": "ack", "id": shown["pop"]["id"], "shown_at": AT.isoformat()})
        )
        await until(lambda: scene.hub.metrics.acks == 1)


async def test_no_agent_ever_receives_the_card_of_another(scene: Scene) -> None:
    async with scene.page("ayse") as ayse, scene.page("boris") as boris:
        await ayse.until("snapshot")
        await boris.until("snapshot")
        scene.hub.publish(PopShown(pop=pop(AYSE)))
        scene.hub.publish(PopUpdated(pop=pop(AYSE, state=PopState.CONNECTED)))
        scene.hub.publish(PopShown(pop=pop(BORIS)))
        scene.hub.publish(Noticed(code="end"))
        assert [(await ayse.frame())["type"] for _ in range(3)] == ["pop", "pop_update", "notice"]
        own, end = await boris.frame(), await boris.frame()
        assert (own["pop"]["id"], end["code"]) == ("call-1/2", "end")


async def test_a_hostile_name_arrives_as_it_was_sent(scene: Scene) -> None:
    async with scene.page("ayse") as page:
        await page.until("snapshot")
        scene.hub.publish(PopShown(pop=replace(pop(), party=replace(CALLER, name=HOSTILE))))
        shown = await page.until("pop")
        assert shown["pop"]["party"]["name"] == HOSTILE.replace("\0", "").replace(
            "\ud800", "\ufffd"
        )


async def test_without_a_sign_in_the_page_is_told_4001(scene: Scene) -> None:
    for token in ("", "made up", "x" * 1000):
        async with scene.socket(token) as socket:
            await socket.wait_closed()
            assert socket.close_code == 4001


@pytest.mark.parametrize(
    "origin",
    [
        "",  # none at all
        "null",  # a sandboxed frame
        "https://evil.example",
        "http://127.0.0.1",  # another port of this host
        "http://127.0.0.1.evil.example:{port}",
        "https://127.0.0.1:{port}",  # another scheme
    ],
)
async def test_a_strange_origin_is_refused(scene: Scene, origin: str) -> None:
    token = await scene.cookie("ayse")
    with pytest.raises(InvalidStatus) as refused:
        async with scene.socket(token, origin=origin.format(port=scene.server.port)):
            pass
    assert refused.value.response.status_code == 403
    assert json.loads(refused.value.response.body)["code"] == "origin_refused"
    assert scene.hub.connected == 0


async def test_a_configured_origin_may_connect(open_scene: OpenScene) -> None:
    async with open_scene(origins=("https://crm.example",)) as scene:
        token = await scene.cookie("ayse")
        async with scene.socket(token, origin="https://crm.example") as socket:
            assert json.loads(await socket.recv())["type"] == "hello"


async def test_a_store_that_is_away_says_so(scene: Scene) -> None:
    token = await scene.cookie("ayse")
    scene.store.unavailable = True
    with pytest.raises(InvalidStatus) as refused:
        async with scene.socket(token):
            pass
    assert refused.value.response.status_code == 503


async def test_a_page_that_lost_the_line_gets_what_it_missed(open_scene: OpenScene) -> None:
    async with open_scene(push={"resume_wait_s": 5.0}) as scene:
        token = await scene.cookie("ayse")
        async with scene.page(token=token) as page:
            hello = await page.frame()
            last = await page.frame()
            page.socket.transport.abort()
        await until(lambda: scene.hub.connected == 0)
        scene.hub.publish(PopShown(pop=pop()))
        async with scene.page(token=token, query="?resume=1") as page:
            assert (await page.frame())["type"] == "hello"
            await page.socket.send(
                json.dumps({"type": "resume", "session": hello["session"], "seq": last["seq"]})
            )
            assert [(await page.frame())["type"] for _ in range(2)] == ["resumed", "pop"]


async def test_a_page_that_comes_back_too_late_gets_a_snapshot(open_scene: OpenScene) -> None:
    async with open_scene(push={"resume_frames": 4}) as scene:
        token = await scene.cookie("ayse")
        async with scene.page(token=token) as page:
            hello = await page.frame()
            await page.frame()
        await until(lambda: scene.hub.connected == 0)
        scene.hub.publish(PopShown(pop=pop()))
        for number in range(5):
            scene.hub.publish(Noticed(code=str(number)))
        async with scene.page(token=token, query="?resume=1") as page:
            await page.socket.send(
                json.dumps({"type": "resume", "session": hello["session"], "seq": 2})
            )
            assert (await page.frame())["type"] == "hello"
            snapshot = await page.frame()
            assert snapshot["type"] == "snapshot"
            assert len(snapshot["pops"]) == 1


async def test_a_page_that_announces_a_resume_and_says_nothing_gets_a_snapshot(
    open_scene: OpenScene,
) -> None:
    async with (
        open_scene(push={"resume_wait_s": 0.05}) as scene,
        scene.page("ayse", query="?resume=1") as page,
    ):
        assert [(await page.frame())["type"] for _ in range(2)] == ["hello", "snapshot"]


async def test_a_page_that_does_not_read_is_closed_and_nobody_waits_for_it(
    open_scene: OpenScene,
) -> None:
    limits = {"outbox_frames": 64, "close_s": 1.0}
    async with open_scene(push=limits) as scene, AsyncExitStack() as stack:
        slow = await stack.enter_async_context(scene.page("ayse"))
        quick = await stack.enter_async_context(scene.page("ayse"))
        await slow.until("snapshot")
        await quick.until("snapshot")
        slow.socket.transport.pause_reading()
        sent = 0
        async with asyncio.timeout(30):
            while scene.hub.metrics.evicted == 0:
                scene.hub.publish(Noticed(code=str(sent), values={"text": "x" * 50_000}))
                assert (await quick.frame())["code"] == str(sent)
                sent += 1
        slow.socket.transport.resume_reading()
        with pytest.raises(ConnectionClosedError):
            await slow.until("the end")
        assert slow.socket.close_code == 4002
        scene.hub.publish(Noticed(code="on"))
        assert (await quick.frame())["code"] == "on"
        assert scene.hub.connected == 1


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "nonsense",
        "[]",
        "[" * 10_000,
        '{"type":"ack"}',
        '{"type":"subscribe","to":"everything"}',
        '{"type":"ack","id":"x","shown_at":"yesterday"}',
        '{"type":"ack","id":"x","shown_at":"2026-11-24T09:30:00Z","more":1}',
        '{"type":"resume","session":"x","seq":-1}',
        '{"type":"resume","session":"' + "x" * 65 + '","seq":1}',
        b"\x00\x01",
    ],
)
async def test_a_bad_frame_closes_the_socket(scene: Scene, frame: str | bytes) -> None:
    async with scene.page("ayse") as page:
        await page.until("snapshot")
        await page.socket.send(frame)
        assert await page.closed() == 4003


async def test_a_frame_that_is_too_large_closes_the_socket(scene: Scene) -> None:
    async with scene.page("ayse") as page:
        await page.until("snapshot")
        await page.socket.send("x" * 2_000_000)
        assert await page.closed() == 1009


async def test_text_that_is_no_text_closes_the_socket(scene: Scene) -> None:
    async with scene.page("ayse") as page:
        await page.until("snapshot")
        await page.socket.send(b"\xff\xfe", text=True)
        assert await page.closed() in {1007, 4003}


async def test_a_flood_of_frames_closes_the_socket(open_scene: OpenScene) -> None:
    async with open_scene(push={"client_frames_per_s": 5}) as scene, scene.page("ayse") as page:
        await page.until("snapshot")
        ack = json.dumps({"type": "ack", "id": "x", "shown_at": AT.isoformat()})
        for _ in range(11):
            await page.socket.send(ack)
        assert await page.closed() == 4003


async def test_signing_out_closes_the_sockets_of_that_sign_in_only(scene: Scene) -> None:
    token = await scene.cookie("ayse")
    async with scene.page(token=token) as page, scene.page("ayse") as elsewhere:
        await page.until("snapshot")
        await elsewhere.until("snapshot")
        async with scene.browser() as browser:
            browser.cookie_jar.update_cookies({"santral_session": token})
            async with browser.delete("/api/v1/session") as answer:
                assert answer.status == 204
        assert await page.closed() == 4004
        scene.hub.publish(Noticed(code="still here"))
        assert (await elsewhere.frame())["code"] == "still here"


async def test_a_sign_in_that_ends_elsewhere_closes_its_sockets(open_scene: OpenScene) -> None:
    async with open_scene(push={"recheck_s": 0.05}) as scene, scene.page("ayse") as page:
        await page.until("snapshot")
        async with scene.store.begin() as uow:  # as `santral user` does in another process
            await uow.users.set_password_hash(scene.users["ayse"].id, None)
            await uow.commit()
        assert await page.closed() == 4004


async def test_a_changed_role_closes_the_sockets(open_scene: OpenScene) -> None:
    async with open_scene(push={"recheck_s": 0.05}) as scene, scene.page("ayse") as page:
        await page.until("snapshot")
        await change(scene, "ayse", role="admin")
        assert await page.closed() == 4004


async def test_who_is_no_longer_active_is_off_at_once_and_others_stay(
    open_scene: OpenScene,
) -> None:
    async with (
        open_scene(push={"recheck_s": 0.05}) as scene,
        scene.page("ayse") as page,
        scene.page("boris") as other,
    ):
        await page.until("snapshot")
        await other.until("snapshot")
        await change(scene, "ayse", active=False)
        assert await page.closed() == 4004
        scene.hub.publish(Noticed(code="still here"))
        assert (await other.frame())["code"] == "still here"


async def test_a_new_phone_is_no_reason_to_sign_in_again(open_scene: OpenScene) -> None:
    participant = LiveParticipant(endpoint="PJSIP/1999", agent=None, name="")
    async with open_scene(push={"recheck_s": 0.05}) as scene:
        scene.hub.publish(CallChanged(call=replace(call(), participants=(participant,))))
        async with scene.page("ayse") as page:
            assert (await page.until("snapshot"))["calls"] == []
            await change(scene, "ayse", add_phones=[("main", "PJSIP/1999")])
            assert [one["id"] for one in (await page.until("snapshot"))["calls"]] == ["call-1"]


async def test_nobody_is_signed_out_because_the_database_is_away(
    open_scene: OpenScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scene(push={"recheck_s": 0.02}) as scene, scene.page("ayse") as page:
        await page.until("snapshot")
        checks: list[bool] = []
        check = scene.server.auth.still_signed_in

        async def counted(tokens: Collection[bytes]) -> dict[bytes, User]:
            checks.append(scene.store.unavailable)
            return await check(tokens)

        monkeypatch.setattr(scene.server.auth, "still_signed_in", counted)
        scene.store.unavailable = True
        await until(lambda: checks.count(True) >= 2)
        scene.store.unavailable = False
        await until(lambda: checks.count(False) >= 2)
        scene.hub.publish(Noticed(code="still here"))
        assert (await page.frame())["code"] == "still here"


async def test_too_many_sockets_of_one_user_replace_the_oldest(open_scene: OpenScene) -> None:
    async with open_scene(push={"sockets_per_user": 1}) as scene, scene.page("ayse") as first:
        await first.until("snapshot")
        async with scene.page("ayse") as second:
            await second.until("snapshot")
            assert await first.closed() == 4005


async def test_a_stopping_server_says_1001(open_scene: OpenScene) -> None:
    async with AsyncExitStack() as clients:
        async with open_scene() as scene:
            page = await clients.enter_async_context(scene.page("ayse"))
            await page.until("snapshot")
        assert page.socket.close_code == 1001


async def test_the_time_from_the_pbx_to_the_socket_is_measured(scene: Scene) -> None:
    async with scene.page("ayse") as page:
        await page.until("snapshot")
        scene.hub.publish(PopShown(pop=pop()), received_ns=time.monotonic_ns())
        await page.until("pop")
        await until(lambda: scene.hub.metrics.received_to_sent.count == 1)
        assert scene.hub.metrics.received_to_sent.total < 1.0


async def test_browsers_that_come_and_go_leave_nothing(scene: Scene) -> None:
    token = await scene.cookie("ayse")
    before = len(asyncio.all_tasks())
    for number in range(30):
        async with scene.socket(token) as socket:
            if number % 3 == 0:
                await socket.recv()
            if number % 2 == 0:
                socket.transport.abort()
        scene.hub.publish(Noticed(code=str(number)))
    await until(lambda: scene.hub.connected == 0 and len(asyncio.all_tasks()) == before)
