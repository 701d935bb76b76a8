"""The path prefix under which a proxy serves this service (SCRIPT_NAME).

Owns adding it to links and removing it from request paths. A proxy may forward the path with or without the prefix, and
internal probes omit it; all are the same request. Must not route.
"""

from __future__ import annotations

from django.conf import settings


def add(path: str) -> str:
    """Return the path as clients must request it."""
    return f"{settings.URL_PREFIX}{path}"


def cut(path: str) -> str:
    """Return the path without the prefix, as our routes expect it."""
    rest = path.removeprefix(settings.URL_PREFIX)
    if not rest:
        return "/"
    return rest if rest.startswith("/") else path
