"""gunicorn's threaded worker class, changed so that a thread gets complete requests only: slow clients block no thread.

gunicorn passes a connection to one of its few threads at the first byte or earlier, and the thread then waits for the
rest; as many slow clients as threads block the process. Here the event loop buffers the bytes. A connection whose
request is incomplete in time is closed; a request that is too large is refused before its body is read. Must not import
Django: gunicorn's parent loads this module.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from collections import deque
from functools import partial
from typing import Any, Final

from gunicorn.http.errors import (
    ConfigurationProblem,
    ExpectationFailed,
    InvalidHTTPVersion,
    InvalidResponseHeader,
    InvalidResponseHeaderName,
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
    UnsupportedTransferCoding,
)
from gunicorn.workers.gthread import TConn, ThreadWorker

from longtasks.http.request_head import HEADER_BYTES, Refused, problem_answer, read_head

GATHER_SECONDS: Final = 20.0  # from the first read to the last byte of the body
CLOSING_SECONDS: Final = 2.0  # for a client to close its end after a response with `Connection: close`
SEND_SECONDS: Final = 20.0  # for a client that does not read its response
GATHERED_BYTES: Final = 64 * 1024 * 1024  # total size of a process's incomplete requests
READ_BYTES: Final = 64 * 1024
TURN_SECONDS: Final = 0.0002  # pause in which another web process may accept
_END: Final = b"\r\n\r\n"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
# The process or the system has no file descriptor or memory for another connection, until others are closed.
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
EXHAUSTED_SECONDS: Final = 0.5  # until the next try to accept
_WARNING_SECONDS: Final = 60.0
# gunicorn's errors and the status of their response; all other ParseExceptions give 400.
_STATUSES: Final[tuple[tuple[type[Exception], int], ...]] = (
    (InvalidResponseHeader, 500),
    (InvalidResponseHeaderName, 500),
    (ConfigurationProblem, 500),
    (LimitRequestLine, 414),
    (LimitRequestHeaders, 431),
    (ExpectationFailed, 417),
    (UnsupportedTransferCoding, 501),
    (InvalidHTTPVersion, 505),
    (ParseException, 400),
)


class PatientConnection(TConn):  # type: ignore[misc]
    """A connection with the buffered bytes of its incomplete request."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.gathered = bytearray()
        self.searched = 0  # first bytes of `gathered` that do not contain the end of the head
        self.wanted = 0  # size of the whole request; 0: not known yet
        self.is_closed = False
        self.is_refused = False

    def init(self) -> None:
        """Prepare for a request. Called for each request where it is answered: in a thread or in the event loop."""
        super().init()
        self.sock.settimeout(SEND_SECONDS)

    def read(self) -> None:
        """Read the bytes that have arrived. Raises BlockingIOError if there are none."""
        data = self.sock.recv(READ_BYTES)
        if not data:
            self.is_closed = True
        self.gathered += data

    def is_complete(self) -> bool:
        """Return whether a whole request has arrived. Raises Refused."""
        if not self.wanted:
            if self.gathered.startswith((b"\r", b"\n")):
                del self.gathered[: len(self.gathered) - len(self.gathered.lstrip(b"\r\n"))]
                self.searched = 0
            # Search only what is new: a client may send its head byte by byte.
            end = self.gathered.find(_END, max(0, self.searched - len(_END)), HEADER_BYTES)
            if end < 0:
                self.searched = len(self.gathered)
                if len(self.gathered) >= HEADER_BYTES:
                    raise Refused(431)
                return False
            head = read_head(bytes(self.gathered[: end + 2]))
            self.wanted = end + len(_END) + head.body_bytes
            if head.expects_continue and len(self.gathered) < self.wanted:
                with contextlib.suppress(BlockingIOError):
                    self.sock.send(_CONTINUE)
        return len(self.gathered) >= self.wanted

    def hand_over(self) -> bytes:
        """Pass the complete request to the parser and return it; the bytes of the next request stay in `gathered`."""
        request = bytes(self.gathered[: self.wanted])
        del self.gathered[: self.wanted]
        self.searched = self.wanted = 0
        self.data_ready = True
        super().init()
        self.parser.unreader.unread(request)
        return request


