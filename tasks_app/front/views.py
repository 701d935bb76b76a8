"""The front page at `/`: a frame of HTML; its scripts request everything else from the API.

Owns the choice between page and API by the Accept header, and the page's stricter policy. Must not read a task, a queue
or a token: the page contains no more than its source.
"""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.views.decorators.csrf import csrf_exempt

from tasks_app.api.problem_details import unknown_route
from tasks_app.domain import priorities
from tasks_app.front.words import get_words

# No inline script or style, no eval, no other host. The scripts send the forms, so that no token ends up in a URL.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ACCEPT_CHARACTERS: Final = 2048


@csrf_exempt  # it changes nothing, and other clients get a 404
def front(request: HttpRequest) -> HttpResponse:
    """Show the page to browsers; respond 404 to all other clients."""
    accept = request.META.get("HTTP_ACCEPT", "")[:_ACCEPT_CHARACTERS]
    if request.method not in ("GET", "HEAD") or "text/html" not in accept.lower():
        response = unknown_route(request)
    else:
        with translation.override(translation.get_language_from_request(request)):
            response = HttpResponse(render_to_string("tasks_app/front.html", _get_context()))
        response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        response["Cache-Control"] = "no-cache"
    patch_vary_headers(response, ("Accept", "Accept-Language", "Cookie"))
    return response


def _get_context() -> dict[str, Any]:
    return {
        "prefix": settings.URL_PREFIX,
        "language": translation.get_language(),
        "settings": {"prefix": settings.URL_PREFIX, "isOpen": settings.API_OPEN},
        "words": get_words(),
        "priorities": [*priorities.NAMES, *range(priorities.FIRST, priorities.LAST + 1)],
    }
