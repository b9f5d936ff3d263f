"""Signing in and out: `/api/v1/session` and the one-time links `/signin/<token>`."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from aiohttp import web
from pydantic import Field

from agent_ui.auth import SignInRefusedError
from agent_ui.http.problems import ProblemError
from agent_ui.http.routes import (
    EVERYBODY,
    Ask,
    Body,
    NoBody,
    Params,
    Routes,
    Text,
    json_response,
)
from agent_ui.messages import UserBody
from crm_core.model import Role, User

routes = Routes()

_REFUSED = {
    "bad_credentials": HTTPStatus.UNAUTHORIZED,
    "too_many_tries": HTTPStatus.TOO_MANY_REQUESTS,
    "busy": HTTPStatus.SERVICE_UNAVAILABLE,
}


class SignInBody(Body):
    """What is typed to sign in."""

    login: Text
    password: Annotated[str, Field(max_length=1024)]


class LinkParams(Params):
    """The link's token."""

    token: Text


@routes.add("GET", "/api/v1/session", roles=EVERYBODY, answer=UserBody)
async def who_am_i(ask: Ask, _params: Params, _body: NoBody) -> UserBody:
    """Who is signed in."""
    return ask.services.bodies.user(ask.user)


@routes.add("POST", "/api/v1/session", public=True, body=SignInBody, answer=UserBody)
async def sign_in(ask: Ask, _params: Params, body: SignInBody) -> web.Response:
    """Sign in with login and password; the answer sets the session cookie."""
    try:
        token, user = await ask.services.auth.sign_in(
            body.login, body.password, address=ask.caller.address, earlier=ask.caller.token
        )
    except SignInRefusedError as error:
        headers = {"Retry-After": str(error.retry_after_s)} if error.retry_after_s else {}
        raise ProblemError(_REFUSED[error.code], error.code, headers=headers) from error
    response = json_response(ask.services.bodies.user(user))
    _set_cookie(ask, response, token)
    return response


@routes.add("DELETE", "/api/v1/session", roles=EVERYBODY, status=HTTPStatus.NO_CONTENT)
async def sign_out(ask: Ask, _params: Params, _body: NoBody) -> web.Response:
    """Sign out; open pages of this session are closed."""
    if ask.signed_in is not None:
        await ask.services.auth.sign_out(ask.signed_in)
    response = web.Response(status=HTTPStatus.NO_CONTENT)
    response.del_cookie(ask.caller.cookie_name, path="/", secure=ask.caller.secure)
    return response


@routes.add("GET", "/signin/{token}", public=True, params=LinkParams, documented=False)
async def use_link(ask: Ask, params: LinkParams, _body: NoBody) -> web.Response:
    """Sign in by a one-time link. Only who opens it uses it up, no look ahead and no image."""
    if ask.method == "HEAD" or ask.caller.prefetch or ask.caller.embedded:
        return web.Response(status=HTTPStatus.NO_CONTENT)
    opened = await ask.services.auth.use_link(params.token, earlier=ask.caller.token)
    if opened is not None:
        token, user = opened
        response = _see_other(_first_page(user))
        _set_cookie(ask, response, token)
        return response
    # A link clicked twice: whoever is signed in already just goes on.
    signed_in = await ask.services.auth.who(ask.caller.token)
    if signed_in is not None:
        return _see_other(_first_page(signed_in.user))
    return _see_other("/?signin=expired")


def _first_page(user: User) -> str:
    return "/desk" if user.role is Role.AGENT else "/board"


def _see_other(path: str) -> web.Response:
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": path})


def _set_cookie(ask: Ask, response: web.Response, token: str) -> None:
    response.set_cookie(
        ask.caller.cookie_name,
        token,
        path="/",
        httponly=True,
        samesite="Lax",
        secure=ask.caller.secure,
        max_age=int(ask.services.auth.lifetime.total_seconds()),
    )
