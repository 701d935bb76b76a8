"""`manage.py mirror`: the process that updates the read model, enqueues due tasks, recovers orphaned ones, sweeps the outbox.

Owns when each of these duties runs. Must not know how it is done (read_model/mirror, recovery/rescuer, outbox/sweep).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from django.db import OperationalError
from django.db import connection as database

from tasks_app.conf import settings
from tasks_app.database import charsets
from tasks_app.database.timeouts import limit_answer_time, limit_idle_time
from tasks_app.engine.gc_tuning import tune_gc
from tasks_app.management.service_command import ServiceCommand
from tasks_app.outbox.sweep import OutboxSweep
from tasks_app.queues import redis_connection
from tasks_app.read_model.mirror import Mirror
from tasks_app.recovery.rescuer import Rescuer
from tasks_app.resilience.batch_isolation import is_outage

logger = logging.getLogger(__name__)
BLOCK_MS: Final = 250
DUE_SECONDS: Final = 0.5
FAILED_SECONDS: Final = 0.25
WATCH_SECONDS: Final = 0.5  # how soon after its lease a dead worker's task is requeued
SWEEP_SECONDS: Final = 1.0
SQLITE_TRIES: Final = 400
SQLITE_PAUSE_SECONDS: Final = 0.005
# Collects snapshots: a transaction costs an fsync and some milliseconds, however few it applies. Reading one task does
# not wait for it (queries compare with Redis); lists and charts are behind by so much.
LINGER_SECONDS: Final = 0.2


class Command(ServiceCommand):
    help = "Update the database from Redis, enqueue due tasks and requeue the tasks of dead workers. Run one or more."
    process_kind = "mirror"
    once_help = "apply the pending snapshots, run one sweep of the rescuer, and exit"

    def set_up(self) -> None:
        limit_idle_time(settings.LONGTASKS.lease_seconds + 2)
        limit_answer_time(settings.LONGTASKS.lease_seconds * 0.75)
        charsets.warn_of_narrow_tables()
        tune_gc()
        connection = redis_connection.get_connection()
        self.mirror, self.rescuer = Mirror(connection=connection), Rescuer(connection=connection)
        self.outbox_sweep = OutboxSweep()
        self.rescued_at = self.due_at = self.watched_at = self.swept_at = 0.0

    def note_failure(self, error: Exception) -> None:
        super().note_failure(error)
        self.rescuer.note_outage()

    def work(self) -> None:
        """Apply snapshots and run the duties that are due. Waits briefly if there is nothing to apply."""
        self.attempt(self.mirror_next)
        now = time.monotonic()
        if now - self.due_at >= DUE_SECONDS:
            self.due_at = now
            self.attempt(self.rescuer.enqueue_due)
        if now - self.swept_at >= SWEEP_SECONDS:
            self.swept_at = now
            self.attempt(self.outbox_sweep.run)
        if now - self.rescued_at >= settings.LONGTASKS.rescue_seconds:
            self.rescued_at = self.watched_at = now
            # A step although the stream seems unchanged: another mirror may have died, or Redis's clock gone back.
            self.attempt(self.step)
            self.attempt(self.rescuer.run)
        elif now - self.watched_at >= WATCH_SECONDS:
            self.watched_at = now
            self.attempt(self.rescuer.watch)

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
                time.sleep(LINGER_SECONDS)

    def step(self) -> int:
        """Let the mirror do one step. On SQLite, retry in short pauses to get the single write lock.

        SQLite's own busy handler sleeps up to 100 ms between two tries, and a busy worker's gaps are shorter.
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
