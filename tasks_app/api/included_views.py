"""Our views inside another project: they need none of its middleware, and none of it gets in their way.

Owns what the middleware of this project does for the API: request ids, metrics, and the refusal of other origins. Must
not know an endpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls.resolvers import URLPattern
from django.views.decorators.csrf import csrf_exempt
from rest_framework.permissions import SAFE_METHODS

from tasks_app.api.problem_details import problem
from tasks_app.api.request_ids import RequestIdMiddleware
from tasks_app.api.request_metrics import RequestMetricsMiddleware
from tasks_app.http.origins import is_cross_origin

View = Callable[..., HttpResponseBase]
OTHER_ORIGIN: Final = "Cross-origin request refused: a page of another origin cannot change anything here."
NO_STREAM: Final = (
    "This server has no event stream: it needs the ASGI application tasks_app.api.stream.asgi_app.StreamApplication. "
    "Ask again with GET /tasks/{id}?wait=20, which waits for the task's end."
)


def include_route(pattern: URLPattern) -> URLPattern:
    """Return a route whose view brings all that it needs."""
    return URLPattern(pattern.pattern, include_view(pattern.callback), pattern.default_args, pattern.name)


def include_view(view: View) -> View:
    """Return a view for a project with any middleware and any settings of the database."""

    @wraps(view)
    def included(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        def respond(request: HttpRequest) -> HttpResponseBase:
            if request.method not in SAFE_METHODS and is_cross_origin(request.META):
                return problem(403, OTHER_ORIGIN)
            return view(request, *args, **kwargs)

        return RequestIdMiddleware(RequestMetricsMiddleware(respond))(request)

    included.login_required = False  # type: ignore[attr-defined]  # LoginRequiredMiddleware: the API has tokens
    # With ATOMIC_REQUESTS, Redis would have a task before the transaction of the request commits.
    return csrf_exempt(transaction.non_atomic_requests(included))


def answer_stream(request: HttpRequest, **kwargs: Any) -> HttpResponse:
    """Refuse an event stream: it would hold a thread of the server as long as a client listens."""
    return problem(501, NO_STREAM, kind="no-stream")
