"""The request id: X-Request-ID of the request if it is valid, else a new one; every response has it.

Owns which ids are valid. Must not log.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import uuid_utils
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from tasks_app.observability import log_context

# The characters that are safe in a log line, and the length of TaskRecord.request_id.
VALID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}\Z", re.ASCII)


class RequestIdMiddleware:
    """The outermost middleware, so that the responses of all others have the id too."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request_id: str = request.META.get("HTTP_X_REQUEST_ID", "")
        if not VALID.match(request_id):
            request_id = uuid_utils.uuid7().hex
        request.request_id = request_id  # type: ignore[attr-defined]
        log_context.request_id.set(request_id)
        response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response


def get_request_id(request: object) -> str:
    """Return the id of a request; empty if the middleware is not installed."""
    return getattr(request, "request_id", "")
