"""web's worker: gunicorn's `asgi` worker with bounded connections and an orderly end.

Owns: the connections of one process, its signals, and the order of its end. Must not: import Django, because gunicorn's
parent loads this module; or use gunicorn's private parts (gunicorn_internals).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from longtasks.server.connection import IDLE_SECONDS_AT_END, Connection
from longtasks.server.connection_counts import counts
from longtasks.server.gunicorn_internals import GunicornWorker
from longtasks.server.listener import Listener

SWEEP_SECONDS: Final = 0.5  # between two checks of all connections' time limits
SWEPT_AT_ONCE: Final = 25
HEARTBEAT_SECONDS: Final = 1.0


class AsgiWorker(GunicornWorker):
    """One process of web."""

    find_wait_seconds: Callable[[bytes, str], float] | None = None  # the application's early refusal, see load_wsgi

    find_streamed_bytes: Callable[[bytes], int] | None = None  # see load_wsgi

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.alive: bool = True
        self.connections: set[Connection] = set()
        self.gathered_bytes = 0  # of all connections' requests
        self.busy = 0  # requests that the application processes
        self.listeners: list[Listener] = []
        self._arriving: set[asyncio.Task[Any]] = set()
        self._ending: asyncio.Event | None = None

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Accept gunicorn's `threads`: WEB_THREADS is the application's setting."""

    def load_wsgi(self) -> None:
        """Load the application.

        It may have `find_wait_seconds(head, peer)`: for how long it refuses a request, or 0; and
        `find_streamed_bytes(head)`: how many bytes of a body it reads as they arrive, or 0 for a body to gather.
        """
        super().load_wsgi()
        self.find_streamed_bytes = getattr(self.asgi, "find_streamed_bytes", None)
        self.find_wait_seconds = getattr(self.asgi, "find_wait_seconds", None)

    # Signals

    def init_signals(self) -> None:
        """Note signals that arrive before the loop runs: uvloop would forget them. Until here they are blocked (pre_fork)."""
        handlers: dict[int, Any] = {
            signal.SIGTERM: lambda *_: self.handle_exit_signal(),
            signal.SIGQUIT: lambda *_: self.handle_quit_signal(),
            signal.SIGINT: lambda *_: self.handle_quit_signal(),
            signal.SIGUSR1: signal.SIG_IGN,
            signal.SIGWINCH: signal.SIG_IGN,
        }
        for number in self.SIGNALS:
            signal.signal(number, handlers.get(number, signal.SIG_DFL))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, handlers)

    def _watch_signals(self) -> None:
        """Replace those handlers by the loop's, each in one step: in between, a signal would kill the process."""
        for number, handle in (
            (signal.SIGTERM, self.handle_exit_signal),
            (signal.SIGQUIT, self.handle_quit_signal),
            (signal.SIGINT, self.handle_quit_signal),
            (signal.SIGUSR1, self.handle_usr1_signal),
            (signal.SIGABRT, self.handle_abort_signal),
        ):
            self.loop.add_signal_handler(number, handle)

    def handle_exit_signal(self) -> None:
        super().handle_exit_signal()
        self._wake()

    def handle_quit_signal(self) -> None:
        super().handle_quit_signal()
        self._wake()

    def _wake(self) -> None:
        if self._ending is not None:
            self._ending.set()

    # Connections

    def has_room(self) -> bool:
        """Return whether one more connection may be accepted."""
        return self.count_connections() < self.worker_connections

    def count_connections(self) -> int:
        """Return how many connections are open or being opened."""
        return len(self._arriving) + self.nr_conns

    def adopt(self, sock: socket.socket) -> None:
        """Serve a new connection."""
        task = self.loop.create_task(self.loop.connect_accepted_socket(lambda: Connection(self), sock))
        self._arriving.add(task)
        counts.note(self.count_connections())
        task.add_done_callback(partial(self._on_arrived, sock))

    def _on_arrived(self, sock: socket.socket, task: asyncio.Task[Any]) -> None:
        self._arriving.discard(task)
        if task.cancelled() or task.exception() is not None:
            sock.close()

    def forget(self, connection: Connection) -> None:
        """Give the place of a connection that has ended to the next one."""
        self.connections.discard(connection)
        counts.note(self.count_connections())
        for listener in self.listeners:
            if listener.waits_for_room:
                listener.resume()

    # From the start to the end

    async def serve(self) -> None:
        self._ending = asyncio.Event()
        self._watch_signals()
        await self.start_application()
        counts.begin(self.age)
        self.listeners = [Listener(self, sock.sock) for sock in self.sockets]
        sweeping = self.loop.create_task(self._sweep())
        while self.alive and self.ppid == os.getppid():
            self.notify()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), HEARTBEAT_SECONDS)
        self.alive = False
        await self._end()
        sweeping.cancel()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = self.loop.time()
            for position, connection in enumerate(list(self.connections), start=1):
                if connection in self.connections:
                    connection.check_time(now)
                if position % SWEPT_AT_ONCE == 0:
                    # A thousand slow clients that came together are closed together: requests get turns in between.
                    await asyncio.sleep(0)

    async def _end(self) -> None:
        """Accept nothing more; let waits and streams end, running requests finish and idle connections close."""
        for listener in self.listeners:
            listener.close()
        counts.end()
        end_soon = getattr(self.asgi, "end_soon", None)
        if end_soon is not None:
            end_soon()
        now = self.loop.time()
        for connection in list(self.connections):
            connection.end_soon(now + IDLE_SECONDS_AT_END)
        deadline = now + self.cfg.graceful_timeout
        while (self.nr_conns or self._arriving) and self.loop.time() < deadline and not self.must_end_at_once:
            self.notify()
            await asyncio.sleep(0.05)
        if not self.must_end_at_once:
            await self.stop_application()
