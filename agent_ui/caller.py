"""Who calls: address, scheme and origin of a request, seen through trusted proxies. Pure.

Shared by the websocket and the REST API, which know requests in two different shapes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from agent_ui.settings import Network, UiSettings

PLAIN_COOKIE = "santral_session"
SECURE_COOKIE = "__Host-santral_session"
"""The prefix makes browsers refuse the cookie from anywhere but this very host by https."""

_PREFETCH = ("sec-purpose", "purpose", "x-purpose", "x-moz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One request's origin, in the words of our checks."""

    address: str
    """The client's IP address, `""` if unknown."""
    secure: bool
    """Whether the client came by https."""
    own_origins: frozenset[str]
    """The origins that are ours for this request."""
    origin: str | None
    """What the browser says where the page comes from."""
    site: str | None
    """`Sec-Fetch-Site`."""
    token: str
    """The session cookie, `""` if there is none."""
    forwarded: bool
    """Whether a proxy stands between, trusted or not."""
    hidden: bool
    """Whether a proxy stands between that is not trusted: the address is the proxy's."""
    prefetch: bool
    """Whether the browser only looks ahead."""
    embedded: bool
    """Whether this is for a part of a page, such as an image, and not for a page of its own."""

    @property
    def cookie_name(self) -> str:
        """The name of the session cookie for this scheme."""
        return SECURE_COOKIE if self.secure else PLAIN_COOKIE

    @property
    def from_own_page(self) -> bool:
        """Whether a page of ours sent this: what cross-site forgery cannot make true."""
        if self.origin is not None:
            return self.origin in self.own_origins or self.site == "same-origin"
        return self.site == "same-origin"

    @property
    def may_open_socket(self) -> bool:
        """Websockets are not bound by the same-origin policy, so the origin must be named."""
        return self.origin is not None and self.origin in self.own_origins


def caller(headers: Sequence[tuple[str, str]], *, peer: str | None, settings: UiSettings) -> Caller:
    """Read a request's headers.

    Args:
        headers: All headers in order, names in any case.
        peer: The IP address at the other end of the connection.
        settings: Which proxies are trusted, and which origins are ours.
    """
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(value.strip())
    trusted = is_in(peer, settings.trusted_proxies)
    secure = settings.secure
    if trusted and (proto := _last(values, "x-forwarded-proto")):
        secure = proto.lower() == "https"
    host = (_last(values, "x-forwarded-host") if trusted else "") or _only(values, "host") or ""
    own = {f"{'https' if secure else 'http'}://{host.lower()}"} if host else set()
    own.update(settings.origins)
    if settings.public_origin:
        own.add(settings.public_origin)
    name = SECURE_COOKIE if secure else PLAIN_COOKIE
    forwarded = any(key in values for key in ("x-forwarded-for", "forwarded", "via"))
    return Caller(
        address=_client(values.get("x-forwarded-for", []), peer, settings.trusted_proxies),
        secure=secure,
        own_origins=frozenset(own),
        origin=_only(values, "origin"),
        site=_only(values, "sec-fetch-site"),
        token=_cookie(values.get("cookie", []), name),
        forwarded=forwarded,
        hidden=forwarded and not trusted,
        prefetch=any("prefetch" in item for key in _PREFETCH for item in values.get(key, [])),
        embedded=_only(values, "sec-fetch-dest") not in {None, "document"},
    )


def is_in(address: str | None, networks: Sequence[Network]) -> bool:
    """Whether the address lies in one of the networks."""
    if not address:
        return False
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return any((mapped or ip) in network for network in networks)


def _client(forwarded: Sequence[str], peer: str | None, trusted: Sequence[Network]) -> str:
    """The last address that no trusted proxy vouches beyond: what is left of it may be made up."""
    address = peer or ""
    hops = [hop.strip() for line in forwarded for hop in line.split(",")]
    while hops and is_in(address, trusted):
        hop = hops.pop()
        try:
            address = str(ip_address(hop.removeprefix("[").removesuffix("]")))
        except ValueError:
            break
    return address


def _only(values: Mapping[str, list[str]], name: str) -> str | None:
    """The value of a header that must not be there twice; a doubled one counts as a wrong one."""
    found = values.get(name)
    if not found:
        return None
    return found[0].lower() if len(found) == 1 else "doubled"


def _last(values: Mapping[str, list[str]], name: str) -> str:
    found = values.get(name)
    return found[-1].rsplit(",", 1)[-1].strip() if found else ""


def _cookie(lines: Sequence[str], name: str) -> str:
    for line in lines:
        for pair in line.split(";"):
            key, _, value = pair.partition("=")
            if key.strip() == name:
                return value.strip().strip('"')[:200]
    return ""
