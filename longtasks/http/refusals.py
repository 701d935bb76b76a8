"""Refusals that name the wrong setting: an HTML page for browsers, problem+json for other clients.

Owns their format, and the refusal of a form whose origin or token is wrong (CSRF_FAILURE_VIEW).
"""

import logging
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import REASON_BAD_ORIGIN, REASON_BAD_REFERER
from django.utils.html import format_html

from tasks_app.api.problem_details import problem
from tasks_app.domain.printable import escape
from tasks_app.http import peers
from tasks_app.observability.log_limit import LogLimit

logger = logging.getLogger(__name__)
_log: Final = LogLimit()
_SHOWN_CHARACTERS: Final = 200
_ORIGINS: Final = tuple(reason.partition("%s")[0] for reason in (REASON_BAD_ORIGIN, REASON_BAD_REFERER))


def refuse(request: HttpRequest, status: int, detail: str) -> HttpResponse:
    """Return a response with one sentence, in the format that the client accepts."""
    if "text/html" not in request.META.get("HTTP_ACCEPT", ""):
        return problem(status, detail)
    title = f"{status} {HTTPStatus(status).phrase}"
    page = format_html(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>{}</title><h1>{}</h1><p>{}</p>',
        title,
        title,
        detail,
    )
    return HttpResponse(page, status=status)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Return why a form was refused; if its origin is the reason, name the origin to add."""
    if not reason.startswith(_ORIGINS):
        return refuse(request, 403, "The form's token is missing or too old. Load the page again, and send it again.")
    named = request.META.get("HTTP_ORIGIN")
    if named is None:
        scheme, host, *_ = urlsplit(request.META.get("HTTP_REFERER", ""))  # Django has parsed it already
        named = f"{scheme}://{host}"
    origin = escape(named[:_SHOWN_CHARACTERS])
    own = f"{request.scheme}://{request.get_host()}"
    advice = f"let the proxy pass the Host header on with its port, or add {origin} to CSRF_TRUSTED_ORIGINS"
    if settings.SECURE_SSL_REDIRECT is False and peers.says_https(request.META) and not request.is_secure():
        advice = f"add the proxy {peers.name_peer(request.META)} to FORWARDED_ALLOW_IPS, so that https is believed"
    if _log.lets_through():
        logger.warning("a form of %s was refused, this service is %s: if both are yours, %s", origin, own, advice)
    return refuse(request, 403, f"The form came from {origin}, and this service is {own}. If both are yours, {advice}.")
