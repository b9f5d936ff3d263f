"""The page and the REST API, with the real server and a real client."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from agent_ui.caller import caller
from agent_ui.http.app import declared_routes
from agent_ui.http.problems import ProblemError
from agent_ui.http.routes import Ask, NoBody, Params, Routes, Services
from agent_ui.messages import CallBody, TouchBody
from agent_ui.session import OVERSEERS
from crm_core.model import (
    Candidate,
    ContactId,
    ContactPoint,
    Match,
    MatchResult,
    PointKind,
    Role,
    User,
)
from crm_core.notices import CallChanged, PopShown, QueueChanged
from crm_core.ports import ContactDraft, NewTouch

from .conftest import PASSWORD, OpenScene
from .scene import (
    AMBIGUOUS,
    AT,
    BORIS,
    CALLER,
    HOSTILE,
    KNOWN,
    Scene,
    call,
    pop,
    queue,
    touch,
)

JSON = "application/json"
PROBLEM = "application/problem+json"


async def problem(answer: aiohttp.ClientResponse) -> tuple[int, str]:
    assert answer.content_type == PROBLEM, await answer.text()
    body = await answer.json(content_type=PROBLEM)
    assert body["status"] == answer.status
    return answer.status, body["code"]


async def log_touch(scene: Scene, login: str, key: str = "1", match: Match | None = None) -> int:
    user: User = scene.users[login]
    plain = touch()
    async with scene.store.begin() as uow:
        logged, _ = await uow.touches.open(
            NewTouch(
                key=f"call:main:{key}",
                medium=plain.medium,
                direction=plain.direction,
                outcome=plain.outcome,
                at=AT + timedelta(seconds=len(key)),
                party=replace(CALLER, name=HOSTILE),
                match=match or Match(result=MatchResult.UNKNOWN, party=CALLER.address),
                agent=user.id,
                team=user.team,
                details={"queues": ["support"]},
            )
        )
        await uow.commit()
    return logged.id


async def add_contact(scene: Scene, name: str, value: str = "+905321234567") -> int:
    async with scene.store.begin() as uow:
        id_, _ = await uow.contacts.upsert(
            ContactDraft(
                name=name,
                account="Acme",
                external_id=name,
                points=(ContactPoint(kind=PointKind.PHONE, value=value),),
            )
        )
        await uow.commit()
    return id_


# --- who may --------------------------------------------------------------------------------------


def filled(path: str) -> str:
    return path.replace("{id}", "1").replace("{token}", "x")


@pytest.mark.parametrize(
    "route", [route for route in declared_routes() if not route.public], ids=lambda r: r.path
)
async def test_every_route_that_is_not_public_asks_who_is_there(scene: Scene, route: Any) -> None:
    async with (
        scene.browser() as browser,
        browser.request(route.method, filled(route.path)) as answer,
    ):
        assert await problem(answer) == (401, "not_signed_in")


async def test_what_is_public_is_named_here() -> None:
    assert {route.path for route in declared_routes() if route.public} == {
        "/api/v1/session",  # to sign in
        "/signin/{token}",
        "/healthz",
        "/readyz",
        "/metrics",  # by address
        "/api/v1/openapi.json",
        "/api/v1/asyncapi.json",
        "/api/v1/push",  # only says where it is
    }


@pytest.mark.parametrize("login", ["ayse", "svetlana"])
async def test_every_route_asks_for_a_role(scene: Scene, login: str) -> None:
    role = scene.users[login].role
    async with scene.browser(login) as browser:
        for route in declared_routes():
            if route.public or route.method == "DELETE":
                continue
            async with browser.request(route.method, filled(route.path)) as answer:
                assert (answer.status == 403) is (role not in route.roles), route.path


async def test_a_route_of_overseers_refuses_agents(scene: Scene) -> None:
    """No route is for overseers alone yet, so the guard is tried on one of its own."""
    routes = Routes()

    @routes.add("GET", "/x", roles=OVERSEERS)
    async def nothing(_ask: Ask, _params: Params, _body: NoBody) -> None:
        """Do nothing."""

    [route] = routes.declared
    services = Services(
        settings=scene.settings,
        store=scene.store,
        hub=scene.hub,
        auth=scene.server.auth,
        health=scene.health,
        match_chosen=lambda touch, _: scene.chosen.append(touch),
    )
    for login, allowed in (("ayse", False), ("svetlana", True)):
        cookie = ("Cookie", f"santral_session={await scene.cookie(login)}")
        who = caller([cookie], peer="127.0.0.1", settings=scene.settings)
        if allowed:
            assert await route._admit(services, who, method="GET") is not None
        else:
            with pytest.raises(ProblemError) as refused:
                await route._admit(services, who, method="GET")
            assert refused.value.code == "forbidden"


def test_a_route_without_roles_cannot_be_declared() -> None:
    with pytest.raises(ValueError, match="needs roles or public=True"):
        Routes().add("GET", "/x")
    with pytest.raises(ValueError, match="not both"):
        Routes().add("GET", "/x", public=True, roles=frozenset({Role.ADMIN}))


# --- signing in -----------------------------------------------------------------------------------


async def test_signing_in_and_out(scene: Scene) -> None:
    async with scene.browser() as browser:
        body = {"login": "Ayse ", "password": PASSWORD}
        async with browser.post("/api/v1/session", json=body) as answer:
            assert answer.status == 200
            assert (await answer.json())["login"] == "ayse"
            cookie = answer.headers["Set-Cookie"]
            assert cookie.startswith("santral_session=")
            assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
        async with browser.get("/api/v1/session") as answer:
            assert (await answer.json())["phones"] == ["main/PJSIP/1001"]
        async with browser.delete("/api/v1/session") as answer:
            assert answer.status == 204
        async with browser.get("/api/v1/session") as answer:
            assert await problem(answer) == (401, "not_signed_in")


@pytest.mark.parametrize("login", ["ayse", "nobody", "", "x" * 200, HOSTILE[:20]])
async def test_a_wrong_login_and_a_wrong_password_get_the_same_answer(
    scene: Scene, login: str
) -> None:
    async with scene.browser() as browser:
        body = {"login": login, "password": "wrong"}
        async with browser.post("/api/v1/session", json=body) as answer:
            assert await problem(answer) == (401, "bad_credentials")


async def test_too_many_failures_are_refused_for_a_while(open_scene: OpenScene) -> None:
    async with (
        open_scene(sign_in={"failures_per_login_and_address": 2}) as scene,
        scene.browser() as browser,
    ):
        body = {"login": "ayse", "password": "wrong"}
        for _ in range(2):
            async with browser.post("/api/v1/session", json=body) as answer:
                assert await problem(answer) == (401, "bad_credentials")
        async with browser.post("/api/v1/session", json=body) as answer:
            assert await problem(answer) == (429, "too_many_tries")
            assert int(answer.headers["Retry-After"]) > 0
        body = {"login": "boris", "password": PASSWORD}
        async with browser.post("/api/v1/session", json=body) as answer:
            assert answer.status == 200


async def test_a_link_signs_in_once(scene: Scene) -> None:
    link = await scene.server.auth.make_link(scene.users["svetlana"].id)
    async with scene.browser() as browser:
        async with browser.head(f"/signin/{link}") as answer:
            assert (answer.status, "Set-Cookie" in answer.headers) == (204, False)
        headers = {"Sec-Purpose": "prefetch;prerender"}
        async with browser.get(f"/signin/{link}", headers=headers) as answer:
            assert (answer.status, "Set-Cookie" in answer.headers) == (204, False)
        # An image on a strange page must not sign anybody in as somebody else.
        headers = {"Sec-Fetch-Dest": "image", "Sec-Fetch-Site": "cross-site"}
        async with browser.get(f"/signin/{link}", headers=headers) as answer:
            assert (answer.status, "Set-Cookie" in answer.headers) == (204, False)
        headers = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "cross-site"}
        async with browser.get(f"/signin/{link}", headers=headers, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/board")
        async with browser.get("/api/v1/session") as answer:
            assert (await answer.json())["role"] == "supervisor"
        # Clicked again: still signed in.
        async with browser.get(f"/signin/{link}", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/board")
    async with (
        scene.browser() as stranger,
        stranger.get(f"/signin/{link}", allow_redirects=False) as answer,
    ):
        assert answer.headers["Location"] == "/?signin=expired"
        assert "Set-Cookie" not in answer.headers


async def test_a_new_sign_in_ends_the_old_one(scene: Scene) -> None:
    old = await scene.cookie("ayse")
    async with scene.browser() as browser:
        browser.cookie_jar.update_cookies({"santral_session": old})
        body = {"login": "boris", "password": PASSWORD}
        async with browser.post("/api/v1/session", json=body) as answer:
            assert answer.status == 200
    assert await scene.server.auth.who(old) is None


async def test_behind_https_the_cookie_is_bound_to_the_host(open_scene: OpenScene) -> None:
    async with open_scene(public_url="https://desk.example") as scene:
        headers = {"Origin": "https://desk.example"}
        async with aiohttp.ClientSession(scene.url, headers=headers) as browser:
            body = {"login": "ayse", "password": PASSWORD}
            async with browser.post("/api/v1/session", json=body) as answer:
                cookie = answer.headers["Set-Cookie"]
                assert cookie.startswith("__Host-santral_session=")
                assert "Secure" in cookie.split("; ")
                assert "max-age" in answer.headers["Strict-Transport-Security"]


async def test_only_trusted_proxies_may_say_https(open_scene: OpenScene) -> None:
    for trusted, name in (((), "santral_session="), (("127.0.0.0/8",), "__Host-santral")):
        async with open_scene(trusted_proxies=trusted) as scene, scene.browser() as browser:
            body = {"login": "ayse", "password": PASSWORD}
            headers = {
                "X-Forwarded-Proto": "https",
                "X-Forwarded-For": "9.9.9.9",
                "Sec-Fetch-Site": "same-origin",
            }
            async with browser.post("/api/v1/session", json=body, headers=headers) as answer:
                assert answer.headers["Set-Cookie"].startswith(name)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
async def test_changes_from_other_pages_are_refused(scene: Scene, headers: dict[str, str]) -> None:
    cookies = {"santral_session": await scene.cookie("ayse")}
    async with aiohttp.ClientSession(scene.url, headers=headers, cookies=cookies) as browser:
        for method, path in (
            ("POST", "/api/v1/session"),
            ("DELETE", "/api/v1/session"),
            ("POST", "/api/v1/touches/1/match"),
        ):
            async with browser.request(method, path, json={}) as answer:
                assert await problem(answer) == (403, "cross_site")
        async with browser.get("/api/v1/session") as answer:
            assert answer.status == 200


# --- the history ----------------------------------------------------------------------------------


async def test_agents_read_their_own_touches(scene: Scene) -> None:
    own, other = await log_touch(scene, "ayse", "1"), await log_touch(scene, "boris", "22")
    async with scene.browser("ayse") as browser:
        async with browser.get("/api/v1/touches") as answer:
            page = await answer.json()
        assert [item["id"] for item in page["items"]] == [own]
        assert page["next"] is None
        body = TouchBody.model_validate_json(json.dumps(page["items"][0]))
        assert (body.queue, body.agent) == ("support", scene.users["ayse"].id)
        assert "<script>" in body.party.name
        async with browser.get(f"/api/v1/touches/{own}") as answer:
            assert answer.status == 200
        async with browser.get(f"/api/v1/touches/{other}") as answer:
            assert await problem(answer) == (404, "not_found")
    async with scene.browser("svetlana") as browser, browser.get("/api/v1/touches") as answer:
        assert [item["id"] for item in (await answer.json())["items"]] == [other, own]


async def test_touches_come_in_pages(scene: Scene) -> None:
    for number in range(1, 6):
        await log_touch(scene, "ayse", "x" * number)
    seen: list[int] = []
    async with scene.browser("ayse") as browser:
        params = {"limit": "2"}
        while True:
            async with browser.get("/api/v1/touches", params=params) as answer:
                page = await answer.json()
            seen += [item["id"] for item in page["items"]]
            if page["next"] is None:
                break
            params["after"] = page["next"]
    assert len(seen) == len(set(seen)) == 5


async def test_touches_by_contact_and_medium(scene: Scene) -> None:
    await log_touch(scene, "ayse")
    async with scene.browser("ayse") as browser:
        for params, count in (
            ({"medium": "phone"}, 1),
            ({"medium": "email"}, 0),
            ({"contact": "1"}, 0),
            ({"agent": str(scene.users["ayse"].id)}, 1),
        ):
            async with browser.get("/api/v1/touches", params=params) as answer:
                assert len((await answer.json())["items"]) == count


async def test_an_agent_says_who_it_was(scene: Scene) -> None:
    contact = await add_contact(scene, "Deniz")
    ambiguous = replace(
        AMBIGUOUS,
        candidates=(
            replace(AMBIGUOUS.candidates[0], contact=ContactId(contact)),
            replace(AMBIGUOUS.candidates[1], contact=ContactId(contact + 1)),
        ),
    )
    id_ = await log_touch(scene, "ayse", match=ambiguous)
    ayse = scene.users["ayse"]
    async with scene.page("ayse") as page, scene.browser("ayse") as browser:
        await page.until("snapshot")
        scene.hub.publish(PopShown(pop=replace(pop(ayse, touch_=id_), match=ambiguous)))
        await page.until("pop")
        path = f"/api/v1/touches/{id_}/match"
        async with browser.post(path, json={"contact": 999}) as answer:
            assert await problem(answer) == (422, "no_candidate")
        async with browser.post(path, json={"contact": contact}) as answer:
            body = await answer.json()
        assert (body["match"]["result"], body["contact"]["name"]) == ("known", "Deniz")
        assert body["match"]["reasons"][-1] == "chosen by Ayse"
        assert (await page.frame())["touch"]["id"] == id_
        updated = await page.frame()
        assert updated["type"] == "pop_update"
        assert updated["pop"]["match"]["result"] == "known"
        async with browser.post(path, json={"contact": contact}) as answer:
            assert await problem(answer) == (409, "not_ambiguous")
    assert [chosen.id for chosen in scene.chosen] == [id_]
    async with (
        scene.browser("boris") as browser,
        browser.post(path, json={"contact": contact}) as answer,
    ):
        assert await problem(answer) == (404, "not_found")


async def test_an_agent_finds_out_who_an_unknown_caller_is(scene: Scene) -> None:
    """The card and the history go on with the contact, and show what was before."""
    deniz = await add_contact(scene, "Deniz")
    known = replace(
        KNOWN, candidates=(Candidate(contact=ContactId(deniz), name="Deniz", account="Acme"),)
    )
    before = await log_touch(scene, "ayse", "1", match=known)
    unknown = Match(
        result=MatchResult.UNKNOWN, party=CALLER.address, reasons=("no contact has this number",)
    )
    id_ = await log_touch(scene, "ayse", "22", match=unknown)
    path = f"/api/v1/touches/{id_}/match"
    ayse = scene.users["ayse"]
    async with (
        scene.browser("boris") as browser,
        browser.post(path, json={"contact": deniz}) as answer,
    ):
        assert await problem(answer) == (404, "not_found")
    async with scene.page("ayse") as page, scene.browser("ayse") as browser:
        await page.until("snapshot")
        scene.hub.publish(PopShown(pop=replace(pop(ayse, touch_=id_), match=unknown)))
        await page.until("pop")
        async with browser.post(path, json={"contact": 999_999}) as answer:
            assert await problem(answer) == (422, "no_candidate")
        async with browser.post(path, json={"contact": deniz}) as answer:
            body = await answer.json()
        assert (body["match"]["result"], body["contact"]["name"]) == ("known", "Deniz")
        assert body["account"] == "Acme"
        assert body["match"]["reasons"] == ["chosen by Ayse"]
        assert (await page.frame())["touch"]["id"] == id_
        updated = await page.frame()
        assert updated["type"] == "pop_update"
        assert updated["pop"]["match"]["candidates"][0]["contact"] == deniz
        assert [touch["id"] for touch in updated["pop"]["recent"]] == [before]
        async with browser.get("/api/v1/touches", params={"contact": deniz}) as answer:
            assert [one["id"] for one in (await answer.json())["items"]] == [id_, before]
        async with browser.post(path, json={"contact": deniz}) as answer:
            assert await problem(answer) == (409, "not_ambiguous")
    assert [chosen.id for chosen in scene.chosen] == [id_]


@pytest.mark.parametrize("result", [MatchResult.WITHHELD, MatchResult.INTERNAL, MatchResult.OWN])
async def test_nobody_says_who_a_withheld_number_or_a_colleague_is(
    scene: Scene, result: MatchResult
) -> None:
    deniz = await add_contact(scene, "Deniz")
    id_ = await log_touch(scene, "ayse", match=Match(result=result, party=""))
    async with (
        scene.browser("ayse") as browser,
        browser.post(f"/api/v1/touches/{id_}/match", json={"contact": deniz}) as answer,
    ):
        assert await problem(answer) == (409, "not_ambiguous")


# --- customers and live state ---------------------------------------------------------------------


async def test_contacts_are_searched_and_opened(scene: Scene) -> None:
    id_ = await add_contact(scene, "Şükrü Ёлкин")
    await add_contact(scene, "Other", "+905320000000")
    async with scene.browser("ayse") as browser:
        async with browser.get("/api/v1/contacts", params={"text": "sukru"}) as answer:
            [found] = (await answer.json())["items"]
        assert (found["id"], found["account"]["name"]) == (id_, "Acme")
        async with browser.get(f"/api/v1/contacts/{id_}") as answer:
            contact = await answer.json()
        point = contact["points"][0]
        assert point["value"] == point["display"] == "+905321234567"
        assert contact["touches"] == []
        async with browser.get("/api/v1/contacts/99999") as answer:
            assert await problem(answer) == (404, "not_found")


async def test_what_is_live_is_there_for_who_may_see_it(scene: Scene) -> None:
    boris = replace(BORIS, id=scene.users["boris"].id)
    scene.hub.publish(CallChanged(call=call(boris)))
    scene.hub.publish(QueueChanged(queue=queue(boris)))
    for login, count in (("ayse", 0), ("boris", 1), ("svetlana", 1)):
        async with scene.browser(login) as browser:
            for path in ("/api/v1/calls", "/api/v1/queues"):
                async with browser.get(path) as answer:
                    page = await answer.json()
                assert (len(page["items"]), page["next"]) == (count, None)
    async with scene.browser("boris") as browser, browser.get("/api/v1/calls") as answer:
        CallBody.model_validate_json(json.dumps((await answer.json())["items"][0]))


# --- hostile requests -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=-1",
        "limit=1e3",
        "limit=9999999999999999999999",
        "limit=x",
        "limit=%00",
        "limit=",
        "after=nonsense",
        "after=%FF",
        "after=bm9uc2Vuc2U",
        "after=WyJ4IiwgMV0",
        "contact=0",
        "contact=9223372036854775808",
        "contact=1;drop table touches",
        "medium=pigeon",
        "sort=id;--",
        "unknown=1",
        "limit=1&limit=2",
        "__proto__=1",
    ],
)
async def test_a_hostile_query_is_refused(scene: Scene, query: str) -> None:
    async with scene.browser("ayse") as browser, browser.get(f"/api/v1/touches?{query}") as answer:
        status, code = await problem(answer)
        assert status in {400, 422}
        assert code in {"invalid_request", "doubled_parameter", "invalid"}


@pytest.mark.parametrize(
    "text", ["%00", "a%00b", "%ED%A0%80", "%FF%FE", "x" * 201, "'%20OR%201=1--", "%25", "_", "🦊"]
)
async def test_a_hostile_search_finds_nothing_and_breaks_nothing(scene: Scene, text: str) -> None:
    await add_contact(scene, "Deniz")
    async with (
        scene.browser("ayse") as browser,
        browser.get(f"/api/v1/contacts?text={text}") as answer,
    ):
        assert answer.status in {200, 400, 422}
        if answer.status == 200:
            assert (await answer.json())["items"] == []


@pytest.mark.parametrize("id_", ["0", "-1", "x", "%00", "9223372036854775808", "1.5", "..%2f1"])
async def test_a_hostile_id_is_refused(scene: Scene, id_: str) -> None:
    async with scene.browser("ayse") as browser:
        for part in ("touches", "contacts"):
            async with browser.get(f"/api/v1/{part}/{id_}") as answer:
                assert (await problem(answer))[0] in {404, 422}


@pytest.mark.parametrize(
    ("raw", "kind", "expected"),
    [
        (b"", JSON, (400, "bad_json")),
        (b"{", JSON, (400, "bad_json")),
        (b"[" * 50_000, JSON, (400, "bad_json")),
        (b"\xff", JSON, (400, "bad_json")),
        (b"[]", JSON, (422, "invalid_request")),
        (b'{"login":1,"password":"x"}', JSON, (422, "invalid_request")),
        (b'{"login":"\\u0000","password":"x"}', JSON, (422, "invalid_request")),
        (b'{"login":"\\ud800","password":"x"}', JSON, (422, "invalid_request")),
        (
            b'{"login":"x","password":"x","role":"admin"}',
            "application/json",
            (422, "invalid_request"),
        ),
        (b"login=x&password=y", "application/x-www-form-urlencoded", (415, "not_json")),
    ],
)
async def test_a_hostile_body_is_refused(
    scene: Scene, raw: bytes, kind: str, expected: tuple[int, str]
) -> None:
    headers = {"Content-Type": kind}
    async with (
        scene.browser() as browser,
        browser.post("/api/v1/session", data=raw, headers=headers) as answer,
    ):
        assert await problem(answer) == expected


async def test_problems_do_not_echo_values(scene: Scene) -> None:
    async with scene.browser() as browser:
        body = {"login": 1, "password": ["secret"]}
        async with browser.post("/api/v1/session", json=body) as answer:
            assert "secret" not in await answer.text()


async def test_a_wrong_method_and_a_wrong_path_are_problems(scene: Scene) -> None:
    async with scene.browser("ayse") as browser:
        async with browser.put("/api/v1/session", json={}) as answer:
            assert await problem(answer) == (405, "method_not_allowed")
            assert "GET" in answer.headers["Allow"]
        async with browser.get("/api/v1/nothing") as answer:
            assert await problem(answer) == (404, "not_found")


async def test_a_store_that_is_away_is_a_problem_of_its_own(scene: Scene) -> None:
    async with scene.browser("ayse") as browser:
        scene.store.unavailable = True
        async with browser.get("/api/v1/touches") as answer:
            assert await problem(answer) == (503, "store_unavailable")
        scene.store.unavailable = False
        async with browser.get("/api/v1/touches") as answer:
            assert answer.status == 200


async def test_an_error_of_ours_tells_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_user: User) -> None:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr(scene.hub, "snapshot", broken)
    async with scene.browser("ayse") as browser, browser.get("/api/v1/calls") as answer:
        assert await problem(answer) == (500, "internal_error")
        assert "secret" not in await answer.text()
    assert "secret of the house" in caplog.text


# --- the page -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/desk", "/board", "/contacts/7", "/desk/"])
async def test_every_page_is_the_page(scene: Scene, path: str) -> None:
    async with scene.browser() as browser, browser.get(path) as answer:
        assert answer.status == 200
        assert "<title>Santral</title>" in await answer.text()
        assert answer.headers["Cache-Control"] == "no-cache"
        policy = answer.headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "Permissions-Policy" in answer.headers
    async with scene.browser() as browser, browser.head(path) as answer:
        assert answer.status == 200


async def test_assets_are_kept_for_ever_and_the_rest_is_asked_for(scene: Scene) -> None:
    async with scene.browser() as browser:
        async with browser.get("/assets/main-a1B2c3D4.js") as answer:
            assert answer.content_type == "text/javascript"
            assert answer.headers["Content-Encoding"] == "gzip"
            assert "immutable" in answer.headers["Cache-Control"]
            assert (await answer.text()).startswith("console.log")
        async with browser.get("/assets/icon.svg") as answer:
            assert answer.headers["Cache-Control"] == "no-cache"
            etag = answer.headers["ETag"]
        async with browser.get("/assets/icon.svg", headers={"If-None-Match": etag}) as answer:
            assert answer.status == 304


@pytest.mark.parametrize(
    "path",
    [
        "/assets/none.js",
        "/../settings.py",
        "/assets/..%2f..%2fsettings.py",
        "/assets/%00",
        "/index.php",
    ],
)
async def test_there_is_no_way_to_other_files(scene: Scene, path: str) -> None:
    async with scene.browser() as browser, browser.get(path) as answer:
        assert await problem(answer) == (404, "not_found")


async def test_a_page_that_is_not_built_says_how_to_build_it(
    open_scene: OpenScene, static: Any
) -> None:
    (static / "index.html").unlink()
    async with open_scene() as scene, scene.browser() as browser:
        async with browser.get("/") as answer:
            assert answer.status == 503
            assert "not built" in await answer.text()
        async with browser.get("/healthz") as answer:
            assert answer.status == 200


# --- operations -----------------------------------------------------------------------------------


async def test_readiness_names_each_connection(scene: Scene) -> None:
    scene.health.expect("ami:main")
    async with scene.browser() as browser:
        async with browser.get("/readyz") as answer:
            body = await answer.json()
            assert answer.status == 503
            assert [(check["name"], check["up"]) for check in body["checks"]] == [
                ("ami:main", False),
                ("database", True),
            ]
        scene.health.set("ami:main", up=True)
        async with browser.get("/readyz") as answer:
            assert (answer.status, (await answer.json())["ready"]) == (200, True)
        scene.store.unavailable = True
        async with browser.get("/readyz") as answer:
            assert answer.status == 503
        async with browser.get("/healthz") as answer:
            assert answer.status == 200


async def test_metrics_are_for_known_addresses(open_scene: OpenScene) -> None:
    async with open_scene() as scene, scene.page("ayse") as page, scene.browser() as browser:
        await page.until("snapshot")
        async with browser.get("/metrics") as answer:
            text = await answer.text()
        assert "santral_push_sockets 1.0" in text
        assert 'santral_up{name="database"} 1.0' in text
        assert 'santral_push_received_to_sent_seconds_bucket{le="+Inf"} 0.0' in text
    async with (
        open_scene(metrics_from=("10.0.0.0/8",)) as scene,
        scene.browser() as browser,
        browser.get("/metrics") as answer,
    ):
        assert await problem(answer) == (403, "forbidden")


async def test_a_proxy_that_nobody_declared_opens_the_metrics_to_nobody(
    open_scene: OpenScene,
) -> None:
    """Seen from here everybody behind it is at this machine's own address."""
    through = {"X-Forwarded-For": "203.0.113.9"}
    for proxies, sent, status in (
        ((), through, 403),
        (("127.0.0.1/32",), through, 403),
        (("127.0.0.1/32",), {"X-Forwarded-For": "127.0.0.1"}, 200),
    ):
        async with (
            open_scene(trusted_proxies=proxies) as scene,
            scene.browser() as browser,
            browser.get("/metrics", headers=sent) as answer,
        ):
            assert answer.status == status


async def test_the_api_describes_itself(scene: Scene) -> None:
    async with scene.browser() as browser:
        async with browser.get("/api/v1/openapi.json") as answer:
            document = await answer.json()
        async with browser.get("/api/v1/asyncapi.json") as answer:
            push = await answer.json()
    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]) == {route.path for route in declared_routes() if route.documented}
    touches = document["paths"]["/api/v1/touches"]["get"]
    assert {item["name"] for item in touches["parameters"]} == {
        "contact",
        "agent",
        "medium",
        "after",
        "limit",
    }
    assert touches["security"] == [{"session": ["admin", "agent", "supervisor"]}]
    for found in (document, push):
        check_references(found, found)
    assert {"Hello", "Snapshot", "Pop", "Resume", "Ack"} <= set(push["components"]["messages"])


def check_references(part: Any, whole: Any) -> None:
    match part:
        case dict():
            if isinstance(ref := part.get("$ref"), str):
                target = whole
                for step in ref.removeprefix("#/").split("/"):
                    target = target[step]
            for value in part.values():
                check_references(value, whole)
        case list():
            for item in part:
                check_references(item, whole)
