"""The lease keeper: a thread of a worker process that renews the claim while a chunk runs, and watches the database.

Owns a connection of its own, so that it does not depend on locks of the chunk. It ends or stops with the process, and
then the lease expires. Must not decide what happens to a task.
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

from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from tasks_app.checkpoints import claims, shards
from tasks_app.checkpoints.claims import Claim
from tasks_app.conf import settings
from tasks_app.database.error_causes import is_lost_connection
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.models import TaskCheckpoint

logger = logging.getLogger(__name__)

CHECK_SECONDS: Final = 0.5
PROBE_SECONDS: Final = 2  # a server that leaves a query of the keeper unanswered for so long hangs
HUNG_PROBES: Final = 2


@dataclass(slots=True)
class _Watch:
    """What the worker's main thread is doing now."""

    claim: Claim | None
    shard: Snapshot | None
    limit_seconds: float
    began: float = field(default_factory=time.monotonic)
    renewed: float = field(default_factory=time.monotonic)
    is_canceled: bool = False
    interrupted_at: float = 0.0


class LeaseKeeper:
    """Renews the claim of the running chunk every third of a lease, until half a lease after the chunk's time limit.

    Does nothing without `start` (in tests). The worker's main thread calls its methods.
    """

    def __init__(self, *, beat: Callable[[], None] = lambda: None) -> None:
        self._beat = beat
        self._main: BaseDatabaseWrapper = connections[router.db_for_write(TaskCheckpoint)]
        self._watch: _Watch | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._failed_probes = 0
        self._abandoned: list[int] = []  # server ids of connections that were cut while the server hung
        # Of the main thread's connection: the driver does not allow a second thread to use it.
        self._connection_id = 0
        self._socket: socket.socket | None = None

    def start(self) -> None:
        """Start the thread, as a daemon: the process can end without it."""
        connection_created.connect(self._note_connection)
        if self._main.connection is not None:
            self._note_connection(sender=type(self._main), connection=self._main)
        self._thread = threading.Thread(target=self._run, name="lease-keeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and close its connection. Returns after PROBE_SECONDS at the latest."""
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
        """Renew `claim` inside the block; without a claim, only check whether the database still answers.

        Yields a function that returns, without SQL, whether a cancel was requested or another worker has the task; it is
        up to a second behind. May be nested; the innermost counts.
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
        """Return the server's id of the main thread's connection; 0 if there is none."""
        return self._connection_id

    def _note_connection(self, sender: object, connection: BaseDatabaseWrapper, **_: object) -> None:
        """Remember the id and the socket of a connection that the main thread has just opened."""
        driver: Any = connection.connection
        if connection is self._main and connection.vendor == "mysql":
            if self._socket is not None:
                self._socket.close()
            # A duplicate, because the system may reuse the driver's own descriptor number after a close.
            self._connection_id, self._socket = driver.thread_id(), socket.socket(fileno=os.dup(driver.fileno()))

    # --- the thread

    def _run(self) -> None:
        lease_seconds = settings.LONGTASKS.lease_seconds
        with contextlib.suppress(Exception):
            self._open()  # at once: later the server may have no connection left
        try:
            while not self._stop.wait(min(CHECK_SECONDS, lease_seconds / 6)):
                watch = self._watch
                if watch is None or time.monotonic() - watch.began < lease_seconds / 6:
                    continue  # most chunks have ended before the first check
                try:
                    self._check(watch, lease_seconds)
                except Exception:
                    logger.exception("a check of the lease keeper failed")
        finally:
            connections.close_all()  # this thread's

    def _check(self, watch: _Watch, lease_seconds: float) -> None:
        now = time.monotonic()
        overtime = now - watch.began - watch.limit_seconds
        # At its time limit the code gets a signal; a second later its statement is killed; half a lease later renewals stop.
        if overtime > min(1.0, lease_seconds / 6):
            # Counted from the interruption, not from the limit: a process paused by SIGSTOP gets its timeout before it is killed.
            watch.interrupted_at = watch.interrupted_at or now
            if now - watch.interrupted_at > 2 * lease_seconds:
                logger.critical("the running chunk cannot be interrupted: this process kills itself")
                os.kill(os.getpid(), signal.SIGKILL)
            self._interrupt_statement()
        is_in_time = overtime < lease_seconds / 2
        try:
            self._query(watch, renew=is_in_time and now - watch.renewed >= lease_seconds / 3)
            self._failed_probes = 0
        except Exception as error:
            connections[self._main.alias].close()
            if (
                self._main.vendor == "mysql"
            ):  # SQLite: the chunk holds the only write lock, so no worker can claim its task
                logger.warning("the lease keeper gets no reply from the database: %.200s", error)
                self._failed_probes += 1 if is_lost_connection(error) else 0
                if self._failed_probes >= HUNG_PROBES:
                    self._cut_connection()
        if is_in_time:
            self._beat()

    def _query(self, watch: _Watch, *, renew: bool) -> None:
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
        """Return this thread's own connection, with short timeouts."""
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
                    # A chunk that is about to commit has locked its checkpoint, and renews the claim itself. A wait
                    # for a lock (FLUSH TABLES WITH READ LOCK, ALTER) does not mean that the server hangs.
                    cursor.execute(
                        "SET SESSION innodb_lock_wait_timeout = 1, lock_wait_timeout = 1, wait_timeout = 28800"
                    )
                else:
                    cursor.execute("PRAGMA busy_timeout = 200")
        return connection

    def _interrupt_statement(self) -> None:
        """Interrupt a statement that exceeds the chunk's time limit: a signal does not reach a thread that waits for it."""
        if self._connection_id:
            with contextlib.suppress(Exception):
                self._kill(self._open(), f"KILL QUERY {self._connection_id}")

    @staticmethod
    def _kill(connection: BaseDatabaseWrapper, statement: str) -> None:
        # "Unknown thread id": that connection has ended already.
        with contextlib.suppress(Exception), connection.cursor() as cursor:
            cursor.execute(statement)

    def _cut_connection(self) -> None:
        """Cut the main thread's connection: the server hangs, and the main thread would wait for its reply forever."""
        self._failed_probes = 0
        client, self._socket = self._socket, None
        if client is None:
            return
        self._abandoned.append(self._connection_id)
        with client, contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
        logger.warning("the database hangs: the connection of the running chunk was cut")
