"""A gunicorn worker class whose event loop answers quick requests itself, and concurrently.

Owns which requests are quick. Passing a request to a thread and back costs two context switches, more than Django and
DRF cost; and Redis would receive each thread's commands separately and sync each to disk. Requests that may take long
(pages, lists) go to PatientWorker's threads. Must not import Django: gunicorn's parent loads this module.
"""

from __future__ import annotations

import contextlib
import errno
import math
import re
import socket
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from longtasks.http.request_head import problem_answer
from longtasks.patient_worker import SEND_SECONDS, PatientConnection, PatientWorker

# Requests that query Redis once and the database at most by primary key; then they may wait for the task's end.
QUICK: Final = re.compile(
    rb"(?:POST /tasks|(?:GET|HEAD) /tasks/[0-9a-fA-F-]{36})(\?wait=[0-9]{1,2})? HTTP/1\.1\r\n",
)
_PREFERS: Final = re.compile(rb"\r\nprefer:", re.IGNORECASE)  # Prefer: wait
ROUND_REQUESTS: Final = 64  # maximum requests per round; the others wait for the next round
SLOW_SECONDS: Final = 0.5  # a longer round means that Redis or the database hangs
# After a slow round, threads answer all requests for this time: a blocked loop answers nobody, not even /health/live.
THREADED_SECONDS: Final = 5.0

HELD_BACK_SECONDS: Final = 1.0  # delay of a 429 response, which slows down clients that send too many requests


class AnsweringSocket(socket.socket):
    """A client's socket that can buffer what is written, so that a response's head and body are sent together."""

    held: bytearray | None = None

    def settimeout(self, value: float | None) -> None:
        """Ignore the call while a response is buffered: that happens in the event loop, which must not block."""
        if self.held is None and value != self.gettimeout():  # avoids a needless system call
            super().settimeout(value)

    def setblocking(self, flag: bool) -> None:
        self.settimeout(None if flag else 0)

    def hold(self) -> None:
        """Buffer what is written from now on, and make the socket non-blocking."""
        self.settimeout(0)
        self.held = bytearray()

    def sendall(self, data: Any, flags: int = 0) -> None:
        if self.held is not None:
            self.held += data
            return
        try:
            super().sendall(data, flags)
        except TimeoutError:
            # gunicorn logs a timeout with its traceback; a client that reads too slowly counts as disconnected.
            raise BrokenPipeError(errno.EPIPE, "the client does not read its answer") from None

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        try:
            return super().sendfile(file, offset, count)
        except TimeoutError:
            raise BrokenPipeError(errno.EPIPE, "the client does not read its answer") from None

    def send_held(self) -> bytes:
        """Send the buffered response without blocking; return the rest that the socket did not accept. Raises OSError."""
        held, self.held = self.held or bytearray(), None
        try:
            sent = self.send(held) if held else 0
        except BlockingIOError:
            sent = 0
        return bytes(held[sent:])


class TogetherConnection(PatientConnection):
    """A connection that knows whether its request is quick."""

    is_quick = False
    may_wait = False  # the request may wait for a task's end
    request_bytes = 0  # size of the request that is being answered

    def __init__(self, cfg: Any, sock: Any, client: Any, server: Any) -> None:
        super().__init__(cfg, AnsweringSocket(fileno=sock.detach()), client, server)

    def hand_over(self) -> bytes:
        request = super().hand_over()
        quick = QUICK.match(request)
        self.is_quick = quick is not None
        self.may_wait = quick is not None and bool(
            quick[1] or _PREFERS.search(request, 0, request.index(b"\r\n\r\n") + 2)
        )
        self.request_bytes = len(request)
        return request


class Answered:
    """A completed future of an answered request, as `finish_request` expects it."""

    def __init__(self, keeps_alive: bool) -> None:
        self._keeps_alive = keeps_alive

    def cancelled(self) -> bool:
        return False

    def exception(self) -> None:
        return None

    def result(self) -> bool:
        return self._keeps_alive


