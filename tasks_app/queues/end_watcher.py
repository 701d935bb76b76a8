"""Notifies waiting requests when their tasks end, with one thread and one subscription per process.

Owns the subscription to the channels `longtasks:ended:{id}`, on which lua/transition.lua publishes a task's last
snapshot. A message may be lost (a broken connection, a worker of an older version, an end by RQ's own tools), so all
watched tasks are also read periodically. Must not know SQL or HTTP.
"""

from __future__ import annotations

import heapq
import logging
import os
import select
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from queue import Empty, SimpleQueue
from typing import Any, Final

from tasks_app.domain import task_snapshot
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.errors import QueueUnavailable
from tasks_app.queues import job_snapshots, redis_connection
from tasks_app.queues.redis_py_internals import get_socket

logger = logging.getLogger(__name__)

PREFIX: Final = "longtasks:ended:"  # the prefix alone is the channel of no task: it keeps the subscription open
READ_AGAIN_SECONDS: Final = 2.0
RECONNECT_SECONDS: Final = 0.5
_PAGE: Final = 50  # snapshots read in one round trip


@dataclass(eq=False, slots=True)
class Watch:
    """A request that waits for a task's end until `deadline` (time.monotonic).

    `notify` is called once, in the watcher's thread: with the ended task, or at the deadline with the task as it is in
    Redis, None if it is not there.
    """

    task_id: str
    deadline: float
    notify: Callable[[Snapshot | None], None]


