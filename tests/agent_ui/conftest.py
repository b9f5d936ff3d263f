"""A running server on a free port, with people in a store in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent_ui.health import Health
from agent_ui.hub import PopHub
from agent_ui.server import serve_ui
from agent_ui.settings import PushLimits, SignInLimits, UiSettings
from crm_core.memory import MemoryStore
from crm_core.model import Touch, User

from .scene import AYSE, BORIS, CARLA, CHEAP, SVETLANA, Scene

PASSWORD = "correct horse battery staple"

OpenScene = Callable[..., AbstractAsyncContextManager[Scene]]


@pytest.fixture
def static(tmp_path: Path) -> Path:
    """A built page, in small."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>Santral</title>" + " " * 500)
    (tmp_path / "assets" / "main-a1B2c3D4.js").write_text("console.log('hello');" * 50)
    (tmp_path / "assets" / "icon.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    return tmp_path


@pytest.fixture
def open_scene(static: Path) -> OpenScene:
    @asynccontextmanager
    async def open_(
        *, push: dict[str, Any] | None = None, sign_in: dict[str, Any] | None = None, **ui: Any
    ) -> AsyncIterator[Scene]:
        store = MemoryStore()
        users: dict[str, User] = {}
        async with store.begin() as uow:
            for person in (AYSE, BORIS, CARLA, SVETLANA):
                users[person.login] = await uow.users.add(
                    login=person.login,
                    name=person.name,
                    role=person.role.value,
                    team=person.team,
                    phones=[(phone.pbx, phone.name) for phone in person.phones],
                    password_hash=CHEAP.hash(PASSWORD),
                )
            await uow.commit()
        settings = UiSettings(
            port=0,
            push=PushLimits(**{"first_wait_s": 0.0, **(push or {})}),
            sign_in=SignInLimits(**(sign_in or {})),
            **ui,
        )
        health = Health()
        hub = PopHub(settings.push, health=health)
        chosen: list[Touch] = []
        async with serve_ui(
            settings,
            store=store,
            hub=hub,
            health=health,
            match_chosen=lambda touch, _: chosen.append(touch),
            static=static,
        ) as server:
            yield Scene(
                server=server,
                store=store,
                hub=hub,
                health=health,
                settings=settings,
                users=users,
                chosen=chosen,
            )

    return open_


@pytest.fixture
async def scene(open_scene: OpenScene) -> AsyncIterator[Scene]:
    async with open_scene() as opened:
        yield opened