class TogetherWorker(PatientWorker):
    """Answers quick requests in the event loop, round by round; threads answer the others."""

    connection_class = TogetherConnection
    _threaded_until = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ready: deque[TogetherConnection] = deque()
        self._run_together: Callable[..., object] | None = None
        self._find_wait_seconds: Callable[[bytes, str], float] | None = None
        self._held_back: deque[tuple[float, int, TogetherConnection]] = deque()

    def init_process(self) -> None:
        # gunicorn reads settings about twenty times per request, each time through three Python functions.
        self.cfg.__dict__.update({name: setting.get() for name, setting in self.cfg.settings.items()})
        super().init_process()

    def load_wsgi(self) -> None:
        super().load_wsgi()
        # Imported in the child: after HUP, modules that the parent has imported would keep their old code.
        from django.conf import settings

        from tasks_app.api.early_refusal import find_wait_seconds
        from tasks_app.queues.request_connection import run_concurrently

        self._find_wait_seconds = find_wait_seconds
        if not settings.LONGTASKS.redis_wait_replicas:  # waiting for replicas is not quick
            self._run_together = run_concurrently

    def _pass_on(self, conn: Any) -> None:
        if not conn.is_closed and self._find_wait_seconds is not None:
            head = bytes(conn.gathered[: conn.gathered.find(b"\r\n\r\n") + 2])
            peer = conn.client[0] if isinstance(conn.client, tuple) else ""
            if wait_seconds := self._find_wait_seconds(head, peer):
                # Answered at once, clients that send their next request immediately would occupy this loop.
                conn.gathered.clear()
                self._held_back.append((time.monotonic() + HELD_BACK_SECONDS, math.ceil(wait_seconds), conn))
                return
        super()._pass_on(conn)

    def murder_pending(self) -> None:
        super().murder_pending()
        now = time.monotonic()
        while self._held_back and (self._held_back[0][0] <= now or not self.alive):
            _, wait_seconds, conn = self._held_back.popleft()
            conn.sock.setblocking(False)
            with contextlib.suppress(OSError):
                conn.sock.send(problem_answer(429, retry_after_seconds=wait_seconds))
            self._let_go(conn)

    def is_for_loop(self, conn: TogetherConnection) -> bool:
        """Return whether the event loop answers this request: it is quick, and the last rounds were not slow."""
        return conn.is_quick and self._run_together is not None and time.monotonic() >= self._threaded_until

    def enqueue_req(self, conn: Any) -> None:
        if self.is_for_loop(conn):
            self._ready.append(conn)
        else:
            conn.is_quick = False
            super().enqueue_req(conn)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        super().wait_for_and_dispatch_events(0 if self._ready else timeout)
        if self._ready and self._run_together is not None:
            self._answer_round(self._run_together)
        else:
            self.accepts_at_once = 1

    def _answer_round(self, run_together: Callable[..., object]) -> None:
        conns = [self._ready.popleft() for _ in range(min(len(self._ready), ROUND_REQUESTS))]
        # Accept several connections per iteration under load: with one per iteration, a burst of clients would wait for seconds.
        self.accepts_at_once = max(1, len(conns) // 4)
        began = time.monotonic()
        run_together(
            [partial(self._answer, conn) for conn in conns],
            on_pause=lambda index, paused, wait: self.hold(conns[index], paused, wait),
        )
        if time.monotonic() - began > SLOW_SECONDS:
            self._threaded_until = time.monotonic() + THREADED_SECONDS
            waiting, self._ready = self._ready, deque()
            for conn in waiting:
                self.enqueue_req(conn)

    def hold(self, conn: TogetherConnection, paused: Any, wait: Any) -> bool:
        """Return whether a request that wants to wait is held; this class holds none."""
        return False

    def _answer(self, conn: TogetherConnection) -> None:
        conn.sock.hold()
        self.send_answer(conn, self.handle(conn))

    def send_answer(self, conn: TogetherConnection, keeps_alive: bool) -> None:
        """Send the response that a connection's socket has buffered, without blocking the event loop."""
        conn.is_quick = False
        try:
            rest = conn.sock.send_held()
        except OSError:
            rest, keeps_alive = b"", False
        if not rest:
            self.finish_request(conn, Answered(keeps_alive))
            return
        # The client reads slowly: a thread may wait for it.
        future = self.tpool.submit(send_rest, conn.sock, rest, keeps_alive)
        future.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, conn, done))


def send_rest(sock: AnsweringSocket, rest: bytes, keeps_alive: bool) -> bool:
    """Send the rest of a response to a slow client; return whether the connection can be kept alive."""
    try:
        sock.settimeout(SEND_SECONDS)
        sock.sendall(rest)
    except OSError:
        return False
    return keeps_alive
