"""The API's own chain of middleware: what it needs of Django's full chain (settings.MIDDLEWARE), in few steps.

Owns that none of the full chain's checks and headers is lost for them:
tests/longtasks/test_api_handler.py sends the same requests through both. Must not contain a check of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import DisallowedHost, MiddlewareNotUsed
from django.core.handlers.exception import convert_exception_to_response, response_for_exception
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.security import SecurityMiddleware
from django.urls import ResolverMatch, get_resolver
from django.utils.module_loading import import_string

from longtasks.http.browser_origins import SAFE_METHODS, add_headers, refuse_other_origin
from longtasks.http.page_middleware import HostAndLengthMiddleware
from tasks_app.http.origins import is_cross_origin

Respond = Callable[[HttpRequest], HttpResponseBase]
# Those of the full chain that wrap all others, in its order; ApiGuard does the rest of it.
_OUTER: Final = (
    "tasks_app.api.request_ids.RequestIdMiddleware",
    "tasks_app.observability.tracing.TracingMiddleware",
    "tasks_app.api.request_metrics.RequestMetricsMiddleware",
    "longtasks.http.https_only.HttpsOnlyMiddleware",
)
_TASK: Final = re.compile("/tasks/([0-9a-f-]{36})(?![^/])")
_ANY_TASK: Final = "00000000-0000-0000-0000-000000000000"


class ApiGuard:
    """SecurityMiddleware, HostAndLengthMiddleware, XFrameOptionsMiddleware and BrowserMiddleware in one step."""

    def __init__(self, get_response: Respond) -> None:
        self._get_response = get_response
        self._security = SecurityMiddleware(get_response)  # type: ignore[arg-type]
        self._hosts = HostAndLengthMiddleware(get_response)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        try:
            response = self._check(request) or self._get_response(request)
        except DisallowedHost as error:
            response = response_for_exception(request, error)
        if response.headers.get("Content-Type", "").startswith("text/html"):
            add_headers(response)
        if self._security.sts_seconds and request.is_secure():
            self._security.process_response(request, response)  # type: ignore[arg-type]
        return response

    def _check(self, request: HttpRequest) -> HttpResponseBase | None:
        if self._security.redirect and (redirect := self._security.process_request(request)) is not None:
            return redirect
        self._hosts.process_request(request)  # raises DisallowedHost
        if request.method not in SAFE_METHODS and is_cross_origin(request.META):
            return refuse_other_origin(request)
        return None


def find_constant_headers() -> tuple[tuple[str, str], ...]:
    """Return what the full chain adds to every response, whatever the request: the server adds it, once made."""

    def get_response(request: HttpRequest) -> HttpResponse:
        empty = HttpResponse()
        del empty.headers["Content-Type"]
        return empty

    request = HttpRequest()
    response = get_response(request)
    SecurityMiddleware(get_response).process_response(request, response)
    XFrameOptionsMiddleware(get_response).process_response(request, response)
    add_headers(response)
    return tuple(response.items())


class Routes:
    """Django's resolver, which tries pattern after pattern: what it found for a path is kept, whatever task the path names."""

    def __init__(self) -> None:
        self.known: dict[str, ResolverMatch] = {}

    def resolve(self, path: str) -> ResolverMatch:
        """Return the view of a path and its arguments. Raises Http404."""
        named = _TASK.match(path)
        if named is None:
            return self._find(path)
        match = self._find(f"/tasks/{_ANY_TASK}{path[named.end() :]}")
        kwargs = {name: named[1] if value == _ANY_TASK else value for name, value in match.kwargs.items()}
        return ResolverMatch(match.func, match.args, kwargs, match.url_name, route=match.route)

    def _find(self, path: str) -> ResolverMatch:
        match = self.known.get(path)
        if match is None:
            match = get_resolver().resolve(path)
            # Only paths that the routes spell out: clients could fill the memory with others.
            if match.route and all(value == _ANY_TASK for value in match.kwargs.values()):
                self.known[path] = match
        return match


class ApiHandler:
    """The chain and the views. Its responses lack Content-Length and `constant_headers`, which the server adds."""

    def __init__(self) -> None:
        self.constant_headers = find_constant_headers()
        self._routes = Routes()
        chain: Any = convert_exception_to_response(ApiGuard(convert_exception_to_response(self._call_view)))  # type: ignore[arg-type]
        for path in reversed(_OUTER):
            if path in settings.MIDDLEWARE:
                try:
                    chain = convert_exception_to_response(import_string(path)(chain))
                except MiddlewareNotUsed:
                    continue
        self.respond: Respond = chain

    def _call_view(self, request: HttpRequest) -> HttpResponseBase:
        request.resolver_match = match = self._routes.resolve(request.path_info)
        response: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
        return response
