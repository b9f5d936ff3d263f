"""The built page from `agent_ui/static`, kept in memory: no request ever opens a file."""

from __future__ import annotations

import gzip
import hashlib
import logging
import mimetypes
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from aiohttp import web

log = logging.getLogger(__name__)

STATIC = Path(__file__).parent.parent / "static"

_HASHED = re.compile(r"-[A-Za-z0-9_-]{8}\.[a-z0-9]+$")
_PAGE_PATH = re.compile(r"(?:/[a-z0-9_-]+)*/?")
_PACKED = frozenset({".js", ".css", ".html", ".svg", ".json", ".map"})
_TYPES = {".js": "text/javascript", ".webmanifest": "application/manifest+json"}
_NOT_BUILT = b"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Santral</title>
<h1>The page is not built</h1>
<p>The server runs, but this installation has no built page. Run <code>make setup</code> in the
source tree, or install the wheel. The REST API is described at
<a href="/api/v1/openapi.json">/api/v1/openapi.json</a>.</p></html>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file of the page."""

    body: bytes
    packed: bytes | None
    content_type: str
    etag: str
    immutable: bool


def load_assets(root: Path = STATIC) -> dict[str, Asset]:
    """Every file below `root` by its path in the address; empty if the page is not built."""
    if not (root / "index.html").is_file():
        log.warning("the page is not built: %s has no index.html", root)
        return {}
    return {
        "/" + path.relative_to(root).as_posix(): _asset(path)
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def page_handler(
    assets: dict[str, Asset],
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Serves the assets; any other path that looks like a page's gets `index.html`."""

    async def serve(request: web.Request) -> web.StreamResponse:
        path = request.path
        asset = assets.get(path)
        if asset is None and _PAGE_PATH.fullmatch(path) and not path.startswith("/api/"):
            asset = assets.get("/index.html")
            if asset is None:
                return web.Response(
                    status=HTTPStatus.SERVICE_UNAVAILABLE,
                    body=_NOT_BUILT,
                    content_type="text/html",
                    charset="utf-8",
                )
        if asset is None:
            raise web.HTTPNotFound
        return _answer(request, asset)

    return serve


def _asset(path: Path) -> Asset:
    body = path.read_bytes()
    suffix = path.suffix.lower()
    guessed = _TYPES.get(suffix) or mimetypes.guess_type(path.name)[0]
    packed = gzip.compress(body, 9, mtime=0) if suffix in _PACKED else None
    return Asset(
        body=body,
        packed=packed if packed is not None and len(packed) < len(body) else None,
        content_type=guessed or "application/octet-stream",
        etag='"' + hashlib.sha256(body).hexdigest()[:20] + '"',
        immutable=path.parent.name == "assets" and bool(_HASHED.search(path.name)),
    )


def _answer(request: web.Request, asset: Asset) -> web.Response:
    headers = {
        "ETag": asset.etag,
        "Cache-Control": ("public, max-age=31536000, immutable" if asset.immutable else "no-cache"),
    }
    if asset.packed is not None:
        headers["Vary"] = "Accept-Encoding"
    if asset.etag in request.headers.get("If-None-Match", ""):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    body = asset.body
    if asset.packed is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
        body = asset.packed
        headers["Content-Encoding"] = "gzip"
    text = asset.content_type.startswith("text/")
    return web.Response(
        body=body,
        headers=headers,
        content_type=asset.content_type,
        charset="utf-8" if text else None,
    )
