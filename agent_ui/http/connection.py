"""One HTTP connection: what aiohttp leaves open for clients that are broken or hostile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from agent_ui.http.problems import ProblemError

log = logging.getLogger(__name__)

_READ_S = 60.0
"""How long a client may take to read an answer."""

_THEIR_FAULT = (HttpProcessingError, web.RequestPayloadError)


class HttpConnection(web.RequestHandler):
    """aiohttp's connection, with three differences.

    What is no HTTP gets a problem document like every other mistake. It is no error of ours, so it
    is not logged as one: anybody could fill the log with tracebacks. And who does not read an
    answer is cut off, since aiohttp would wait for ever.
    """

    __slots__ = ("_headers",)

    def __init__(self, server: web.Server, *, headers: Mapping[str, str], **options: Any) -> None:
        super().__init__(server, **options)
        self._headers = headers

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what could not even be handed to a route."""
        if isinstance(exc, ConnectionError):
            raise exc  # the client went in the middle of its request
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            response = super().handle_error(request, status, exc, message)
        elif request.writer.output_size > 0:
            raise ConnectionError("half an answer is sent already")
        else:
            log.debug("no HTTP from %s", request.remote, exc_info=exc)
            response = ProblemError(HTTPStatus(status), "bad_request").response()
            response.force_close()
        response.headers.update(self._headers)
        return response

    def log_exception(self, *args: Any, **options: Any) -> None:
        """Log an error, unless it is the client's."""
        if isinstance(options.get("exc_info"), _THEIR_FAULT):
            log.debug(*args, **options)
        else:
            super().log_exception(*args, **options)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer, within a minute."""
        transport = self.transport
        try:
            async with asyncio.timeout(_READ_S):
                return await super().finish_response(request, resp, start_time)
        except TimeoutError as error:
            if transport is not None:
                transport.abort()  # closing would wait for what is not read
            raise ConnectionError("the client does not read") from error
