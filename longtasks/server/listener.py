"""A listening socket of web: when this process accepts from it.

Owns: how many connections it accepts in one turn of the loop, which it leaves to other processes first, and the pause while
no place or no file is left.
Must not: serve a connection.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from typing import Any, Final, Protocol

from longtasks.server.connection_counts import counts

# This process or the system has no file for one more connection, until one is closed.
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_ALREADY_GONE: Final = (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK)
EXHAUSTED_SECONDS: Final = 0.5  # until the next try to accept
TURN_SECONDS: Final = 0.001  # in which another process of web may accept
LEADING_SECONDS: Final = 0.005  # the same, for a process that has more connections than another
_WARNING_SECONDS: Final = 60.0


class Acceptor(Protocol):
    """The worker that serves the accepted connections."""

    loop: asyncio.AbstractEventLoop
    log: Any
    busy: int  # requests that the application processes
    nr_conns: int

    def has_room(self) -> bool: ...

    def count_connections(self) -> int: ...

    def adopt(self, sock: socket.socket) -> None: ...


class Listener:
    """A listening socket from which one process accepts, a few connections in each turn."""

    def __init__(self, worker: Acceptor, sock: socket.socket) -> None:
        self._worker, self._sock = worker, sock
        self._is_reading = self._is_closed = self.waits_for_room = False
        self._warns_after = 0.0
        sock.setblocking(False)
        self.resume()

    def resume(self) -> None:
        """Accept again, if the worker has room."""
        self.waits_for_room = not self._worker.has_room()
        if not self._is_reading and not self._is_closed and not self.waits_for_room:
            self._is_reading = True
            self._worker.loop.add_reader(self._sock.fileno(), self._accept)

    def close(self) -> None:
        """Accept nothing more. The socket stays open: other processes accept from it."""
        self._pause()
        self._is_closed = True

    def _pause(self) -> None:
        if self._is_reading:
            self._is_reading = False
            self._worker.loop.remove_reader(self._sock.fileno())

    def _accept(self) -> None:
        if counts.find_lead(self._worker.count_connections()):
            # The others were woken too. If none of them accepts it, because it is busy or hung, this process does.
            self._pause()
            self._worker.loop.call_later(LEADING_SECONDS, self._accept_rest)
        else:
            self._accept_some()

    def _accept_rest(self) -> None:
        self.resume()
        if self._is_reading:
            self._accept_some()

    def _accept_some(self) -> None:
        worker = self._worker
        # The turns of a busy loop are long: with one connection in each, hundreds of new clients would wait for seconds.
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
                elif error.errno not in _ALREADY_GONE:
                    raise
                return
            worker.adopt(sock)
        if worker.count_connections() > 1:
            # With few cores, the process that runs at the moment would accept most of many clients, and keep them.
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
