"""The `[web]` part of the settings: where the page is served, to whom, and within which limits."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

Network = IPv4Network | IPv6Network

LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


_YEAR_HOURS = 24.0 * 366


_PORTS = {"http": 80, "https": 443}


def _origin(url: str) -> str:
    parts = urlsplit(url)
    right = (
        parts.scheme in _PORTS
        and parts.hostname
        and parts.username is None
        and not (parts.path.strip("/") or parts.query or parts.fragment)
    )
    if not right:
        raise ValueError("must be an address such as https://desk.example.com, without a path")
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    # Browsers do not say the port that goes without saying.
    port = "" if parts.port in (None, _PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


class PushLimits(BaseModel):
    """How much one browser may keep the server busy. The defaults suit a center of 500 seats."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    outbox_frames: int = Field(default=2048, ge=16)
    """Frames waiting for one browser; more close its socket with 4002."""
    outbox_bytes: int = Field(default=4 * 2**20, ge=2**16)
    resume_frames: int = Field(default=256, ge=0)
    """Frames kept for a browser that comes back."""
    resume_bytes: int = Field(default=2**20, ge=0)
    resume_s: float = Field(default=120.0, ge=0)
    """How long they are kept."""
    resume_wait_s: float = Field(default=5.0, ge=0)
    """How long a browser that came with `?resume=1` may take to say where it was."""
    first_wait_s: float = Field(default=0.25, ge=0)
    """The same for one that came without."""
    ended_pop_s: float = Field(default=300.0, ge=0)
    """How long the card of an ended call stays in the snapshot, unless a new call comes."""
    sockets_per_user: int = Field(default=8, ge=1)
    client_frames_per_s: float = Field(default=20.0, gt=0)
    client_frame_bytes: int = Field(default=16 * 1024, ge=1024)
    recheck_s: float = Field(default=3.0, gt=0)
    """How often the sign-ins of all open sockets are checked against the database, in one query."""
    close_s: float = Field(default=5.0, gt=0)
    """How long a browser may take to answer a close before it is cut off."""


class SignInLimits(BaseModel):
    """How long a sign-in lasts, and how often one may try."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    idle_hours: float = Field(default=12.0, gt=0, le=_YEAR_HOURS)
    """Without a request or an open page for so long, a session ends."""
    absolute_hours: float = Field(default=72.0, gt=0, le=_YEAR_HOURS)
    """After so long, a session ends in any case."""
    window_s: float = Field(default=300.0, gt=0)
    """Failed attempts are counted over so long."""
    failures_per_login_and_address: int = Field(default=10, ge=1)
    failures_per_address: int = Field(default=50, ge=1)
    failures_per_login: int = Field(default=100, ge=1)
    """Larger than the others, so that a stranger cannot easily lock an agent out."""
    waiting: int = Field(default=32, ge=1)
    """Password checks that may wait for a turn (each takes about 0.2 s of a core)."""


class UiSettings(BaseModel):
    """Where the page is served and to whom."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8080, ge=0, le=65535)
    """0 takes any free port."""
    public_url: str = ""
    """The address people type, such as `https://desk.example.com`, if a proxy stands before us."""
    origins: tuple[str, ...] = ()
    """Further origins whose pages may connect. Our own address always may."""
    trusted_proxies: tuple[Network, ...] = ()
    """Addresses whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed."""
    metrics_from: tuple[Network, ...] = LOOPBACK
    """Addresses that may read `/metrics`."""
    region: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] = "TR"
    """Numbers of this country are shown in national form."""
    head_s: float = Field(default=10.0, gt=0)
    """How long a client may take to send the head of its first request."""
    body_s: float = Field(default=10.0, gt=0)
    """How long a client may take to send a body."""
    body_bytes: int = Field(default=64 * 1024, ge=1024)
    keepalive_s: float = Field(default=75.0, gt=0)
    drain_s: float = Field(default=5.0, ge=0)
    """How long requests in progress may take when the server stops."""
    push: PushLimits = PushLimits()
    sign_in: SignInLimits = SignInLimits()

    @field_validator("public_url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        return _origin(value) if value else ""

    @field_validator("origins")
    @classmethod
    def _check_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_origin(origin) for origin in value)

    @property
    def public_origin(self) -> str:
        """Scheme, host and port of `public_url`, `""` if there is none."""
        return self.public_url

    @property
    def secure(self) -> bool:
        """Whether people reach us by https according to `public_url`."""
        return self.public_url.startswith("https://")
