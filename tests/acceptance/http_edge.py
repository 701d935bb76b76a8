"""Raw HTTP requests to web, byte by byte. Must not: know pytest."""

import contextlib
import json
import socket
from collections.abc import Iterator

from loadtests.started.stack import ProcfileStack

QUICK, SLOW = "POST /tasks", "POST /tasks/bulk"
BODY = {QUICK: b'{"name": "upload"}', SLOW: b'{"tasks": [{"name": "upload"}]}'}
AT_ONCE_SECONDS = 2.0  # on a busy machine; a refusal takes a millisecond


def connect(web: ProcfileStack) -> socket.socket:
    return socket.create_connection(("127.0.0.1", web.port), timeout=20)


def read_to_end(sock: socket.socket) -> bytes:
    answer = b""
    while chunk := sock.recv(65536):
        answer += chunk
    return answer


def ask(web: ProcfileStack, request: bytes) -> bytes:
    """Send a request with `Connection: close`; return the whole answer."""
    with connect(web) as sock:
        sock.sendall(request)
        return read_to_end(sock)


def make(
    line: str, *headers: str, body: bytes | None = None, version: str = "1.1", host: str = "Host: localhost"
) -> bytes:
    body = BODY.get(line, b"") if body is None else body
    lines = [f"{line} HTTP/{version}", host, "Connection: close", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(filter(None, lines)).encode("latin-1") + b"\r\n\r\n" + body


def assert_problem(answer: bytes, status: int) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer[:300]
    assert b"\r\nContent-Type: application/problem+json" in head, head
    assert json.loads(body)["status"] == status


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@contextlib.contextmanager
def no_line(web: ProcfileStack) -> Iterator[None]:
    """Nothing is logged in this block."""
    before = web.log_path("web").stat().st_size
    yield
    with web.log_path("web").open("rb") as log:
        log.seek(before)
        assert log.read().decode() == ""
