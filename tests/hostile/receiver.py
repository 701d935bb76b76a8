"""A webhook receiver on loopback; the path decides how it answers or misbehaves.

Owns the misbehaviour. Counts its requests by path.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Callable

READ_SECONDS = 5.0
SLOW_SECONDS = 4.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


def _drip(sock: socket.socket) -> None:
    """Send single bytes, each of which renews the socket's timeout."""
    deadline = time.monotonic() + SLOW_SECONDS
    for letter in OK * 10:
        if time.monotonic() > deadline:
            return
        sock.sendall(bytes([letter]))
        time.sleep(0.1)


def _pour(sock: socket.socket) -> None:
    """Send endless headers."""
    sock.sendall(b"HTTP/1.1 200 OK\r\n")
    deadline = time.monotonic() + SLOW_SECONDS
    while time.monotonic() < deadline:
        sock.sendall(b"X-Flood: " + b"x" * 1_000 + b"\r\n")


def _reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


def _say(answer: bytes) -> Callable[[socket.socket], None]:
    return lambda sock: sock.sendall(answer)


MANNERS: dict[str, Callable[[socket.socket], None]] = {
    "ok": _say(OK),
    "no_content": _say(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "garbage": _say(bytes(range(256)) * 20),
    "nothing": _say(b""),
    "half_line": _say(b"HTTP/1.1 20"),
    "half_body": _say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf"),
    "control": _say(b"HTTP/1.1 500 \x1b[31m\rerased\x07\r\nContent-Length: 0\r\n\r\n"),
    "control_garbage": _say(b"\x1b]0;title\x07\x1b[2J\r\r\n\r\n"),
    "status_99999": _say(b"HTTP/1.1 99999 Odd\r\n\r\n"),
    "status_0": _say(b"HTTP/1.1 000 Odd\r\n\r\n"),
    "status_words": _say(b"HTTP/1.1 OK 200\r\n\r\n"),
    "status_minus": _say(b"HTTP/1.1 -200 OK\r\n\r\n"),
    "http_9": _say(b"HTTP/9.9 200 OK\r\n\r\n"),
    "continue": _say(b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + OK),
    "continue_only": _say(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "redirect": _say(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"),
    "gone": _say(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"),
    "long_line": _say(b"HTTP/1.1 200 " + b"O" * 100_000 + b"\r\n\r\n"),
    "long_header": _say(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n"),
    "many_headers": _say(b"HTTP/1.1 200 OK\r\n" + b"X-Many: x\r\n" * 2_000 + b"\r\n"),
    "odd_length": _say(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "surrogates": _say(b"HTTP/1.1 500 caf\xe9 \xed\xb3\xa9\r\n\r\n"),
    "newlines": _say(b"\r\n" * 70_000),
    "drip": _drip,
    "pour": _pour,
    "reset": _reset,
    "slow": lambda sock: time.sleep(SLOW_SECONDS),
}
DELIVERED = frozenset({"ok", "no_content", "continue", "half_body"})


class Receiver:
    """Listens on a port of its own; each connection has a thread."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        lock = threading.Lock()
        seen = self.seen

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.settimeout(READ_SECONDS)
                with contextlib.suppress(OSError, ValueError, IndexError):
                    path = _read_request(self.request)
                    with lock:
                        seen[path] += 1
                    MANNERS[path.split("/")[1] if path.split("/")[1] in MANNERS else "ok"](self.request)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            request_queue_size = 100

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _read_request(sock: socket.socket) -> str:
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(65_536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    while len(body) < length:
        part = sock.recv(65_536)
        if not part:
            break
        body += part
    return head.split(b" ")[1].decode("latin1")
