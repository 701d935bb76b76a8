"""The path below which a proxy shows this service (SCRIPT_NAME): added to what we link to, cut from what is asked for.

A proxy may pass the path on whole or without the prefix; probes from inside ask without it. Both are the same request.
"""

from __future__ import annotations

from django.conf import settings


def add(path: str) -> str:
    """Return the path as clients have to ask for it."""
    return f"{settings.URL_PREFIX}{path}"


def cut(path: str) -> str:
    """Return the path as our routes know it."""
    rest = path.removeprefix(settings.URL_PREFIX)
    if not rest:
        return "/"
    return rest if rest.startswith("/") else path
