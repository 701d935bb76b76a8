"""The front page at `/`: a frame of HTML; its scripts request everything else from the API.

Owns the choice between page and API by the Accept header, and the page's stricter policy. Must not read a task, a queue
or a token: the page contains no more than its source.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.views.decorators.csrf import csrf_exempt

from tasks_app.api.json_rendering import respond
from tasks_app.api.problem_details import unknown_route
from tasks_app.conf import settings
from tasks_app.conf.project import is_embedded
from tasks_app.domain import priorities
from tasks_app.front.words import get_words
from tasks_app.http import url_prefix

# No inline script or style, no eval, no other host. The scripts send the forms, so that no token ends up in a URL.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ACCEPT_CHARACTERS: Final = 2048
_ICON: Final = Path(__file__).parent.parent / "static" / "tasks_app" / "icon.svg"
_LINKS: Final = {
    "tasks": "/tasks",
    "taskTypes": "/task-types",
    "queues": "/queues",
    "stream": "/stream",
    "schema": "/schema",
    "docs": "/docs",
    "health": "/health/ready",
}


@csrf_exempt  # it changes nothing, and other clients get a 404
def front(request: HttpRequest) -> HttpResponse:
    """Show the page to browsers; give all others links to the API."""
    accept = request.META.get("HTTP_ACCEPT", "")[:_ACCEPT_CHARACTERS]
    if request.method not in ("GET", "HEAD"):
        response = unknown_route(request)
    elif "text/html" not in accept.lower():
        links = {name: url_prefix.add(path) for name, path in _LINKS.items()}
        response = respond({name: link for name, link in links.items() if name != "docs" or _find_docs()})
    else:
        with translation.override(translation.get_language_from_request(request)):
            response = HttpResponse(render_to_string("tasks_app/front.html", _get_context()))
        response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        response["Cache-Control"] = "no-cache"
    patch_vary_headers(response, ("Accept", "Accept-Language", "Cookie"))
    return response


@csrf_exempt
def icon(request: HttpRequest) -> HttpResponse:
    """Answer /favicon.ico, which browsers ask for by themselves, with the page's icon."""
    return _answer_file(request, _ICON.read_bytes(), "image/svg+xml")


@csrf_exempt
def robots(request: HttpRequest) -> HttpResponse:
    """Answer /robots.txt: nothing here is for search engines."""
    return _answer_file(request, b"User-agent: *\nDisallow: /\n", "text/plain; charset=utf-8")


def _answer_file(request: HttpRequest, content: bytes, content_type: str) -> HttpResponse:
    if request.method not in ("GET", "HEAD"):
        return unknown_route(request)
    return HttpResponse(content, content_type=content_type, headers={"Cache-Control": "public, max-age=86400"})


def _find(name: str) -> str:
    """Return the address of a page; "" if a project does not have it."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""


def _find_docs() -> str:
    return _find(f"{url_prefix.NAMESPACE}:docs" if is_embedded() else "docs")


def _get_context() -> dict[str, Any]:
    return {
        "prefix": url_prefix.get(),
        "admin": _find("admin:index"),
        "docs": _find_docs(),
        "language": translation.get_language(),
        "settings": {"prefix": url_prefix.get(), "isOpen": settings.API_OPEN},
        "words": get_words(),
        "priorities": [*priorities.NAMES, *range(priorities.FIRST, priorities.LAST + 1)],
    }
