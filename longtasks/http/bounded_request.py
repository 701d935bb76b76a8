"""Web's request. Bounds the headers that Django and the standard library read in time that grows with the square of their length.

Owns those bounds, for every server: web's worker refuses earlier what is too long (request_head.py).
"""

from __future__ import annotations

from typing import Any, Final

from django.core.handlers.wsgi import WSGIRequest

from longtasks.http.behind_proxy import take_from_proxy
from longtasks.http.request_head import HOST_BYTES

CONTENT_TYPE_CHARACTERS: Final = 256
COOKIE_CHARACTERS: Final = 16 * 1024


class BoundedRequest(WSGIRequest):
    """Django's request, made of headers that cost little to read, as the proxy in front tells of it."""

    def __init__(self, environ: dict[str, Any]) -> None:
        bound_headers(environ)
        take_from_proxy(environ)
        super().__init__(environ)


def bound_headers(environ: dict[str, Any]) -> None:
    """Cut the Content-Type, and empty a Host or Cookie header that no sane client sends.

    A Host that HTTP/1.1 wants and that is missing counts as empty.
    """
    content_type = environ.get("CONTENT_TYPE")
    if content_type is not None and len(content_type) > CONTENT_TYPE_CHARACTERS:
        # email.message, which Django parses it with, counts all quotation marks again at each semicolon.
        environ["CONTENT_TYPE"] = content_type[:CONTENT_TYPE_CHARACTERS]
    host = environ.get("HTTP_HOST")
    if len(host) > HOST_BYTES if host is not None else environ.get("SERVER_PROTOCOL") == "HTTP/1.1":
        environ["HTTP_HOST"] = ""  # which is refused as an unknown host; without one Django would take its own name
    cookie = environ.get("HTTP_COOKIE")
    if cookie is not None:
        # http.cookies copies the rest of a quoted value at each backslash (CVE-2024-7592); our cookies hold none.
        environ["HTTP_COOKIE"] = "" if len(cookie) > COOKIE_CHARACTERS else cookie.replace("\\", "")
