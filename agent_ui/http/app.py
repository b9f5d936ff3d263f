"""The HTTP side put together: every route, behind the same guard, with the same headers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

from aiohttp import web

from agent_ui.http import contacts, live, operations, sessions, touches
from agent_ui.http.connection import HttpConnection
from agent_ui.http.documents import as_json, asyncapi, openapi
from agent_ui.http.page import STATIC, load_assets, page_handler
from agent_ui.http.problems import ProblemError, of_core, of_http
from agent_ui.http.routes import SERVICES, Ask, NoBody, Params, Route, Routes, Services, caller_of
from agent_ui.version import own_version
from crm_core.errors import CoreError

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "media-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "Server": "santral",
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def declared_routes() -> list[Route]:
    """Every route of the API, with its guard."""
    return [
        route
        for part in (sessions, touches, contacts, live, operations)
        for route in part.routes.declared
    ] + _documents().declared


def _documents() -> Routes:
    routes = Routes()
    cache: dict[str, bytes] = {}

    @routes.add("GET", "/api/v1/openapi.json", public=True, documented=False)
    async def openapi_json(_ask: Ask, _params: Params, _body: NoBody) -> web.Response:
        """The OpenAPI document of this API."""
        if "openapi" not in cache:
            cache["openapi"] = as_json(openapi(declared_routes(), version=own_version()))
        return web.Response(body=cache["openapi"], content_type="application/json")

    @routes.add("GET", "/api/v1/asyncapi.json", public=True, documented=False)
    async def asyncapi_json(_ask: Ask, _params: Params, _body: NoBody) -> web.Response:
        """The AsyncAPI document of the push protocol."""
        if "asyncapi" not in cache:
            cache["asyncapi"] = as_json(asyncapi(version=own_version()))
        return web.Response(body=cache["asyncapi"], content_type="application/json")

    @routes.add("GET", "/api/v1/push", public=True, documented=False)
    async def push(_ask: Ask, _params: Params, _body: NoBody) -> web.Response:
        """A websocket asked for on a connection that was used for something else before.

        The port gives a connection to websockets by its first request. A proxy that reuses its
        connections may come here; `Connection: close` makes it try again with a new one.
        """
        raise ProblemError(
            HTTPStatus.UPGRADE_REQUIRED,
            "use_new_connection",
            headers={"Upgrade": "websocket", "Connection": "close"},
        )

    return routes


def make_app(services: Services, *, static: Path = STATIC) -> web.Application:
    """The aiohttp application: the declared routes, and the page for every other path."""
    app = web.Application(client_max_size=services.settings.body_bytes, middlewares=[_outermost])
    app[SERVICES] = services
    for route in declared_routes():
        # aiohttp wants a function; a bound method is one.
        app.router.add_route(route.method, route.path, route.__call__)
        if route.method == "GET":
            app.router.add_route("HEAD", route.path, route.__call__)
    app.router.add_get("/{path:.*}", page_handler(load_assets(static)))
    return app


@asynccontextmanager
async def open_http(
    services: Services, *, static: Path = STATIC
) -> AsyncIterator[Callable[[], asyncio.Protocol]]:
    """An HTTP server without a port: gives what makes its protocol for a connection.

    On exit, idle connections are closed and requests in progress get `drain_s` to end.
    """
    runner = web.AppRunner(
        make_app(services, static=static), shutdown_timeout=services.settings.drain_s
    )
    await runner.setup()
    try:
        server = runner.server
        if server is None:
            raise RuntimeError("aiohttp has no server after setup")
        loop = asyncio.get_running_loop()
        yield lambda: HttpConnection(
            server,
            headers=_HEADERS,
            loop=loop,
            access_log=None,  # paths of sign-in links are secrets
            keepalive_timeout=services.settings.keepalive_s,
            auto_decompress=False,  # a small body must not become a large one
        )
    finally:
        await runner.cleanup()


@web.middleware
async def _outermost(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns every error into a problem document and puts the headers on every answer."""
    try:
        response = await handler(request)
    except ProblemError as problem:
        response = problem.response()
    except CoreError as error:
        response = of_core(error).response()
    except web.HTTPException as error:
        response = of_http(error).response()
    except ConnectionError:
        raise  # the client went
    except Exception:
        log.exception("%s %s failed", request.method, request.match_info.route.resource)
        response = ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error").response()
    who = caller_of(request)
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")
    if who.secure:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    if who.forwarded or response.headers.get("Connection") == "close":
        # See `push` above: a proxy must not keep a connection on which it may ask for a websocket.
        response.force_close()
    return response
