"""Errors of the API: RFC 9457 problem documents with a `code` that programs can rely on."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from crm_core.errors import Conflict, CoreError, Invalid, NotFound, StoreUnavailable

_STATUS: Final[dict[type[CoreError], HTTPStatus]] = {
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    Invalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}
_CODE_OF_STATUS: Final = {
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
}


class ProblemPart(BaseModel):
    """One wrong value of a request."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    where: str
    message: str


class ProblemBody(BaseModel):
    """What went wrong. `code` is stable; `title` and `detail` are for people."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str = ""
    errors: tuple[ProblemPart, ...] = ()


class ProblemError(Exception):
    """Ends a request with a problem document."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        detail: str = "",
        *,
        errors: tuple[ProblemPart, ...] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = errors
        self.headers = headers or {}

    def response(self) -> web.Response:
        """The document."""
        body = ProblemBody(
            title=self.status.phrase,
            status=self.status.value,
            code=self.code,
            detail=self.detail,
            errors=self.errors,
        )
        return web.Response(
            status=self.status.value,
            body=body.model_dump_json(exclude_defaults=True, exclude={"type"}).encode(),
            content_type="application/problem+json",
            headers=self.headers,
        )


def not_found() -> ProblemError:
    """There is no such thing, or not for this user; which of the two is not said."""
    return ProblemError(HTTPStatus.NOT_FOUND, "not_found")


def of_core(error: CoreError) -> ProblemError:
    """The problem for an error of the core."""
    status = _STATUS.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR)
    shown = status is HTTPStatus.UNPROCESSABLE_ENTITY
    return ProblemError(status, error.code, str(error) if shown else "")


def of_http(error: web.HTTPException) -> ProblemError:
    """The problem for what aiohttp itself refuses."""
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return ProblemError(
        HTTPStatus(error.status), _CODE_OF_STATUS.get(error.status, "refused"), headers=headers
    )


def of_validation(error: ValidationError, where: str) -> ProblemError:
    """The problem for parameters or a body that are not as declared. Values are not echoed."""
    parts = tuple(
        ProblemPart(
            where="/".join((where, *(str(step) for step in item["loc"])))[:200],
            message=item["msg"][:200],
        )
        for item in error.errors(include_url=False, include_context=False, include_input=False)[:20]
    )
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", errors=parts)
