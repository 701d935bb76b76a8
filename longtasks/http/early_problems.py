"""The responses (application/problem+json) to requests that are refused before Django sees them.

Owns their text and headers. Must not import Django: gunicorn's parent loads this module.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Final

from longtasks.http.request_head import BODY_BYTES, HEADER_BYTES, HEADER_LINES, URL_BYTES

RETRY_SECONDS: Final = 2
_DETAIL_CHARACTERS: Final = 300
_DETAILS: Final = {
    400: "The request is malformed.",
    408: "The body arrived too slowly. Send it again over a faster connection, or compress it.",
    413: f"The body may have at most {BODY_BYTES} bytes. Send a smaller body.",
    414: f"The URL may have at most {URL_BYTES} bytes.",
    417: "The only supported expectation is 100-continue.",
    429: "Your address sent too many requests without a valid token.",
    431: f"The headers may have at most {HEADER_BYTES} bytes in {HEADER_LINES} lines.",
    500: "The server could not handle the request.",
    501: "The transfer coding is not supported. Send the body with a Content-Length, or chunked.",
    503: "Too many concurrent requests. Try again later.",
    505: "Send the request as HTTP/1.1.",
}


def make_problem(
    status: int, detail: str = "", *, retry_after_seconds: int = RETRY_SECONDS
) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return the headers and the body of a refusal."""
    body = json.dumps(
        {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail[:_DETAIL_CHARACTERS] or _DETAILS.get(status) or _DETAILS[400],
        }
    ).encode()
    headers = [(b"Content-Type", b"application/problem+json"), (b"Content-Length", b"%d" % len(body))]
    if status in (429, 503):
        headers.append((b"Retry-After", b"%d" % retry_after_seconds))
    return headers, body


def format_problem(status: int, detail: str = "", *, retry_after_seconds: int = RETRY_SECONDS) -> bytes:
    """Return a complete HTTP response that refuses a request and closes the connection."""
    headers, body = make_problem(status, detail, retry_after_seconds=retry_after_seconds)
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()]
    lines += [b"%b: %b" % pair for pair in (*headers, (b"Connection", b"close"))]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
