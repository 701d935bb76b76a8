"""The check of a request's head in web's event loop, before the parser: its limits, and how its body is framed.

Owns those limits, and the responses (application/problem+json) to requests that are refused before Django sees them.
Must not import Django: gunicorn's parent loads this module.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

HEADER_BYTES: Final = 64 * 1024  # total size of the request line and all header lines
HEADER_LINES: Final = 200  # gunicorn's C parser holds 256
URL_BYTES: Final = 8000  # gunicorn accepts request lines of 8190
HOST_BYTES: Final = 262  # a DNS name has 253 letters, a port five digits
BODY_BYTES: Final = 4 * 1024 * 1024  # the largest that any view accepts (DATA_UPLOAD_MAX_MEMORY_SIZE)
LENGTH_DIGITS: Final = 18  # maximum digits of a Content-Length, leading zeros included; longer values are refused
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*+(\d++)[ \t]*+\r\n", re.IGNORECASE)
_CODING: Final = re.compile(rb"\r\ntransfer-encoding[ \t]*+:([^\r\n]*+)", re.IGNORECASE)
_EXPECT: Final = re.compile(rb"\r\nexpect:[ \t]*+([^\r\n]*+)", re.IGNORECASE)
_HOST: Final = re.compile(rb"\r\nhost[ \t]*+:([^\r\n]*+)", re.IGNORECASE)

_DETAIL_CHARACTERS: Final = 300
_DETAILS: Final = {
    400: "The request is malformed.",
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


class Refused(Exception):
    """The request is refused before its body is read."""

    def __init__(self, status: int, detail: str = "") -> None:
        super().__init__(status)
        self.status = status
        self.detail = detail

    def as_answer(self) -> bytes:
        return problem_answer(self.status, self.detail)


@dataclass(frozen=True, slots=True)
class Head:
    """The properties of a complete head that the event loop needs."""

    body_bytes: int  # 0 also where the body comes in chunks
    expects_continue: bool
    is_chunked: bool


def problem_body(status: int, detail: str = "") -> bytes:
    """Return the JSON of a refusal."""
    return json.dumps(
        {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail[:_DETAIL_CHARACTERS] or _DETAILS.get(status) or _DETAILS[400],
        }
    ).encode()


def problem_answer(status: int, detail: str = "", *, retry_after_seconds: int = 2) -> bytes:
    """Return a complete HTTP response that refuses a request and closes the connection."""
    title, body = HTTPStatus(status).phrase, problem_body(status, detail)
    lines = [
        f"HTTP/1.1 {status} {title}",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *([f"Retry-After: {retry_after_seconds}"] if status in (429, 503) else []),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def read_head(head: bytes) -> Head:
    """Return the properties of a head, which includes its last line break. Raises Refused.

    Malformed heads are left to gunicorn's parser, which refuses them.
    """
    line = head[: head.find(b"\r\n")]
    if len(line) > URL_BYTES and any(len(part) > URL_BYTES for part in line.split(b" ", 2)):
        raise Refused(414)
    if head.count(b"\r\n") > HEADER_LINES + 1:
        raise Refused(431)
    host = _HOST.search(head)
    if host is None:
        if line.endswith(b"HTTP/1.1"):
            raise Refused(400, "Send a Host header: HTTP/1.1 requires it.")
    elif len(host[1]) > HOST_BYTES:
        raise Refused(400, f"The Host header may have at most {HOST_BYTES} bytes.")
    coding = _CODING.search(head)
    if coding and coding[1].strip().lower() != b"chunked":
        raise Refused(501)
    expect = _EXPECT.search(head)
    if expect and expect[1].strip().lower() != b"100-continue":
        raise Refused(417)
    length = _LENGTH.search(head)
    if coding and length:
        raise Refused(400, "Send either a Content-Length or a Transfer-Encoding, not both.")
    if length and len(length[1]) > LENGTH_DIGITS:
        raise Refused(413)
    body_bytes = int(length[1]) if length else 0
    if body_bytes > BODY_BYTES:
        raise Refused(413)
    return Head(
        body_bytes, expects_continue=expect is not None and line.endswith(b"HTTP/1.1"), is_chunked=coding is not None
    )
