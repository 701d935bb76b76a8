"""Web's request class. It bounds the headers whose parsing takes quadratic time in Django or the standard library.

Owns those bounds, for every server: web's worker refuses earlier what is too long (request_head.py).
"""

from __future__ import annotations

from typing import Any, Final

from django.core.handlers.wsgi import WSGIRequest
from django.http import QueryDict
from django.utils.functional import cached_property

from longtasks.http.behind_proxy import apply_proxy_headers
from longtasks.http.request_head import HOST_BYTES

CONTENT_TYPE_CHARACTERS: Final = 256
COOKIE_CHARACTERS: Final = 16 * 1024
_NO_QUERY: Final = QueryDict()  # immutable, so that all requests can share it


class BoundedRequest(WSGIRequest):
    """Django's request with bounded headers, and with the scheme and prefix that the proxy reports."""

    def __init__(self, environ: dict[str, Any]) -> None:
        bound_headers(environ)
        apply_proxy_headers(environ)
        super().__init__(environ)

    @cached_property
    def GET(self) -> QueryDict:  # type: ignore[override]
        return super().GET if self.environ.get("QUERY_STRING") else _NO_QUERY


def bound_headers(environ: dict[str, Any]) -> None:
    """Cut a long Content-Type, and empty a Host or Cookie header that is longer than any valid one.

    A missing Host counts as empty if the request is HTTP/1.1, which requires it.
    """
    content_type = environ.get("CONTENT_TYPE")
    if content_type is not None and len(content_type) > CONTENT_TYPE_CHARACTERS:
        # Django parses it with email.message, which counts all quotation marks again at each semicolon.
        environ["CONTENT_TYPE"] = content_type[:CONTENT_TYPE_CHARACTERS]
    host = environ.get("HTTP_HOST")
    if len(host) > HOST_BYTES if host is not None else environ.get("SERVER_PROTOCOL") == "HTTP/1.1":
        environ["HTTP_HOST"] = ""  # refused as an unknown host; if it were missing, Django would use SERVER_NAME
    cookie = environ.get("HTTP_COOKIE")
    if cookie is not None:
        # http.cookies copies the rest of a quoted value at each backslash (CVE-2024-7592); our cookies hold none.
        environ["HTTP_COOKIE"] = "" if len(cookie) > COOKIE_CHARACTERS else cookie.replace("\\", "")