class PatientWorker(ThreadWorker):  # type: ignore[misc]
    """Buffers requests in the event loop; its threads get complete requests only."""

    connection_class: type[PatientConnection] = PatientConnection
    gathered_bytes = 0
    accepts_at_once = (
        1  # raised under load only; otherwise one process would accept connections that idle ones could serve
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.closing_conns: deque[PatientConnection] = deque()
        self._accepts_after = self._warns_after = 0.0

    def accept(self, listener: Any) -> None:
        if self.nr_conns > 1 and self.accepts_at_once == 1:
            # On few cores, the running process would otherwise accept every waiting connection and starve its siblings.
            time.sleep(TURN_SECONDS)
        for _ in range(self.accepts_at_once):
            if self.nr_conns >= self.worker_connections:
                return
            try:
                sock, address = listener.accept()
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._pause_accepting(error)
                elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                    raise
                return
            self.nr_conns += 1
            self._gather(self.connection_class(self.cfg, sock, address, listener.getsockname()))

    def _pause_accepting(self, error: OSError) -> None:
        """Leave new connections in the listener's backlog for a moment; gunicorn's loop tries again within a second."""
        now = time.monotonic()
        self._accepts_after = now + EXHAUSTED_SECONDS
        self.set_accept_enabled(False)
        if now >= self._warns_after:
            self._warns_after = now + _WARNING_SECONDS
            self.log.error(
                "no new connection can be accepted: %s; %s are open. Raise the limit of open files (RLIMIT_NOFILE).",
                error.strerror,
                self.nr_conns,
            )

    def set_accept_enabled(self, enabled: bool) -> None:
        if not enabled or time.monotonic() >= self._accepts_after:
            super().set_accept_enabled(enabled)

    def handle_request(self, req: Any, conn: Any) -> Any:
        # If the client waited for 100 Continue, the event loop has sent it; gunicorn would send it a second time.
        req._expected_100_continue = False
        return super().handle_request(req, conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer a request that gunicorn's parser refuses with problem+json. Client errors are not logged."""
        status = next((status for kind, status in _STATUSES if isinstance(exc, kind)), 500)
        if status == 500:
            self.log.error("a request failed outside the application", exc_info=exc)
        detail = f"The request is malformed. {exc}" if status == 400 else ""
        with contextlib.suppress(OSError):
            client.sendall(problem_answer(status, detail))

    def on_client_socket_readable(self, conn: Any, client: Any) -> None:
        """Handle the next request of a connection that was kept alive."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._gather(conn)

    def on_pending_socket_readable(self, conn: Any, client: Any) -> None:
        """Handle more bytes of an incomplete request."""
        if self._dequeue(conn):
            self.poller.unregister(client)
            self.pending_conns.remove(conn)
            self._pass_on(conn)

    def finish_request(self, conn: Any, fs: Any) -> None:
        keeps_alive = not fs.cancelled() and fs.exception() is None and fs.result()
        if not keeps_alive:
            self._let_go(conn)
        elif conn.gathered:
            # These bytes have already been read from the socket, so the poller would not report them.
            conn.sock.setblocking(False)
            self._gather(conn)
        else:
            super().finish_request(conn, fs)

    def _cap_keepalive(self, deadline: float) -> None:
        """At shutdown, wait for slow clients no longer than for silent ones."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def murder_pending(self) -> None:
        super().murder_pending()
        now = time.monotonic()
        while self.closing_conns and self.closing_conns[0].timeout <= now:
            self._close(self.closing_conns[0])
        self.gathered_bytes = sum(len(conn.gathered) for conn in self.pending_conns)

    def _let_go(self, conn: PatientConnection) -> None:
        """Close our end now, and the connection when the client has closed its end or CLOSING_SECONDS have passed.

        If we closed the connection with unread bytes, the kernel would send a reset, and the client could lose the
        response. gunicorn's own code waits for the client in the event loop, which would block it.
        """
        conn.timeout = time.monotonic() + CLOSING_SECONDS
        self.closing_conns.append(conn)
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
            self.poller.register(conn.sock, 1, partial(self._drain, conn))  # selectors.EVENT_READ
        except (OSError, ValueError):
            self._close(conn)

    def _drain(self, conn: PatientConnection, client: Any) -> None:
        try:
            if conn.sock.recv(READ_BYTES):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._close(conn)

    def _close(self, conn: PatientConnection) -> None:
        with contextlib.suppress(OSError, KeyError, ValueError):
            self.poller.unregister(conn.sock)
        self.closing_conns.remove(conn)
        self.nr_conns -= 1
        conn.close()

    def _gather(self, conn: PatientConnection) -> None:
        """Read the bytes that have arrived; wait in the event loop for the rest."""
        if self._dequeue(conn):
            self._pass_on(conn)
            return
        conn.timeout = time.monotonic() + GATHER_SECONDS
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, 1, partial(self.on_pending_socket_readable, conn))  # selectors.EVENT_READ

    def _dequeue(self, conn: PatientConnection) -> bool:
        """Read from a connection. Return whether its request is complete, refused, or its client disconnected."""
        before = len(conn.gathered)
        try:
            if conn.gathered and conn.is_complete():
                return True
            conn.read()
            if conn.is_closed or conn.is_complete():
                return True
            self.gathered_bytes += len(conn.gathered) - before
            if self.gathered_bytes > GATHERED_BYTES:
                raise Refused(503)
        except BlockingIOError:
            return False
        except Refused as refused:
            conn.is_closed = conn.is_refused = True
            with contextlib.suppress(OSError):
                conn.sock.send(refused.as_answer())
        except OSError:
            conn.is_closed = True
        return conn.is_closed

    def _pass_on(self, conn: PatientConnection) -> None:
        if conn.is_refused:
            conn.gathered.clear()
            self._let_go(conn)
            return
        if conn.is_closed:
            self.nr_conns -= 1
            conn.close()
            return
        conn.hand_over()
        self.enqueue_req(conn)
