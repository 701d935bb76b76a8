"""gunicorn's `asgi` worker with limits: on heads, bodies, memory, slow clients and connections.

Owns what gunicorn's worker and its protocol lack, and every use of their private parts;
tests/longtasks/server/test_gunicorn_internals.py fails when they change.
Requests reach gunicorn's parser one at a time, each once all of it is there (a chunked one once its head is). Must not
import Django: gunicorn's parent loads it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import os
import signal
import socket
import time
from functools import partial
from typing import Any, Final

from gunicorn.asgi.lifespan import LifespanManager
from gunicorn.asgi.protocol import ASGIProtocol
from gunicorn.workers.gasgi import ASGIWorker

from longtasks.http.request_head import BODY_BYTES, HEADER_BYTES, Refused, problem_answer, read_head

GATHER_SECONDS: Final = 20.0  # from the first byte of a request, or the connection's start, to its last byte
SEND_SECONDS: Final = 20.0  # for a client that does not read its answer
CLOSING_SECONDS: Final = 2.0  # for a client to close its end after the last answer
IDLE_SECONDS_AT_END: Final = 2.0  # in which a worker that is to end still answers a request on an idle connection
HELD_BACK_SECONDS: Final = 1.0  # whoever is refused for sending too many learns it a little later, and sends fewer
GATHERED_BYTES: Final = 64 * 1024 * 1024  # of all connections of this process together
AHEAD_BYTES: Final = 64 * 1024  # of the requests that a client sends before it has its answer; then its socket waits
CHUNKED_BYTES: Final = 2 * BODY_BYTES  # of a chunked body with its chunks' sizes
SWEEP_SECONDS: Final = 0.5
# No file for one more connection, of this process or of the system: those that are open will be closed.
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
EXHAUSTED_SECONDS: Final = 0.5  # until the next try to accept
TURN_SECONDS: Final = 0.001  # in which another process of web may accept
_WARNING_SECONDS: Final = 60.0
_END: Final = b"\r\n\r\n"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_NEVER: Final = math.inf


class BoundedProtocol(ASGIProtocol):  # type: ignore[misc]
    """One connection. Its time limits are checked in the worker's sweeps, because timers for each request cost more."""

    def __init__(self, worker: AsgiWorker) -> None:
        super().__init__(worker)
        self._gathered = bytearray()  # what has arrived and was not parsed
        self._request_bytes = 0  # of the request that is with the application
        self._counted = 0  # of both, in the worker's sum
        self._searched = 0  # bytes in which the head does not end
        self._wanted = 0  # bytes of the whole request; 0: not known yet
        self._chunked_bytes = 0  # of a chunked body so far; 0: the request is not chunked, or complete
        self._body_bytes = 0  # of it, without the chunks' sizes
        self._is_busy = False  # a request is with the application
        self._has_ended = False  # the client has closed its half
        self._is_lingering = False
        self._closed: bool = False
        self._deadline = worker.loop.time() + GATHER_SECONDS
        self._send_deadline = _NEVER

    # From the client

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.worker.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._is_lingering:
            return
        if not self._gathered and not self._is_busy:
            self._deadline = self.worker.loop.time() + GATHER_SECONDS
        self._gathered += data
        if not self._is_busy:
            self._advance()
        elif self._chunked_bytes:
            self._feed_chunks()
        elif len(self._gathered) > AHEAD_BYTES:
            self._pause_reading()
        if len(self._gathered) + self._request_bytes != self._counted:
            self._count()

    def eof_received(self) -> bool:
        """Answer a client that has closed its half alone; it is not waited for any more."""
        self._has_ended = True
        if self._is_lingering or not self._is_busy or self._chunked_bytes:
            return False
        self._notify_end()
        return True

    def _notify_end(self) -> None:
        receiver = self._body_receiver
        if not self._is_busy or receiver is None:
            return
        if receiver._body_finished:
            receiver.signal_disconnect()
        else:  # the application has not read the body yet, and would take it for cut off
            self.worker.loop.call_later(0.01, self._notify_end)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._end_request()
        self._gathered.clear()
        self._count()
        self.worker.forget(self)

    # Gathering

    def _advance(self) -> None:
        """Pass the next request on if it is there."""
        try:
            if self._is_complete():
                self._begin()
        except Refused as refused:
            self.refuse(refused.status, refused.detail)

    def _is_complete(self) -> bool:
        gathered = self._gathered
        if not self._wanted:
            if gathered.startswith((b"\r", b"\n")):
                del gathered[: len(gathered) - len(gathered.lstrip(b"\r\n"))]
                self._searched = 0
            # Not from the beginning each time: a client may send its head byte by byte.
            end = gathered.find(_END, max(0, self._searched - len(_END)), HEADER_BYTES)
            if end < 0:
                self._searched = len(gathered)
                if len(gathered) >= HEADER_BYTES:
                    raise Refused(431)
                return False
            head = read_head(bytes(gathered[: end + 2]))
            self._searched = end + 2
            self._chunked_bytes = 1 if head.is_chunked else 0
            self._wanted = end + len(_END) + head.body_bytes
            if head.expects_continue and len(gathered) <= self._searched + 2:
                self._safe_write(_CONTINUE)
        return len(gathered) >= self._wanted

    def _begin(self) -> None:
        self._is_busy = True
        self.worker.busy += 1
        wait_seconds = self._find_wait_seconds()
        if wait_seconds:
            # Refused at once, clients that send the next request then would keep this loop from all others.
            self._pause_reading()
            later = partial(self.refuse, 429, retry_after_seconds=math.ceil(wait_seconds))
            self.worker.loop.call_later(HELD_BACK_SECONDS, later)
            return
        request = bytes(self._gathered[: self._wanted])
        self._request_bytes = len(request)
        del self._gathered[: self._wanted]
        self._searched = self._wanted = 0
        if not self._chunked_bytes:
            self._deadline = _NEVER
        if not super()._feed_callback_parser(request):
            return
        if self._chunked_bytes:
            if self._body_receiver is not None:
                self._body_receiver.expect_continue = False  # sent above, if it was asked for
            self._feed_chunks()
        elif not self._callback_parser.is_complete:
            self.refuse(400)

    def _find_wait_seconds(self) -> float:
        find = self.worker.find_wait_seconds
        if find is None:
            return 0.0
        client = self.transport.get_extra_info("peername")
        peer = client[0] if isinstance(client, tuple) else ""
        return float(find(bytes(self._gathered[: self._searched]), peer))

    def _feed_chunks(self) -> None:
        """Let gunicorn's parser read more of a chunked body, within the limit."""
        data = bytes(self._gathered)
        self._gathered.clear()
        self._chunked_bytes += len(data)
        if data and not super()._feed_callback_parser(data):
            return
        if self._body_bytes > BODY_BYTES:
            self.refuse(413)
        elif self._callback_parser.is_complete:
            self._chunked_bytes = 0
            self._deadline = _NEVER
        elif self._chunked_bytes > CHUNKED_BYTES:
            self.refuse(413)

    def _on_body(self, chunk: bytes) -> None:
        super()._on_body(chunk)
        if self._chunked_bytes:
            self._body_bytes += len(chunk)
            self._request_bytes += len(chunk)

    def _feed_callback_parser(self, data: bytes) -> bool:
        """gunicorn's loop gives back what has followed a chunked request."""
        self._gathered[:0] = data
        return True

    def _count(self) -> None:
        size = len(self._gathered) + self._request_bytes
        self.worker.gathered_bytes += size - self._counted
        self._counted = size
        if self.worker.gathered_bytes > GATHERED_BYTES and size and (self._chunked_bytes or not self._is_busy):
            self.refuse(503)

    # Answering

    async def _serve_http_request(self, request: Any, sockname: Any, peername: Any) -> bool:
        """Run one request in the connection's own task; gunicorn makes a second task for each."""
        keepalive = await self._handle_http_request(request, sockname, peername)
        self._end_request()
        self._chunked_bytes = self._body_bytes = 0
        # gunicorn's loop resets its parser first, and then waits.
        self.worker.loop.call_soon(self._begin_next)
        return bool(keepalive) and not self._has_ended

    def _end_request(self) -> None:
        if self._is_busy:
            self._is_busy = False
            self.worker.busy -= 1
        self._request_bytes = 0

    def _begin_next(self) -> None:
        if self._closed or self._is_busy:
            return
        if self._gathered:
            self._deadline = self.worker.loop.time() + GATHER_SECONDS
            self._advance()
        self._count()
        if not self._is_busy and not self._closed:
            self._resume_reading()

    def _arm_keepalive_timer(self) -> None:
        seconds = self._keepalive if self.worker.alive else IDLE_SECONDS_AT_END
        self._deadline = self.worker.loop.time() + (GATHER_SECONDS if self._gathered else seconds)

    def _cancel_keepalive_timer(self) -> None:
        """The deadline is set where a request begins."""

    def _is_websocket_upgrade(self, request: Any) -> bool:
        return False

    def _send_error_response(self, status: int, message: str, extra_headers: Any = ()) -> None:
        """Answer what gunicorn's parser refuses as a problem. What clients do wrong is not logged."""
        if not self._closed:
            self._safe_write(problem_answer(status, f"The request is malformed. {message}" if status == 400 else ""))

    def refuse(self, status: int, detail: str = "", *, retry_after_seconds: int = 2) -> None:
        """Answer with a problem, and close the connection."""
        if not self._closed:
            self._safe_write(problem_answer(status, detail, retry_after_seconds=retry_after_seconds))
            self._close_transport()

    # The end

    def pause_writing(self) -> None:
        super().pause_writing()
        self._send_deadline = self.worker.loop.time() + SEND_SECONDS

    def resume_writing(self) -> None:
        super().resume_writing()
        self._send_deadline = _NEVER

    def _close_transport(self) -> None:
        """Close our end, and the whole when the client has closed its own, or a little later.

        Closed at once, with bytes unread, the kernel would tell the client to forget the answer.
        """
        if self._closed or self.transport is None:
            return
        self._closed = True
        self._gathered.clear()
        if self._body_receiver is not None:
            self._body_receiver.signal_disconnect()
        if self._request_ready is not None:
            self._request_ready.set()  # gunicorn's loop sees that it has ended
        now = self.worker.loop.time()
        self._deadline, self._send_deadline = now + CLOSING_SECONDS, now + SEND_SECONDS
        self._is_lingering = True
        try:
            if self._has_ended or not self.transport.can_write_eof():
                self.transport.close()
            else:
                self.transport.write_eof()
                self._resume_reading()
        except (OSError, RuntimeError):
            self.transport.abort()

    def check_time(self, now: float) -> None:
        """Close the connection if a time limit has passed."""
        if now >= self._send_deadline:
            self.transport.abort()
        elif now < self._deadline:
            return
        elif self._is_lingering:
            if not self.transport.get_write_buffer_size():
                self.transport.abort()
        else:
            self._close_transport()

    def end_soon(self, deadline: float) -> None:
        """The worker is to end: wait no longer than this for a request."""
        if not self._is_busy or self._chunked_bytes:
            self._deadline = min(self._deadline, deadline)


