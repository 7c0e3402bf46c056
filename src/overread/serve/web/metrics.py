"""What the service counts, for Prometheus and for the log: routes by their pattern, never by what was asked for."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import MutableMapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from sqlalchemy import func, select

from overread.serve.logs import ACCESS
from overread.serve.store import Store
from overread.serve.tables import Instance, Sending
from overread.serve.web.guards import App, Receive, Scope, Send

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

_STOPPED = 503


class Metrics:
    """The counts of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter("overread_requests", "requests answered", labels, registry=self.registry)
        self.seconds = Histogram(
            "overread_request_seconds", "time to answer", ("route",), registry=self.registry, buckets=_BOUNDS_S
        )
        self.answers = Counter("overread_answers", "frames that the model looked at", registry=self.registry)
        self.images = Gauge("overread_images", "images in the store", ("state",), registry=self.registry)
        self.sendings = Gauge("overread_sendings", "results to be sent", ("state",), registry=self.registry)

    def text(self, store: Store) -> bytes:
        """All of it, as Prometheus reads it."""
        with store.read() as session:
            for gauge, column in ((self.images, Instance.state), (self.sendings, Sending.state)):
                gauge.clear()
                for state, n in session.execute(select(column, func.count()).group_by(column)):
                    gauge.labels(state).set(n)
        return generate_latest(self.registry)


class Told:
    """Counts each request, and writes a line of it."""

    def __init__(self, app: App, *, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and look at what is answered."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def seen(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, seen)
        except asyncio.CancelledError:  # the service was told to stop, and waited for this long enough
            status = _STOPPED
            raise
        finally:
            seconds = time.perf_counter() - began
            route = getattr(scope.get("route"), "path", "") or "none"
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self.metrics.requests.labels(method, route, str(status)).inc()
            self.metrics.seconds.labels(route).observe(seconds)
            person = scope.get("state", {}).get("person")
            facts = {
                "request": secrets.token_hex(4),
                "who": getattr(person, "name", ""),
                "method": method,
                "route": route,
                "status": status,
                "ms": round(1000 * seconds, 1),
            }
            ACCESS.info("request", extra={"facts": facts})
