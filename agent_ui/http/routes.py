"""Routes with everything that must be known of them in one place: who may, with what, to get what.

A route without roles must say `public=True`; one that says neither cannot be declared. The same
declaration guards the route and writes its part of the OpenAPI document.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, TypeVar, cast

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from agent_ui.auth import Auth, SignedIn
from agent_ui.bodies import Bodies
from agent_ui.caller import Caller, caller
from agent_ui.health import Health
from agent_ui.http.problems import ProblemError, of_validation
from agent_ui.hub import PopHub
from agent_ui.settings import UiSettings
from crm_core.model import Role, Touch, User
from crm_core.ports import Store
from crm_core.text import storable

EVERYBODY = frozenset(Role)

_SAFE_METHODS = frozenset({"GET", "HEAD"})


def _storable(text: str) -> str:
    if storable(text) != text:
        raise ValueError("has characters that no text has")
    return text


Text = Annotated[str, Field(max_length=200), AfterValidator(_storable)]
"""Text of a request: no NUL, no half characters, not long."""
Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
Cursor = Annotated[
    str, Field(max_length=4000, pattern=r"^[A-Za-z0-9_=-]*$"), AfterValidator(_storable)
]
"""Where the next page begins, as the last answer said."""
Limit = Annotated[int, Field(ge=1, le=200)]


class Params(BaseModel):
    """The parameters of a route, from its path and its query."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Body(BaseModel):
    """A JSON body of a request or an answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class IdParams(Params):
    """The one thing meant."""

    id: Id


class PageParams(Params):
    """Which part of a list."""

    after: Cursor | None = None
    limit: Limit = 50


class NoBody(Body):
    """No body."""


MatchChosen = Callable[[Touch, tuple[Touch, ...]], None]
"""Gets the touch with its new match, and the contact's touches before it, newest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the routes work with."""

    settings: UiSettings
    store: Store
    hub: PopHub
    auth: Auth
    health: Health
    match_chosen: MatchChosen
    """Told when an agent chose whom a touch was with."""

    @property
    def bodies(self) -> Bodies:
        """Makes bodies of values."""
        return self.hub.bodies


SERVICES = web.AppKey("services", Services)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request that has passed the route's guard."""

    services: Services
    caller: Caller
    signed_in: SignedIn | None
    method: str

    @property
    def user(self) -> User:
        """Who asks; only on routes that are not public."""
        if self.signed_in is None:
            raise ProblemError(HTTPStatus.UNAUTHORIZED, "not_signed_in")
        return self.signed_in.user


Answer = BaseModel | web.StreamResponse | None
P = TypeVar("P", bound=Params)
B = TypeVar("B", bound=Body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One declared route."""

    method: str
    path: str
    roles: frozenset[Role]
    public: bool
    params: type[Params]
    body: type[Body]
    answer: type[BaseModel] | None
    status: HTTPStatus
    summary: str
    documented: bool
    handler: Callable[[Ask, Any, Any], Awaitable[Answer]]

    @property
    def path_names(self) -> frozenset[str]:
        """The names of the parameters in the path."""
        return frozenset(re.findall(r"{(\w+)", self.path))

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Guard, read, do, answer."""
        services = request.app[SERVICES]
        who = caller_of(request)
        signed_in = await self._admit(services, who, method=request.method)
        params = self._read_params(request)
        body = await self._read_body(request, limit_s=services.settings.body_s)
        ask = Ask(services=services, caller=who, signed_in=signed_in, method=request.method)
        answer = await self.handler(ask, params, body)
        if isinstance(answer, web.StreamResponse):
            return answer
        if answer is None:
            return web.Response(status=HTTPStatus.NO_CONTENT)
        return json_response(answer, status=self.status)

    async def _admit(self, services: Services, who: Caller, *, method: str) -> SignedIn | None:
        if method not in _SAFE_METHODS and not who.from_own_page:
            raise ProblemError(
                HTTPStatus.FORBIDDEN, "cross_site", "Send the Origin header of our own page."
            )
        if self.public:
            return None
        signed_in = await services.auth.who(who.token)
        if signed_in is None:
            raise ProblemError(HTTPStatus.UNAUTHORIZED, "not_signed_in")
        if signed_in.user.role not in self.roles:
            raise ProblemError(HTTPStatus.FORBIDDEN, "forbidden")
        return signed_in

    def _read_params(self, request: web.Request) -> Params:
        values: dict[str, str] = dict(request.match_info)
        for name, value in request.query.items():
            if name in values:
                raise ProblemError(
                    HTTPStatus.BAD_REQUEST, "doubled_parameter", f"Give {name[:50]!r} once."
                )
            values[name] = value
        try:
            return self.params.model_validate(values)
        except ValidationError as error:
            raise of_validation(error, "parameters") from error

    async def _read_body(self, request: web.Request, *, limit_s: float) -> Body:
        if self.body is NoBody:
            return NoBody()
        if "Content-Encoding" in request.headers or request.content_type != "application/json":
            raise ProblemError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "not_json", "Send application/json."
            )
        try:
            async with asyncio.timeout(limit_s):
                raw = await request.read()
        except TimeoutError as error:
            raise ProblemError(HTTPStatus.REQUEST_TIMEOUT, "too_slow") from error
        except web.RequestPayloadError as error:
            raise ProblemError(
                HTTPStatus.BAD_REQUEST, "bad_body", headers={"Connection": "close"}
            ) from error
        try:
            json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise ProblemError(HTTPStatus.BAD_REQUEST, "bad_json") from error
        try:
            return self.body.model_validate_json(raw)
        except ValidationError as error:
            raise of_validation(error, "body") from error


class Routes:
    """The declared routes of one resource."""

    def __init__(self) -> None:
        self.declared: list[Route] = []

    def add(
        self,
        method: str,
        path: str,
        *,
        roles: frozenset[Role] = frozenset(),
        public: bool = False,
        params: type[P] = cast("Any", Params),  # noqa: B008 - a type is no mutable default
        body: type[B] = cast("Any", NoBody),  # noqa: B008 - the same
        answer: type[BaseModel] | None = None,
        status: HTTPStatus = HTTPStatus.OK,
        documented: bool = True,
    ) -> Callable[
        [Callable[[Ask, P, B], Awaitable[Answer]]], Callable[[Ask, P, B], Awaitable[Answer]]
    ]:
        """Declare the decorated function as the handler of a route.

        Raises:
            ValueError: the route says neither who may use it nor that everybody may.
        """
        if public is bool(roles):
            raise ValueError(f"{method} {path} needs roles or public=True, and not both")

        def declare(
            handler: Callable[[Ask, P, B], Awaitable[Answer]],
        ) -> Callable[[Ask, P, B], Awaitable[Answer]]:
            self.declared.append(
                Route(
                    method=method,
                    path=path,
                    roles=roles,
                    public=public,
                    params=params,
                    body=body,
                    answer=answer,
                    status=status,
                    summary=(handler.__doc__ or "").strip().partition("\n")[0],
                    documented=documented,
                    handler=handler,
                )
            )
            return handler

        return declare


def caller_of(request: web.Request) -> Caller:
    """Who calls, from aiohttp's request."""
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return caller(
        [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers],
        peer=peer[0] if isinstance(peer, tuple) else None,
        settings=request.app[SERVICES].settings,
    )


def json_response(answer: BaseModel, *, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    """A JSON answer."""
    return web.Response(
        status=status.value,
        body=answer.model_dump_json().encode(),
        content_type="application/json",
    )