class Listener:
    """A listening socket from which one process accepts, a few connections in each turn."""

    def __init__(self, worker: AsgiWorker, sock: socket.socket) -> None:
        self._worker, self._sock = worker, sock
        self._is_reading = self._is_closed = self.waits_for_room = False
        self._warns_after = 0.0
        sock.setblocking(False)
        self.resume()

    def resume(self) -> None:
        self.waits_for_room = not self._worker.has_room()
        if not self._is_reading and not self._is_closed and not self.waits_for_room:
            self._is_reading = True
            self._worker.loop.add_reader(self._sock.fileno(), self._accept)

    def close(self) -> None:
        self._pause()
        self._is_closed = True

    def _pause(self) -> None:
        if self._is_reading:
            self._is_reading = False
            self._worker.loop.remove_reader(self._sock.fileno())

    def _accept(self) -> None:
        worker = self._worker
        # A busy loop comes by rarely: it accepts more at once, else clients that come by the hundred wait for seconds.
        for _ in range(max(1, worker.busy // 4)):
            if not worker.has_room():
                self._pause()
                self.waits_for_room = True  # until a connection ends
                return
            try:
                sock, _ = self._sock.accept()
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._pause_exhausted(error)
                elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                    raise
                return
            worker.adopt(sock)
        if worker.nr_conns > 1:
            # Where cores are few, the process that is awake would take all of many clients, and keep them.
            self._pause()
            worker.loop.call_later(TURN_SECONDS, self.resume)

    def _pause_exhausted(self, error: OSError) -> None:
        """Leave new connections in the backlog for a moment."""
        self._pause()
        self._worker.loop.call_later(EXHAUSTED_SECONDS, self.resume)
        now = time.monotonic()
        if now >= self._warns_after:
            self._warns_after = now + _WARNING_SECONDS
            self._worker.log.error(
                "no new connection can be accepted: %s; %s are open. Raise the limit of open files (RLIMIT_NOFILE).",
                error.strerror,
                self._worker.nr_conns,
            )


class AsgiWorker(ASGIWorker):  # type: ignore[misc]
    """gunicorn's worker, with bounded connections and an orderly end."""

    find_wait_seconds: Any = None  # the application's early refusal: from a head and a peer, seconds; 0: none

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.alive: bool = True
        self.connections: set[BoundedProtocol] = set()
        self.gathered_bytes = self.busy = 0
        self._arriving: set[asyncio.Task[Any]] = set()
        self._listeners: list[Listener] = []
        self._ending: asyncio.Event | None = None

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """WEB_THREADS is the application's setting."""

    def load_wsgi(self) -> None:
        super().load_wsgi()
        self.find_wait_seconds = getattr(self.asgi, "find_wait_seconds", None)

    def init_signals(self) -> None:
        """Note signals that arrive before the loop runs: uvloop would forget them. `_serve` installs the loop's handlers."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, lambda *_: self.handle_exit_signal())
        signal.signal(signal.SIGQUIT, lambda *_: self.handle_quit_signal())
        signal.signal(signal.SIGINT, lambda *_: self.handle_quit_signal())
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGWINCH, signal.SIG_IGN)

    def handle_exit_signal(self) -> None:
        super().handle_exit_signal()
        if self._ending is not None:
            self._ending.set()

    def handle_quit_signal(self) -> None:
        super().handle_quit_signal()
        if self._ending is not None:
            self._ending.set()

    def has_room(self) -> bool:
        return len(self._arriving) + self.nr_conns < self.worker_connections

    def adopt(self, sock: socket.socket) -> None:
        """Serve a new connection."""
        task = self.loop.create_task(self.loop.connect_accepted_socket(lambda: BoundedProtocol(self), sock))
        self._arriving.add(task)
        task.add_done_callback(partial(self._on_arrived, sock))

    def _on_arrived(self, sock: socket.socket, task: asyncio.Task[Any]) -> None:
        self._arriving.discard(task)
        if task.cancelled() or task.exception() is not None:
            sock.close()

    def forget(self, connection: BoundedProtocol) -> None:
        self.connections.discard(connection)
        for listener in self._listeners:
            if listener.waits_for_room:
                listener.resume()

    async def _serve(self) -> None:
        self._ending = asyncio.Event()
        super().init_signals()
        self.lifespan = LifespanManager(self.asgi, self.log, self.state)
        await self.lifespan.startup()
        self._listeners = [Listener(self, sock.sock) for sock in self.sockets]
        sweeping = self.loop.create_task(self._sweep())
        while self.alive and self.ppid == os.getppid():
            self.notify()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), 1.0)
        self.alive = False
        await self._shutdown()
        sweeping.cancel()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = self.loop.time()
            for connection in list(self.connections):
                connection.check_time(now)

    async def _shutdown(self) -> None:
        """Accept nothing more; let waits and streams end, running requests finish and idle connections close."""
        for listener in self._listeners:
            listener.close()
        end_soon = getattr(self.asgi, "end_soon", None)
        if end_soon is not None:
            end_soon()
        now = self.loop.time()
        for connection in list(self.connections):
            connection.end_soon(now + IDLE_SECONDS_AT_END)
        deadline = now + self.cfg.graceful_timeout
        while self.nr_conns > 0 and self.loop.time() < deadline and not self._quick_shutdown:
            self.notify()
            await asyncio.sleep(0.05)
        if self.lifespan is not None and not self._quick_shutdown:
            await self.lifespan.shutdown()
