"""The check of a request's head in web's event loop, before the parser: its limits, and how its body is framed.

Owns those limits. Must not import Django: gunicorn's parent loads this module.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
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


class Refused(Exception):
    """The request is refused before its body is read."""

    def __init__(self, status: int, detail: str = "") -> None:
        super().__init__(status)
        self.status = status
        self.detail = detail


def too_large(limit_bytes: int) -> Refused:
    """Return the refusal of a body that is larger than its limit."""
    if limit_bytes == BODY_BYTES:
        return Refused(413)
    return Refused(413, f"A file may have at most {limit_bytes} bytes. Split it, compress it, or raise FILE_BYTES.")


@dataclass(frozen=True, slots=True)
class Head:
    """The properties of a complete head that the event loop needs."""

    body_bytes: int  # 0 also where the body comes in chunks
    expects_continue: bool
    is_chunked: bool


def read_head(head: bytes, *, limit_bytes: int = BODY_BYTES) -> Head:
    """Return the properties of a head, which includes its last line break. Raises Refused.

    `limit_bytes` is the largest body that this request may have. Malformed heads are left to gunicorn's parser, which
    refuses them.
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
        raise too_large(limit_bytes)
    body_bytes = int(length[1]) if length else 0
    if body_bytes > limit_bytes:
        raise too_large(limit_bytes)
    return Head(
        body_bytes, expects_continue=expect is not None and line.endswith(b"HTTP/1.1"), is_chunked=coding is not None
    )
