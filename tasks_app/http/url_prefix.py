"""The path prefix under which clients reach this service: of a proxy, and of the project that includes our URLs.

Owns adding it to links and removing it from request paths. A proxy may forward the path with or without the prefix, and
internal probes omit it; all are the same request. Must not route.
"""

from __future__ import annotations

from typing import Final

from django.urls import NoReverseMatch, reverse

from tasks_app.conf import settings
from tasks_app.conf.project import is_embedded

NAMESPACE: Final = "longtasks"  # of our URLs in another project
_ANY_ROUTE: Final = "tasks"


def get() -> str:
    """Return the prefix, without a slash at its end; "" if another project has not included our URLs."""
    if not is_embedded():
        return settings.URL_PREFIX
    try:
        return reverse(f"{NAMESPACE}:{_ANY_ROUTE}").removesuffix(f"/{_ANY_ROUTE}")
    except NoReverseMatch:
        return ""


def add(path: str) -> str:
    """Return the path as clients must request it."""
    return f"{get()}{path}"


def cut(path: str) -> str:
    """Return the path without the prefix, as our routes expect it."""
    rest = path.removeprefix(get())
    if not rest:
        return "/"
    return rest if rest.startswith("/") else path
