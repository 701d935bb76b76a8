"""The request id: taken from X-Request-ID when it is sane, else made; on every answer, whoever made it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import uuid_utils
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from tasks_app.observability import log_context

# What may stand in a log line and in TaskRecord.request_id (64 characters).
SANE: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}\Z", re.ASCII)


class RequestIdMiddleware:
    """The outermost middleware, so that the answers of all others carry the id too."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request_id: str = request.META.get("HTTP_X_REQUEST_ID", "")
        if not SANE.match(request_id):
            request_id = uuid_utils.uuid7().hex
        request.request_id = request_id  # type: ignore[attr-defined]
        log_context.request_id.set(request_id)
        response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response


def get_request_id(request: object) -> str:
    """Return the id of a request; empty where the middleware is not installed."""
    return getattr(request, "request_id", "")
