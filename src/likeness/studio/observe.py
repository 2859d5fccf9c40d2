"""What an operator watches: counts and durations for Prometheus, and a line of JSON for each event."""

import time
from collections.abc import Callable
from secrets import token_hex

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from likeness.common.logs import bound, logger

SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60)
WATCHED = {"/v1/audio/speech": "tts", "/v1/images/generations": "image"}
log = logger("likeness.studio")


class Metrics:
    """The metrics of one server. Routes are labelled by their templates, so that series stay few."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._counter("http_requests", "Answered requests")
        self._counts = {
            name: self._counter(f"{name}_requests", f"Answered requests of {route}")
            for route, name in WATCHED.items()
        }
        self._durations = {
            name: Histogram(
                f"{name}_duration_seconds", f"Seconds until {route} was answered by 200",
                ["route"], buckets=SECONDS, registry=self.registry,
            )
            for route, name in WATCHED.items()
        }  # fmt: skip
        self._gauges = {
            name: Gauge(f"engine_{name}", text, ["engine"], registry=self.registry)
            for name, text in (
                ("queue_length", "Sentences or images that wait"),
                ("ready", "1 if the model is loaded"),
            )
        }

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(name, text, ["route", "status"], registry=self.registry)

    def watch(self, engine: str, length: Callable[[], int], ready: Callable[[], bool]) -> None:
        """Read an engine's state whenever the metrics are asked for."""
        self._gauges["queue_length"].labels(engine).set_function(length)
        self._gauges["ready"].labels(engine).set_function(ready)

    def count(self, route: str, status: int, seconds: float) -> None:
        self._requests.labels(route, status).inc()
        if name := WATCHED.get(route):
            self._counts[name].labels(route, status).inc()
            if status == 200:
                self._durations[name].labels(route).observe(seconds)


class Observer:
    """Counts each request, logs a line of it, and gives it an id, which is in its logs and answer."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, started, status = token_hex(8), time.monotonic(), 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        with bound(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_id)
            finally:
                seconds = time.monotonic() - started
                # A path that no route has may be anything, so it is no label.
                route = getattr(scope.get("route"), "path", "unmatched")
                self._metrics.count(route, status, seconds)
                log.info(
                    "request", method=scope["method"], route=route, status=status,
                    seconds=round(seconds, 4),
                )  # fmt: skip
