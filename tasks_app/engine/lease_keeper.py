"""The lease keeper: a thread of a worker process that renews the claim while a chunk runs, and watches the database.

Owns a connection of its own, so that it depends on nothing that the chunk holds; it dies with the process, or stands
still with it, and the claim runs out then. Must not decide what becomes of a task.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from django.conf import settings
from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from tasks_app.checkpoints import claims, shards
from tasks_app.checkpoints.claims import Claim
from tasks_app.database.error_causes import is_lost_connection
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.models import TaskCheckpoint

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.5
PROBE_SECONDS: Final = 2  # a server that does not answer one of its own questions for so long hangs
HUNG_PROBES: Final = 2


@dataclass(slots=True)
class _Watch:
    """What the worker's main thread is in at this moment."""

    claim: Claim | None
    shard: Snapshot | None
    limit_seconds: float
    began: float = field(default_factory=time.monotonic)
    renewed: float = field(default_factory=time.monotonic)
    is_canceled: bool = False
    interrupted_at: float = 0.0


class LeaseKeeper:
    """Renews the claim of the running chunk every third of a lease, until the chunk's time limit.

    Does nothing without `start` (in tests). The worker's main thread calls its methods.
    """

    def __init__(self, *, beat: Callable[[], None] = lambda: None) -> None:
        self._beat = beat
        self._main: BaseDatabaseWrapper = connections[router.db_for_write(TaskCheckpoint)]
        self._watch: _Watch | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._failed_probes = 0
        self._abandoned: list[int] = []  # server threads whose connection was cut while the server hung
        # Of the main thread's connection: the driver lets no second thread ask it.
        self._number = 0
        self._socket: socket.socket | None = None

    def start(self) -> None:
        """Start the thread, as a daemon: the process can end without it."""
        connection_created.connect(self._note_connection)
        if self._main.connection is not None:
            self._note_connection(sender=type(self._main), connection=self._main)
        self._thread = threading.Thread(target=self._run, name="lease-keeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and its connection; returns when both are gone, or after a moment."""
        self._stop.set()
        connection_created.disconnect(self._note_connection)
        if self._thread is not None:
            self._thread.join(PROBE_SECONDS)
        if self._socket is not None:
            self._socket.close()

    @contextmanager
    def watching(
        self, claim: Claim | None = None, *, shard: Snapshot | None = None, limit_seconds: float = math.inf
    ) -> Generator[Callable[[], bool], None, None]:
        """Keep `claim` alive inside; without one, only look whether the database still answers.

        Yields a function that tells whether the task shall be canceled, or is another worker's: known within a second,
        without SQL. May be nested; the innermost counts.
        """
        outer = self._watch
        watch = self._watch = _Watch(claim, shard, limit_seconds)
        try:
            yield lambda: watch.is_canceled
        finally:
            if outer is not None:
                outer.began = time.monotonic()  # the engine has made progress
            self._watch = outer

    def get_connection_id(self) -> int:
        """Return the server's number of the main thread's connection, 0 without one."""
        return self._number

    def _note_connection(self, sender: object, connection: BaseDatabaseWrapper, **_: object) -> None:
        """Remember the id and the socket of a connection that the main thread has just opened."""
        driver: Any = connection.connection
        if connection is self._main and connection.vendor == "mysql":
            if self._socket is not None:
                self._socket.close()
            # A second descriptor: the driver's own number may be another file's by the time it is needed.
            self._number, self._socket = driver.thread_id(), socket.socket(fileno=os.dup(driver.fileno()))

    # --- the thread

    def _run(self) -> None:
        lease_seconds = settings.LONGTASKS.lease_seconds
        with contextlib.suppress(Exception):
            self._open()  # now: when it is needed, the server may have none to give
        try:
            while not self._stop.wait(min(LOOK_SECONDS, lease_seconds / 6)):
                watch = self._watch
                if watch is None or time.monotonic() - watch.began < lease_seconds / 6:
                    continue  # most chunks are over before anybody has to know of them
                try:
                    self._look(watch, lease_seconds)
                except Exception:
                    logger.exception("the lease keeper could not look")
        finally:
            connections.close_all()  # this thread's

    def _look(self, watch: _Watch, lease_seconds: float) -> None:
        now = time.monotonic()
        overtime = now - watch.began - watch.limit_seconds
        # Python code meets its timeout by itself; what is in a statement is given a moment, and the claim one more.
        if overtime > min(1.0, lease_seconds / 6):
            # Since the interruption, not the limit: a process that stood still meets its timeout when it goes on.
            watch.interrupted_at = watch.interrupted_at or now
            if now - watch.interrupted_at > 2 * lease_seconds:
                logger.critical("the running chunk can be interrupted by nothing: this process kills itself")
                os.kill(os.getpid(), signal.SIGKILL)
            self._interrupt_statement()
        is_in_time = overtime < lease_seconds / 2
        try:
            self._ask(watch, renew=is_in_time and now - watch.renewed >= lease_seconds / 3)
            self._failed_probes = 0
        except Exception as error:
            connections[self._main.alias].close()
            if self._main.vendor == "mysql":  # SQLite: the chunk holds the one write lock, so nobody can take its claim
                logger.warning("the lease keeper gets no answer: %.200s", error)
                self._failed_probes += 1 if is_lost_connection(error) else 0
                if self._failed_probes >= HUNG_PROBES:
                    self._cut_off()
        if is_in_time:
            self._beat()

    def _ask(self, watch: _Watch, *, renew: bool) -> None:
        connection = self._open()
        while self._abandoned:
            self._kill(connection, f"KILL {self._abandoned.pop()}")
        if watch.claim is None:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            return
        watch.is_canceled = not claims.may_continue(watch.claim) or (
            watch.shard is not None and not shards.may_continue(watch.shard)
        )
        if renew and claims.renew(watch.claim):
            watch.renewed = time.monotonic()

    def _open(self) -> BaseDatabaseWrapper:
        """Return this thread's own connection, which waits for nothing for long."""
        connection = connections[self._main.alias]
        if connection.connection is None:
            if connection.vendor == "mysql":
                limits = dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), PROBE_SECONDS)
                connection.settings_dict = connection.settings_dict | {
                    "OPTIONS": connection.settings_dict["OPTIONS"] | limits
                }
            connection.ensure_connection()
            with connection.cursor() as cursor:
                if connection.vendor == "mysql":
                    # A chunk that is about to commit holds its checkpoint's row: it renews the claim itself. And who
                    # waits for a lock (FLUSH TABLES WITH READ LOCK, ALTER) does not mean that the server hangs.
                    cursor.execute(
                        "SET SESSION innodb_lock_wait_timeout = 1, lock_wait_timeout = 1, wait_timeout = 28800"
                    )
                else:
                    cursor.execute("PRAGMA busy_timeout = 200")
        return connection

    def _interrupt_statement(self) -> None:
        """Interrupt the statement that has outlasted the chunk's time: no signal reaches a thread that waits for it."""
        if self._number:
            with contextlib.suppress(Exception):
                self._kill(self._open(), f"KILL QUERY {self._number}")

    @staticmethod
    def _kill(connection: BaseDatabaseWrapper, statement: str) -> None:
        # "Unknown thread id": it has ended by itself.
        with contextlib.suppress(Exception), connection.cursor() as cursor:
            cursor.execute(statement)

    def _cut_off(self) -> None:
        """Cut the main thread's connection: the server hangs, and the main thread waits for an answer without end."""
        self._failed_probes = 0
        claim, self._socket = self._socket, None
        if claim is None:
            return
        self._abandoned.append(self._number)
        with claim, contextlib.suppress(OSError):
            claim.shutdown(socket.SHUT_RDWR)
        logger.warning("the database hangs: the connection of the running chunk was cut")
