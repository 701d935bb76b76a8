"""Renders every error as application/problem+json (RFC 9457): errors of DRF, of the services and of Django.

Owns the mapping from exceptions to status, type and headers. Tracebacks go to the log only.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from itertools import islice
from typing import Any, Final

from django.core.exceptions import (
    DisallowedHost,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    SynchronousOnlyOperation,
)
from django.db import DatabaseError, InterfaceError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.request import split_domain_port
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions

from tasks_app import errors
from tasks_app.api.json_rendering import PROBLEM, respond
from tasks_app.api.request_ids import get_request_id
from tasks_app.domain.printable import escape
from tasks_app.observability.log_limit import LogLimit
from tasks_app.queues.suspended_calls import NeedsThread, is_suspendable
from tasks_app.queues.thread_connection import UNAVAILABLE_ERRORS

log = logging.getLogger(__name__)

_LISTED: Final = 100  # most errors that one response lists
# DRF's messages contain the client's values, and the paths contain its keys.
_FIELD_CHARACTERS: Final = 200
_MESSAGE_CHARACTERS: Final = 500
_DETAIL_CHARACTERS: Final = 1000
_HOST_CHARACTERS: Final = 100
_RETRY_SECONDS: Final = 2
_unknown_hosts: Final = LogLimit()
_UNEXPECTED: Final = "Internal error. Find the details in the log by the request id."

# Status and type. The type is stable: clients may branch on it. about:blank adds nothing to the status.
_COMMAND_ERRORS: Final[Mapping[type[Exception], tuple[int, str]]] = {
    errors.UnknownTask: (404, "unknown-task"),
    errors.NamedTaskUnknown: (404, "unknown-task"),
    errors.UnknownFile: (404, "unknown-file"),
    errors.NamedFileUnknown: (404, "unknown-file"),
    errors.LinkExpired: (410, "link-expired"),
    errors.FileInUse: (409, "file-in-use"),
    errors.FileTooLarge: (413, "file-too-large"),
    errors.FilesUnavailable: (503, "files-unavailable"),
    errors.FilesFull: (507, "files-full"),
    errors.ParamRefused: (400, "invalid"),
    errors.NotAllowed: (403, "not-allowed"),
    errors.UnknownQueue: (404, "unknown-queue"),
    errors.TaskEnded: (409, "task-ended"),
    errors.TaskNotEnded: (409, "task-not-ended"),
    errors.TaskBegun: (409, "task-begun"),
    errors.FailuresNotRetried: (409, "failures-not-retried"),
    errors.IdempotencyMismatch: (422, "idempotency-mismatch"),
    errors.QueueFull: (503, "queue-full"),
    errors.QueueUnavailable: (503, "queue-unavailable"),
    errors.StoreUnavailable: (503, "store-unavailable"),
}
# The messages of these errors may contain addresses of servers, so clients get these sentences instead.
_PLAIN_DETAIL: Final[Mapping[str, str]] = {
    "queue-unavailable": "The queue is unavailable. Try again later.",
    "store-unavailable": "The database is unavailable. Try again later.",
}


def problem(
    status: int,
    detail: str,
    *,
    kind: str = "",
    fields: list[dict[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """Return one problem as a response."""
    body: dict[str, Any] = {
        "type": f"urn:longtasks:problem:{kind}" if kind else "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail[:_DETAIL_CHARACTERS],
    }
    if fields is not None:
        body["errors"] = fields
    response = respond(body, status=status, headers=headers, content_type=PROBLEM)
    # Set here too: a response to an error of a middleware skips the middleware that sets it.
    response["Content-Length"] = str(len(response.content))
    return response


def problem_response(exc: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """Return the response to an exception of a view (DRF's EXCEPTION_HANDLER)."""
    if isinstance(exc, SynchronousOnlyOperation) and is_suspendable():
        raise NeedsThread from exc
    if isinstance(exc, errors.AuthorizationFailed):
        log.error("a start was refused: %s", exc, extra=_log_extra(context))
        return problem(500, _UNEXPECTED)
    if isinstance(exc, errors.LongtasksError):
        return _command_problem(exc)
    if isinstance(exc, exceptions.ValidationError):
        return _invalid(list(islice(flatten(exc.detail), _LISTED)))
    if isinstance(exc, exceptions.ParseError):
        return _invalid([{"field": "body", "message": str(exc.detail)}])
    if isinstance(exc, exceptions.APIException):
        return _api_problem(exc, context)
    if isinstance(exc, Http404):
        return problem(404, "Not found.")
    if isinstance(exc, PermissionDenied):
        return problem(403, "You do not have permission to do this.")
    if isinstance(exc, RequestDataTooBig):
        return problem(413, "The body is too large.")
    if isinstance(exc, SuspiciousOperation):
        return problem(400, "The request is malformed.", fields=[])
    if isinstance(exc, UNAVAILABLE_ERRORS):
        log.warning("Redis refused in a request: %s", exc, extra=_log_extra(context))
        return _command_problem(errors.QueueUnavailable())
    if isinstance(exc, (DatabaseError, InterfaceError)):
        log.error("the database failed in a request", exc_info=exc, extra=_log_extra(context))
        return _command_problem(errors.StoreUnavailable())
    log.error("a view failed", exc_info=exc, extra=_log_extra(context))
    return problem(500, _UNEXPECTED)


def _command_problem(exc: errors.LongtasksError) -> HttpResponse:
    if isinstance(exc, errors.UnknownTaskType):
        return _invalid([{"field": "name", "message": str(exc)}])
    status, kind = next((_COMMAND_ERRORS[kin] for kin in type(exc).__mro__ if kin in _COMMAND_ERRORS), (409, ""))
    headers = {}
    if status == 503:
        headers["Retry-After"] = str(max(1, int(getattr(exc, "retry_after_seconds", _RETRY_SECONDS))))
    if isinstance(exc, errors.NamedTaskUnknown):
        named = [{"field": field, "message": exc.message} for field in exc.fields[:_LISTED]]
        return problem(status, f"Not found: {_name_fields(named)}.", kind=kind, fields=named)
    fields = [{"field": exc.field, "message": exc.reason}] if isinstance(exc, errors.NotAllowed) else None
    return problem(status, _PLAIN_DETAIL.get(kind) or str(exc), kind=kind, fields=fields, headers=headers)


def _api_problem(exc: exceptions.APIException, context: Mapping[str, Any]) -> HttpResponse:
    headers = {}
    if isinstance(exc, exceptions.MethodNotAllowed):
        headers["Allow"] = ", ".join(context["view"].allowed_methods)
    if getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = exc.auth_header  # type: ignore[attr-defined]
    wait = getattr(exc, "wait", None)
    if wait is not None:
        headers["Retry-After"] = str(max(1, int(wait)))
    return problem(exc.status_code, str(exc.detail), headers=headers)


def _invalid(fields: list[dict[str, str]]) -> HttpResponse:
    return problem(400, f"Validation failed: {_name_fields(fields)}.", kind="invalid", fields=fields)


def _name_fields(fields: list[dict[str, str]]) -> str:
    return ", ".join(dict.fromkeys(field["field"] for field in fields[:5]))


def flatten(detail: Any, path: str = "") -> Iterator[dict[str, str]]:
    """Yield DRF's nested error details as `{field, message}`, fields by their path: `params.numRecords`."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            # DRF's name for errors of the whole object.
            own = path if name == "non_field_errors" else f"{path}.{name}" if path else str(name)
            yield from flatten(inner, own[:_FIELD_CHARACTERS])
    elif isinstance(detail, (list, tuple)):
        for index, inner in enumerate(detail):
            if isinstance(inner, (Mapping, list, tuple)):
                if inner:
                    yield from flatten(inner, f"{path}.{index}" if path else str(index))
            else:
                yield {"field": path or "body", "message": str(inner)[:_MESSAGE_CHARACTERS]}
    else:
        yield {"field": path or "body", "message": str(detail)[:_MESSAGE_CHARACTERS]}


def _log_extra(context: Mapping[str, Any]) -> dict[str, str]:
    return {"request_id": get_request_id(context.get("request"))}


# Django's own error views, named by longtasks/urls.py.


def handler400(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    if isinstance(exception, DisallowedHost):
        return unknown_host(request.META.get("HTTP_HOST", ""))
    return problem(400, "The request is malformed.", fields=[])


def unknown_host(host: str) -> HttpResponse:
    """Return the refusal of a Host header that ALLOWED_HOSTS does not list; log at most one line a minute."""
    shown = escape(host[:_HOST_CHARACTERS])
    if split_domain_port(host)[0] and _unknown_hosts.lets_through():  # a malformed name is not a missing setting
        log.warning("refused a request to the host %r: ALLOWED_HOSTS does not list it", shown)
    return problem(
        400,
        f'Unknown host: ALLOWED_HOSTS does not list "{shown}". Add the host to ALLOWED_HOSTS, or configure the proxy to '
        "forward the client's Host header unchanged.",
        fields=[],
    )


def handler403(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return problem(403, "You do not have permission to do this.")


def handler404(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return problem(404, "Not found.")


def handler500(request: HttpRequest) -> HttpResponse:
    return problem(500, _UNEXPECTED)


@csrf_exempt
def unknown_route(request: HttpRequest) -> HttpResponse:
    """Answer 404 as the last route of longtasks/urls.py. With DEBUG, Django would show its own page, not handler404."""
    return handler404(request)
