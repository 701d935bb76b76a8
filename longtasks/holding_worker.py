"""The gunicorn worker class of web: its event loop holds requests that wait for a task's end (`?wait=`, `Prefer: wait`).

Owns the held requests: their maximum number, and that each is resumed exactly once: at its task's end, at its deadline,
when its client disconnects or when the worker shuts down. A held request is a paused call
(tasks_app/queues/pipelined_connection.py): it occupies no thread and no database connection. A paused call continues
in the thread that started it: the event loop's thread or, if the event loop cannot wait for Redis (see
together_worker), one thread that all such requests share. Must not import Django: gunicorn's parent loads this module.
"""

from __future__ import annotations

import contextlib
import resource
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from longtasks.together_worker import ROUND_REQUESTS, TogetherConnection, TogetherWorker

PLACES: Final = 2000  # held requests per process; a further request is answered without waiting
HELD_BYTES: Final = 32 * 1024 * 1024  # total size of a process's held requests
OVERDUE_SECONDS: Final = 0.5  # after a request's deadline: the watcher may still wait for Redis
_SWEEP_SECONDS: Final = 1.0


@dataclass(eq=False, slots=True)
class Held:
    """A request that waits; `watch` is None until it is registered with the watcher."""

    conn: TogetherConnection
    paused: Any
    deadline: float
    is_aside: bool  # started in the shared thread
    watch: Any = None


def _fail_unloaded(*_: Any, **__: Any) -> None:
    """Stand in for the application's functions until `load_wsgi` has imported them."""
    raise RuntimeError("a request arrived before load_wsgi")


class HoldingWorker(TogetherWorker):
    """Holds requests that wait for a task's end."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._held: set[Held] = set()
        self._held_bytes = 0
        self._woken: deque[tuple[Any, Any]] = deque()
        self._resume: Callable[[Sequence[tuple[Any, Any]]], None] = _fail_unloaded
        self._run_aside: Callable[..., object] = _fail_unloaded
        self._ready_aside: deque[TogetherConnection] = deque()
        self._aside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="waits")
        self._watcher: Any = None
        self._refusal: Any = None
        self._sweeps_after = 0.0
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        # Half of the connections are reserved for requests that do not wait.
        self._places = min(PLACES, self.worker_connections // 2, files // 2)

    def load_wsgi(self) -> None:
        super().load_wsgi()
        from tasks_app.queues.end_watcher import EndWatcher, Watch
        from tasks_app.queues.pipelined_connection import CannotPause
        from tasks_app.queues.request_connection import resume, run_concurrently

        self._watcher, self._make_watch = EndWatcher(), Watch
        self._run_aside, self._resume, self._refusal = run_concurrently, resume, CannotPause()

    def enqueue_req(self, conn: Any) -> None:
        if not conn.may_wait or self.is_for_loop(conn):
            super().enqueue_req(conn)
            return
        self._ready_aside.append(conn)
        self._aside.submit(self._answer_aside)

    def _answer_aside(self) -> None:
        """Run the requests that have arrived concurrently, until each waits or is answered. Runs in the shared thread."""
        conns: list[TogetherConnection] = []
        with contextlib.suppress(IndexError):
            while len(conns) < ROUND_REQUESTS:
                conns.append(self._ready_aside.popleft())

        def answer(conn: TogetherConnection) -> None:
            conn.sock.hold()
            keeps_alive = self.handle(conn)
            self.method_queue.defer(self.send_answer, conn, keeps_alive)

        def ask_for_place(index: int, paused: Any, wait: Any) -> bool:
            self.method_queue.defer(self._hold_aside, conns[index], paused, wait)
            return True

        if conns:
            self._run_aside([partial(answer, conn) for conn in conns], on_pause=ask_for_place)

    def _hold_aside(self, conn: TogetherConnection, paused: Any, wait: Any) -> None:
        if not self.hold(conn, paused, wait, is_aside=True):
            self._aside.submit(self._resume, [(paused, self._refusal)])

    def hold(self, conn: TogetherConnection, paused: Any, wait: Any, *, is_aside: bool = False) -> bool:
        """Hold a request until its task ends. Return False if the limits are reached or this worker shuts down."""
        if not self.alive or len(self._held) >= self._places or self._held_bytes + conn.request_bytes > HELD_BYTES:
            return False
        held = Held(conn, paused, wait.deadline, is_aside)
        try:
            self.poller.register(conn.sock, 1, partial(self._on_readable, held))  # selectors.EVENT_READ
        except (OSError, ValueError):
            return False
        self._held.add(held)
        self._held_bytes += conn.request_bytes
        held.watch = self._make_watch(
            wait.task_id, wait.deadline, lambda snapshot: self.method_queue.defer(self._wake, held, snapshot)
        )
        self._watcher.watch(held.watch)
        return True

    def _wake(self, held: Held, snapshot: Any) -> None:
        """Resume a request with its task's `snapshot`. With None it answers the state from before the wait."""
        if held not in self._held:
            return  # already resumed for another reason
        self._held.remove(held)
        self._held_bytes -= held.conn.request_bytes
        with contextlib.suppress(OSError, KeyError, ValueError):
            self.poller.unregister(held.conn.sock)
        if held.is_aside:
            self._aside.submit(self._resume, [(held.paused, snapshot)])
        else:
            self._woken.append((held.paused, snapshot))

    def _wake_early(self, held: Held) -> None:
        self._watcher.drop(held.watch)
        self._wake(held, None)

    def _on_readable(self, held: Held, client: Any) -> None:
        """Handle a client that closes its end, or that sends its next request early."""
        try:
            data = held.conn.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            # The next request stays in the socket's kernel buffer until this one is answered.
            self.poller.unregister(client)
        else:
            # The client may have closed only its sending half. Answer it; if the client is gone, that is harmless.
            self._wake_early(held)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        super().wait_for_and_dispatch_events(0 if self._woken else timeout)
        if self._woken:
            self._resume([self._woken.popleft() for _ in range(min(len(self._woken), ROUND_REQUESTS))])

    def murder_pending(self) -> None:
        super().murder_pending()
        now = time.monotonic()
        if now >= self._sweeps_after:
            self._sweeps_after = now + _SWEEP_SECONDS
            for held in [held for held in self._held if held.deadline + OVERDUE_SECONDS < now]:
                self._wake_early(held)

    def _cap_keepalive(self, deadline: float) -> None:
        """At shutdown, answer all held requests with the state from before their wait."""
        super()._cap_keepalive(deadline)
        for held in list(self._held):
            self._wake_early(held)