class EndWatcher:
    """Watches tasks until they end. `watch` and `drop` must be called in one thread; both return at once."""

    def __init__(self) -> None:
        self._requests: SimpleQueue[tuple[Watch, bool]] = SimpleQueue()
        self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_reader, False)
        os.set_blocking(self._wake_writer, False)
        self._thread: threading.Thread | None = None
        # Only the watcher's thread uses the attributes below.
        self._watches: dict[str, set[Watch]] = {}
        self._deadlines: list[tuple[float, int, Watch]] = []  # a heap; dropped watches stay in it until their deadline
        self._numbers = count()
        self._subscribed: set[str] = set()
        self._pubsub: Any = None
        self._connects_after = 0.0
        self._queries_after = 0.0  # in the future while Redis does not answer
        self._reads_after = 0.0
        self._unread: list[str] = []  # watched tasks that this round has not read yet

    def watch(self, watch: Watch) -> None:
        """Watch a task until its end or the deadline."""
        self._request(watch, True)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="end-watcher", daemon=True)
            self._thread.start()

    def drop(self, watch: Watch) -> None:
        """Forget a watch. It may already have been notified."""
        self._request(watch, False)

    def _request(self, watch: Watch, wanted: bool) -> None:
        self._requests.put((watch, wanted))
        with suppress(BlockingIOError):  # the pipe is full, so the thread wakes anyway
            os.write(self._wake_writer, b"\0")

    def _run(self) -> None:
        while True:
            try:
                self._turn()
            except Exception:
                logger.exception("the watcher of task ends failed and continues")
                self._disconnect()

    def _turn(self) -> None:
        self._wait()
        self._apply_requests()
        now = time.monotonic()
        due = list(self._pop_due(now))
        found: dict[str, Snapshot] = {}
        self._query_redis(found, due, now)
        for task_id, snapshot in found.items():
            if snapshot.ended:
                for watch in self._watches.pop(task_id, ()):
                    watch.notify(snapshot)
        for watch in due:
            if self._discard(watch):
                watch.notify(found.get(watch.task_id))

    def _wait(self) -> None:
        """Block until there is something to do."""
        now = time.monotonic()
        sockets: list[Any] = [self._wake_reader]
        times = [self._deadlines[0][0]] if self._deadlines else []
        if self._watches:
            times.append(self._reads_after)
        if self._pubsub is not None:
            sockets.append(get_socket(self._pubsub.connection))
            if len(self._subscribed) > len(self._watches):
                times.append(now)  # to unsubscribe
        elif self._watches:
            times.append(self._connects_after)
        select.select(sockets, [], [], max(0.0, min(times) - now) if times else None)
        with suppress(BlockingIOError):
            while os.read(self._wake_reader, 4096):
                pass

    def _apply_requests(self) -> None:
        with suppress(Empty):
            while True:
                watch, is_wanted = self._requests.get_nowait()
                if is_wanted:
                    self._watches.setdefault(watch.task_id, set()).add(watch)
                    heapq.heappush(self._deadlines, (watch.deadline, next(self._numbers), watch))
                else:
                    self._discard(watch)

    def _discard(self, watch: Watch) -> bool:
        watches = self._watches.get(watch.task_id, set())
        if watch not in watches:
            return False
        watches.remove(watch)
        if not watches:
            del self._watches[watch.task_id]
        return True

    def _pop_due(self, now: float) -> Iterable[Watch]:
        while self._deadlines and self._deadlines[0][0] <= now:
            yield heapq.heappop(self._deadlines)[2]

    def _query_redis(self, found: dict[str, Snapshot], due: list[Watch], now: float) -> None:
        """Add the tasks that have ended and those that are due to `found`, as far as Redis answers."""
        confirmed: set[str] = set()
        if self._pubsub is not None or (self._watches and now >= self._connects_after):
            try:
                confirmed = self._listen(found)
            except QueueUnavailable:
                self._disconnect()
        if now >= self._queries_after:
            try:
                self._read(found, confirmed | {watch.task_id for watch in due}, now)
            except QueueUnavailable:
                self._disconnect()
                self._queries_after = self._reads_after = self._connects_after

    def _listen(self, found: dict[str, Snapshot]) -> set[str]:
        """Subscribe to the watched tasks, unsubscribe from all others, and read the messages.

        Adds published ends to `found`. Returns the tasks whose subscription Redis has confirmed.
        """
        with redis_connection.mapped_redis_errors():
            if self._pubsub is None:
                self._pubsub = redis_connection.get_connection().pubsub()
                self._pubsub.subscribe(PREFIX)
            if new := self._watches.keys() - self._subscribed:
                self._pubsub.subscribe(*(PREFIX + task_id for task_id in new))
                self._subscribed |= new
            if gone := self._subscribed - self._watches.keys():
                self._pubsub.unsubscribe(*(PREFIX + task_id for task_id in gone))
                self._subscribed -= gone
            return self._read_messages(found)

    def _read(self, found: dict[str, Snapshot], wanted: set[str], now: float) -> None:
        """Read the wanted tasks and, if it is time, the next page of all watched tasks.

        A task is wanted when Redis confirms its subscription: it may have ended before.
        """
        if now >= self._reads_after:
            # In pages: reading thousands at once would hold the interpreter's lock and block the event loop.
            self._unread = [task_id for task_id in self._unread if task_id in self._watches] or list(self._watches)
            wanted.update(self._unread[:_PAGE])
            del self._unread[:_PAGE]
            self._reads_after = now + READ_AGAIN_SECONDS * _PAGE / max(_PAGE, len(self._watches))
        ids = [task_id for task_id in wanted if task_id in self._watches and task_id not in found]
        for start in range(0, len(ids), _PAGE):
            page = ids[start : start + _PAGE]
            for task_id, snapshot in zip(page, job_snapshots.get_snapshots(page), strict=True):
                if snapshot is not None:
                    found[task_id] = snapshot

    def _read_messages(self, found: dict[str, Snapshot]) -> set[str]:
        """Add published ends to `found`. Returns the tasks whose subscription Redis has confirmed."""
        confirmed = set()
        while (message := self._pubsub.get_message(timeout=0)) is not None:
            task_id = message["channel"].decode(errors="replace").removeprefix(PREFIX)
            if message["type"] == "subscribe":
                confirmed.add(task_id)
            elif (
                message["type"] == "message"
                and (snapshot := task_snapshot.decode_if_valid(message["data"])) is not None
            ):
                found[task_id] = snapshot
        return confirmed

    def _disconnect(self) -> None:
        """Close the connection after an error; the next one is made after RECONNECT_SECONDS."""
        self._connects_after = time.monotonic() + RECONNECT_SECONDS
        self._subscribed.clear()
        pubsub, self._pubsub = self._pubsub, None
        if pubsub is not None:
            with suppress(Exception):
                pubsub.close()
