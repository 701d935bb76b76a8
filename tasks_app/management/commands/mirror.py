"""`manage.py mirror`: the process that updates the read model, enqueues due tasks and recovers orphaned tasks."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import OperationalError, close_old_connections, connections
from django.db import connection as database

from tasks_app.database import charsets
from tasks_app.database.timeouts import limit_answer_time, limit_idle_time
from tasks_app.engine.gc_tuning import tune_gc
from tasks_app.process_monitor.reporter import start_reporting
from tasks_app.queues import redis_connection
from tasks_app.read_model.mirror import Mirror
from tasks_app.recovery.rescuer import Rescuer
from tasks_app.resilience.backoff import Backoff, ShutdownRequested
from tasks_app.resilience.batch_isolation import is_outage

logger = logging.getLogger(__name__)
BLOCK_MS: Final = 250
DUE_SECONDS: Final = 0.5
FAILED_SECONDS: Final = 0.25
WATCH_SECONDS: Final = 0.5  # how soon after its lease a dead worker's task is taken back
SQLITE_TRIES: Final = 400
SQLITE_PAUSE_SECONDS: Final = 0.005
# Lets snapshots come together: a transaction costs an fsync and some milliseconds, however few it applies. What a task's
# reader sees does not wait for it (queries compare with Redis); lists and charts are behind by so much.
GATHER_SECONDS: Final = 0.2


class Command(BaseCommand):
    help = "Update the database from Redis, enqueue due tasks and requeue the tasks of dead workers. Run one or more."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="apply the pending snapshots, rescue once, and exit")

    def handle(self, *args: Any, **options: Any) -> None:
        self.should_stop = self.should_begin_anew = False
        signal.signal(signal.SIGHUP, self.request_new_code)
        signal.signal(signal.SIGTERM, self.request_stop)
        signal.signal(signal.SIGINT, self.request_stop)
        limit_idle_time(settings.LONGTASKS.lease_seconds + 2)
        limit_answer_time(settings.LONGTASKS.lease_seconds * 0.75)
        charsets.warn_of_narrow_tables()
        tune_gc()
        connection = redis_connection.get_connection()
        self.mirror, self.rescue = Mirror(connection=connection), Rescuer(connection=connection)
        self.is_once: bool = options["once"]
        self.rescued_at = self.due_at = self.watched_at = 0.0
        reporter = None if self.is_once else start_reporting("mirror")
        self.run(once=self.is_once)
        if reporter is not None and not self.should_begin_anew:
            reporter.end()
        if self.should_begin_anew:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a flag would be forgotten
            connections.close_all()
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the new code has its own handler
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 (this very command again)

    def run(self, *, once: bool) -> None:
        """Work until a stop is requested. Waits while Redis or the database is unavailable."""
        patience = Backoff(should_stop=lambda: self.should_stop)
        while not self.should_stop:
            try:
                close_old_connections()
                self.work()
                patience = Backoff(should_stop=lambda: self.should_stop)
                if once:
                    return
            except ShutdownRequested:
                return
            except Exception as error:
                if not is_outage(error):
                    raise
                logger.warning("mirror waits for Redis or the database: %s", error)
                self.rescue.note_outage()
                try:
                    patience.wait()
                except ShutdownRequested:
                    return

    def work(self) -> None:
        """Apply snapshots and run the duties that are due. Waits briefly if there is nothing to apply."""
        self.attempt(self.mirror_next)
        now = time.monotonic()
        if now - self.due_at >= DUE_SECONDS:
            self.due_at = now
            self.attempt(self.rescue.enqueue_due)
        if now - self.rescued_at >= settings.LONGTASKS.rescue_seconds:
            self.rescued_at = self.watched_at = now
            self.attempt(
                self.step
            )  # also where nothing seems new: what a mirror left that died, a Redis with its clock back
            self.attempt(self.rescue.run)
        elif now - self.watched_at >= WATCH_SECONDS:
            self.watched_at = now
            self.attempt(self.rescue.watch)

    def attempt(self, duty: Callable[[], object]) -> None:
        """Run one duty. An unexpected error is logged, so that the other duties still run."""
        try:
            duty()
        except Exception as error:
            if self.is_once or is_outage(error):
                raise
            logger.exception("a duty of the mirror failed and will be retried")
            time.sleep(FAILED_SECONDS)

    def mirror_next(self) -> None:
        """Apply the next snapshots, if any arrive soon."""
        if self.mirror.wait(block_ms=BLOCK_MS):
            if self.step() < settings.LONGTASKS.mirror_batch // 4 and not self.mirror.has_more:
                time.sleep(GATHER_SECONDS)

    def step(self) -> int:
        """Let the mirror take one step. On SQLite it waits for the one write lock itself, in short pauses.

        SQLite's own waiting sleeps up to 100 ms between two looks, and a busy worker's gaps are shorter.
        """
        if database.vendor != "sqlite":
            return self.mirror.step()
        with database.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout = 0")
        try:
            for _ in range(SQLITE_TRIES):
                try:
                    return self.mirror.step()
                except OperationalError as error:
                    if not is_outage(error):
                        raise
                    time.sleep(SQLITE_PAUSE_SECONDS)
            return 0
        finally:
            with database.cursor() as cursor:
                cursor.execute("PRAGMA busy_timeout = 30000")

    def request_new_code(self, signum: int, frame: FrameType | None) -> None:
        """SIGHUP: replace the process image, so that the same process continues with the current code."""
        self.should_stop = self.should_begin_anew = True

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        self.should_stop, self.should_begin_anew = True, False
