"""Protection of the API, the admin and the login against pages of other origins (CSRF).

Owns the refusal of changes from another origin, and the headers that limit what our pages may load. Must not
authenticate: only browsers send an origin.
"""

from collections.abc import Callable
from typing import Final

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from tasks_app.api.problem_details import problem
from tasks_app.domain.printable import escape
from tasks_app.http.origins import is_cross_origin

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_SHOWN_CHARACTERS: Final = 200
# The admin's pages use Alpine, which compiles its attributes (unsafe-eval) and sets styles (unsafe-inline).
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
PERMISSIONS_POLICY: Final = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"


class BrowserMiddleware:
    """Refuse changes from other origins with 403; set the security headers of pages."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.method not in SAFE_METHODS and is_cross_origin(request.META):
            response: HttpResponseBase = refuse_other_origin(request)
        else:
            response = self.get_response(request)
        add_headers(response)
        return response


def add_headers(response: HttpResponseBase) -> None:
    """Add what no other origin may do with a response, and what a page may load."""
    headers = response.headers
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    if headers.get("Content-Type", "").startswith("text/html"):
        headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)  # a page may have its own
        headers["Permissions-Policy"] = PERMISSIONS_POLICY


def refuse_other_origin(request: HttpRequest) -> HttpResponseBase:
    """Return the refusal of a change that a page of another origin has sent."""
    return problem(
        403,
        "Cross-origin request refused: a page of another origin cannot change anything here. Send the request from "
        "a page of this service, or from a client other than a browser." + _advise(request),
    )


def _advise(request: HttpRequest) -> str:
    origin = request.META.get("HTTP_ORIGIN", "")[:_SHOWN_CHARACTERS]
    if not origin.startswith(("http://", "https://")):
        return ""
    return f" If {escape(origin)} is this service, behind a proxy that changes Host, add it to CSRF_TRUSTED_ORIGINS."
