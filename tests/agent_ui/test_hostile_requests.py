"""Whatever is asked, by whoever is signed in, is answered, and never with an error of ours.

Routes and their parameters come from the declarations, so a new route is asked too. On a real
database: what SQL does not like, a store in memory does not notice.
"""

from __future__ import annotations

import json
import random
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from agent_ui.health import Health
from agent_ui.http.app import declared_routes
from agent_ui.http.routes import Route
from agent_ui.hub import PopHub
from agent_ui.server import serve_ui
from agent_ui.settings import SignInLimits, UiSettings
from crm_core.db import open_store, schema
from crm_core.ports import ContactDraft

from .conftest import PASSWORD
from .scene import AYSE, CHEAP, SVETLANA

TEXTS = (
    *("", "0", "-1", "1", "1e3", "٣", "9" * 30, str(2**63 - 1), str(2**63), "NaN", "true", "null"),
    *("phone", "email", "%", "_", "\\", "'", '"', "' OR 1=1--", "x\x00y", "\ud800", "a" * 201, "*"),
    *("ß", "İ", "ﬁ", "ё" * 150, "\u202e", "{}", "[]", "..", "../..", "a* OR b", '"a', "(a", "a:b"),
    *("Ayşe", "+90532", "0532 123", "@example", "<script>", "%25", "%zz"),
)
CURSORS: tuple[object, ...] = (
    *(["2026-01-01T00:00:00+00:00", 1], ["0001-01-01T00:00:00+14:00", 1], ["2026", 1], [1, 1]),
    *(["9999-12-31T23:59:59-23:59", 1], ["x"], [], {}, None, "x", ["x", True], [None, None]),
    *(["2026-01-01T00:00:00+00:00", at] for at in (2**70, -1, 1.5, "1", 2**63, -(2**63) - 1)),
    *(["Ayşe", 1], ["\x00", 1], ["a" * 2000, 1], ["\ud800", 1]),
)
BODIES = (
    *(
        "",
        "{",
        "null",
        "[]",
        "[" * 50_000,
        '{"contact":' + "9" * 5000 + "}",
        '{"a":NaN}',
        "\ufeff{}",
    ),
    *(f'{{"contact":{value}}}' for value in ("1", "0", "-1", 2**63, "null", "[]", "true", "1.5")),
    *(json.dumps({"login": text, "password": text}) for text in ("", "ayse", "x" * 200, "\x00")),
    json.dumps({"login": "ayse", "password": "x", "role": "admin"}),
)


class Asker:
    """Makes up requests."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)

    def quoted(self, text: str) -> str:
        """Some text in an address, encoded well or badly."""
        return quote(text.encode("utf-8", "surrogatepass"), safe="%" if "%" in text else "")

    def text(self) -> str:
        """A value for any parameter."""
        return self.dice.choice(TEXTS)

    def value(self, name: str) -> str:
        """A value for this parameter."""
        if name != "after" or self.dice.random() < 0.2:
            return self.text()
        cursor = urlsafe_b64encode(json.dumps(self.dice.choice(CURSORS)).encode()).decode()
        return cursor.rstrip("=") if self.dice.random() < 0.7 else cursor

    def address(self, route: Route) -> str:
        """An address of the route."""
        path = route.path
        for name in route.path_names:
            value = str(self.dice.randint(1, 6)) if self.dice.random() < 0.4 else self.text()
            path = path.replace("{" + name + "}", self.quoted(value))
        names = [*route.params.model_fields, "limit", "after", "text", "strange"]
        chosen = self.dice.sample(names, self.dice.randint(0, 2))
        pairs = [f"{name}={self.quoted(self.value(name))}" for name in chosen]
        return path + ("?" + "&".join(pairs) if pairs else "")


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[str]:
    """The address of a server on a database with two people and some contacts."""
    url = f"sqlite:///{path}/santral.sqlite3"
    await schema.migrate(url)
    store = open_store(url)
    try:
        async with store.begin() as uow:
            for person in (AYSE, SVETLANA):
                hashed = CHEAP.hash(PASSWORD)
                login, role = person.login, person.role.value
                await uow.users.add(login=login, name=login, role=role, password_hash=hashed)
            for number in range(5):
                await uow.contacts.upsert(ContactDraft(name=f"Customer {number}"))
            await uow.commit()
        # Tries are not limited here.
        most = {
            name: 10_000 for name in SignInLimits.model_fields if name.startswith("failures_per_")
        }
        settings = UiSettings(port=0, drain_s=0.1, sign_in=SignInLimits(**most))
        async with serve_ui(settings, store=store, hub=PopHub(), health=Health()) as server:
            yield server.url
    finally:
        await store.close()


@pytest.mark.parametrize(("login", "seed"), [("ayse", 1), ("svetlana", 2)])
async def test_nothing_that_is_asked_is_an_error_of_ours(
    tmp_path: Path, login: str, seed: int
) -> None:
    asker = Asker(seed)
    answers: Counter[int] = Counter()
    routes = [route for route in declared_routes() if route.path != "/api/v1/push"]
    async with (
        serving(tmp_path) as own,
        aiohttp.ClientSession(
            own, headers={"Origin": own}, cookie_jar=aiohttp.CookieJar(unsafe=True)
        ) as browser,
    ):
        signed_in = {"login": login, "password": PASSWORD}
        for number in range(500):
            route = asker.dice.choice(routes)
            if number % 20 == 0:  # some requests sign out
                async with browser.post("/api/v1/session", json=signed_in) as answer:
                    assert answer.status == 200
            url = URL(own + asker.address(route), encoded=True)
            body = asker.dice.choice(BODIES).encode() if route.method == "POST" else None
            kind = asker.dice.choice(["application/json"] * 4 + ["text/plain", 'x/y;z="'])
            async with browser.request(
                route.method,
                url,
                data=body,
                headers={"Content-Type": kind} if body is not None else {},
                allow_redirects=False,
            ) as answer:
                await answer.read()
                answers[answer.status] += 1
                assert answer.status < 500, (route.method, url, body)
    assert answers[200] > 20, answers
    assert answers[422] > 20, answers
