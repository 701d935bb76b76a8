"""One HTTP exchange as bytes, unchecked, unquoted and uncorrected. Each exchange has its own connection.

Owns sending and reading. Must not know what is sent or judge the answer.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

ANSWER_SECONDS = 12.0
READ_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """The answer; status 0 if there was none."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float
    continues: int = 0  # `100 Continue` before it

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def request(
    method: bytes, target: bytes, *, headers: Sequence[tuple[bytes, bytes]] = (), body: bytes | None = None
) -> bytes:
    """Return a request; Host, Connection and Content-Length are added if they are missing."""
    given = {name.lower() for name, _ in headers}
    lines = list(headers)
    if b"host" not in given:
        lines.insert(0, (b"Host", b"localhost"))
    if b"connection" not in given:
        lines.append((b"Connection", b"close"))
    if body is not None and not given & {b"content-length", b"transfer-encoding"}:
        lines.append((b"Content-Length", str(len(body)).encode()))
    head = b"\r\n".join([method + b" " + target + b" HTTP/1.1", *(name + b": " + value for name, value in lines)])
    return head + b"\r\n\r\n" + (body or b"")


def exchange(port: int, data: bytes, *, is_head: bool = False) -> RawAnswer:
    """Send bytes and read until the server closes the connection or the answer is complete."""
    began = time.monotonic()
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS) as sock:
        with contextlib.suppress(OSError):  # it may answer and close before it has read everything
            sock.sendall(data)
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            while part := sock.recv(READ_BYTES):
                received += part
    return _parse(received, time.monotonic() - began, is_head)


def _parse(received: bytes, seconds: float, is_head: bool) -> RawAnswer:
    continues = 0
    while received.startswith((b"HTTP/1.1 100", b"HTTP/1.0 100")):
        continues += 1
        received = received.partition(b"\r\n\r\n")[2]
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    words = first.split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return RawAnswer(0, {}, received[:200], seconds, continues)
    headers = {}
    for line in lines:
        name, _, value = line.partition(b":")
        headers[name.decode("latin1").lower()] = value.strip().decode("latin1")
    if "chunked" in headers.get("transfer-encoding", "") and not is_head:
        body = _join_chunks(body)
    return RawAnswer(int(words[1]), headers, body, seconds, continues)


def _join_chunks(body: bytes) -> bytes:
    joined = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size.split(b";")[0] or b"0", 16)
        if not length:
            break
        joined, body = joined + body[:length], body[length + 2 :]
    return joined
