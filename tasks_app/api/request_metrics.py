"""Counts requests by route, method and code, with a histogram of their duration by route.

Owns the request metrics of this process; gunicorn's processes share theirs through PROMETHEUS_MULTIPROC_DIR
(longtasks/gunicorn.py). It runs for every request, so it may do no more than two increments in shared memory.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Final

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from prometheus_client import Counter, Histogram

# 40 ms is the mean response time that the design document requires (docs/original-steps.md).
BOUNDS: Final = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 20.48)
UNKNOWN: Final = "(unknown)"  # not the path: a client could fill the memory with invented paths
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

REQUESTS: Final = Counter("longtasks_http_requests", "Requests answered.", ("route", "method", "code"))
SECONDS: Final = Histogram(
    "longtasks_http_request_seconds",
    "From the first middleware to the response, without the wait that the client requested.",
    ("route", "method"),
    buckets=BOUNDS,
)


class RequestMetricsMiddleware:
    """Must be directly inside RequestIdMiddleware, around everything that may respond."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        # `labels` builds a key of strings and looks it up under a lock, so each child is looked up only once.
        self._counters: dict[tuple[str, str | None, int], Callable[[], None]] = {}
        self._observers: dict[tuple[str, str | None], Callable[[float], None]] = {}

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        began = perf_counter()
        response = self.get_response(request)
        match = request.resolver_match
        route = match.route if match is not None else ""
        method = request.method
        seconds = perf_counter() - began - getattr(request, "waited_seconds", 0.0)
        try:
            self._counters[route, method, response.status_code]()
            self._observers[route, method](seconds)
        except KeyError:
            self._count_first(route, method, response.status_code, seconds)
        return response

    def _count_first(self, route: str, method: str | None, code: int, seconds: float) -> None:
        name = f"/{route}" if route else UNKNOWN
        verb = method if method in _METHODS else "other"
        counter = REQUESTS.labels(name, verb, code).inc
        observer = SECONDS.labels(name, verb).observe
        if method in _METHODS:
            self._counters[route, method, code] = counter
            self._observers[route, method] = observer
        counter()
        observer(seconds)
