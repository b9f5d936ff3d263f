"""Opens the page, the REST API and the push on one port, and closes them in order."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from agent_ui.auth import Auth
from agent_ui.health import Health
from agent_ui.http.app import open_http
from agent_ui.http.page import STATIC
from agent_ui.http.routes import MatchChosen, Services
from agent_ui.hub import PopHub
from agent_ui.push import listen
from agent_ui.settings import UiSettings
from crm_core.ports import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class UiServer:
    """The open server."""

    host: str
    port: int
    """The port that is really bound."""
    url: str
    """Where people find it."""
    auth: Auth
    """Makes sign-in links, among others."""


@asynccontextmanager
async def serve_ui(
    settings: UiSettings,
    *,
    store: Store,
    hub: PopHub,
    health: Health,
    match_chosen: MatchChosen = lambda _, __: None,
    static: Path = STATIC,
) -> AsyncIterator[UiServer]:
    """Serve until the block ends.

    On exit nothing new is accepted, websockets are closed with 1001 (browsers then reconnect by
    themselves) and requests in progress get `drain_s` to end.

    Args:
        settings: The `[web]` part of the settings.
        store: Users, history and contacts.
        hub: What is live; the caller publishes to it.
        health: The lights of `/readyz`; the database's is added here.
        match_chosen: Told, after the commit, when an agent chose whom a touch was with.
        static: Where the built page is.

    Raises:
        OSError: the port cannot be bound.
    """
    health.probe("database", store.ping)
    with Auth(store, settings.sign_in, ended=hub.end_sign_in) as auth:
        services = Services(
            settings=settings,
            store=store,
            hub=hub,
            auth=auth,
            health=health,
            match_chosen=match_chosen,
        )
        push = None
        try:
            async with open_http(services, static=static) as make_http:
                push = await listen(settings, hub=hub, auth=auth, make_http=make_http)
                host = f"[{settings.host}]" if ":" in settings.host else settings.host
                url = settings.public_url or f"http://{host}:{push.port}"
                log.info("serving at %s", url, extra={"action": "ui_up", "port": push.port})
                try:
                    yield UiServer(host=settings.host, port=push.port, url=url, auth=auth)
                finally:
                    push.close()
        finally:
            if push is not None:
                await push.wait_closed()
