"""For those who run the server: `/healthz`, `/readyz`, `/metrics`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from http import HTTPStatus

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from agent_ui.caller import is_in
from agent_ui.http.problems import ProblemError
from agent_ui.http.routes import Ask, Body, NoBody, Params, Routes, json_response
from agent_ui.hub import PopHub
from agent_ui.metrics import Histogram

routes = Routes()


class LiveBody(Body):
    """The process answers."""

    status: str = "ok"


class CheckBody(Body):
    """One connection. Why it is down is told to those who are signed in, by push."""

    name: str
    up: bool
    since: datetime


class ReadyBody(Body):
    """Whether every connection is up, and each of them."""

    ready: bool
    checks: tuple[CheckBody, ...]


@routes.add("GET", "/healthz", public=True, answer=LiveBody)
async def healthz(_ask: Ask, _params: Params, _body: NoBody) -> LiveBody:
    """Whether the process lives."""
    return LiveBody()


@routes.add("GET", "/readyz", public=True, answer=ReadyBody)
async def readyz(ask: Ask, _params: Params, _body: NoBody) -> web.Response:
    """Whether PBX, mailboxes and database are connected: 200 if all are, else 503."""
    checks = await ask.services.health.checks()
    ready = all(check.up for check in checks)
    body = ReadyBody(
        ready=ready,
        checks=tuple(
            CheckBody(name=check.name, up=check.up, since=check.since) for check in checks
        ),
    )
    return json_response(body, status=HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE)


@routes.add("GET", "/metrics", public=True, documented=False)
async def metrics(ask: Ask, _params: Params, _body: NoBody) -> web.Response:
    """Counts and times for Prometheus, for the addresses in `metrics_from`."""
    # A proxy on this machine that nobody declared would open this to the world.
    if ask.caller.hidden or not is_in(ask.caller.address, ask.services.settings.metrics_from):
        raise ProblemError(HTTPStatus.FORBIDDEN, "forbidden")
    registry = CollectorRegistry()
    registry.register(_PushCollector(ask.services.hub))
    checks = await ask.services.health.checks()
    up = GaugeMetricFamily("santral_up", "Whether a connection is up", labels=["name"])
    for check in checks:
        up.add_metric([check.name], 1.0 if check.up else 0.0)
    registry.register(_Fixed(up))
    return web.Response(
        body=generate_latest(registry),
        headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
    )


class _Fixed(Collector):
    """One metric that is already measured."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        yield self._metric


class _PushCollector(Collector):
    """The hub's counts under Prometheus' names."""

    def __init__(self, hub: PopHub) -> None:
        self._hub = hub

    def collect(self) -> Iterator[Metric]:
        counted = self._hub.metrics
        yield GaugeMetricFamily(
            "santral_push_sockets", "Browsers connected now", value=self._hub.connected
        )
        for name, help_, value in (
            ("notices", "Notices published", counted.notices),
            ("notices_failed", "Notices that made no frame", counted.notices_failed),
            ("frames", "Frames put in outboxes", counted.frames),
            ("frames_sent", "Frames written to sockets", counted.frames_sent),
            ("bytes_sent", "Bytes written to sockets", counted.bytes_sent),
            ("snapshots", "Snapshots sent", counted.snapshots),
            ("resumed", "Browsers that missed nothing", counted.resumed),
            ("resume_misses", "Browsers that came back too late", counted.resume_misses),
            ("evicted", "Sockets closed because they were not read", counted.evicted),
            ("replaced", "Sockets closed because a user had too many", counted.replaced),
            ("refused", "Handshakes refused for their origin", counted.refused),
            ("bad_frames", "Bad frames from browsers", counted.bad_frames),
            ("acks", "Cards acknowledged", counted.acks),
        ):
            yield CounterMetricFamily(f"santral_push_{name}", help_, value=value)
        yield _histogram(
            "santral_push_received_to_sent_seconds",
            "From the PBX's bytes to the frame in the socket",
            counted.received_to_sent,
        )
        yield _histogram(
            "santral_push_shown_to_acked_seconds",
            "From the card's publication to its acknowledgement",
            counted.shown_to_acked,
        )
        yield _histogram(
            "santral_push_ringing_to_shown_seconds",
            "From the ring to the card on the screen, by the PBX's and the browser's clock",
            counted.ringing_to_shown,
        )


def _histogram(name: str, help_: str, histogram: Histogram) -> HistogramMetricFamily:
    below = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip(
        [*(str(bound) for bound in histogram.bounds), "+Inf"], histogram.counts, strict=True
    ):
        below += count
        buckets.append((bound, below))
    return HistogramMetricFamily(name, help_, buckets=buckets, sum_value=histogram.total)
