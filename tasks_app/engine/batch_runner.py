"""Runs a batch: many small tasks in one chunk, each from its begin to its end in one transaction.

Owns the steps of a batch, and which of its tasks must run alone instead (runner does that).
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from django.db import IntegrityError, reset_queries

from tasks_app.conf import settings
from tasks_app.domain import task_status
from tasks_app.domain.error_text import error_line
from tasks_app.engine import batch_transaction
from tasks_app.engine.batch_transaction import BatchedTask, TaskNotFinished
from tasks_app.engine.chunk_errors import TaskCodeFailed
from tasks_app.engine.chunk_guard import ChunkGuard
from tasks_app.engine.lease_keeper import LeaseKeeper
from tasks_app.engine.worker_session import WorkerSession
from tasks_app.observability import tracing
from tasks_app.queues.transitions import DequeuedTask, Transition
from tasks_app.resilience import failpoints
from tasks_app.resilience.transient_errors import is_transient_error

logger = logging.getLogger(__name__)
REFUSALS: Final = 3  # of a batch by a database that answers other statements; then its tasks run alone


class BatchRunner:
    """One batch of a worker."""

    def __init__(
        self,
        session: WorkerSession,
        *,
        guard: ChunkGuard,
        keeper: LeaseKeeper,
    ) -> None:
        self._session = session
        self._worker = session.worker
        self._guard = guard
        self._keeper = keeper
        self.rows = 0  # committed

    def run(self, dequeued: Sequence[DequeuedTask]) -> list[DequeuedTask]:
        """Run small tasks in one chunk. Return those that must run alone."""
        small = {
            uuid.UUID(task.task_id): (task, BatchedTask(task.snapshot, uuid.UUID(task.task_id)))
            for task in dequeued
            if not task.snapshot.epoch
        }
        # A task that was claimed before runs alone, also if a restored database has lost that claim.
        alone = [task for task in dequeued if task.snapshot.epoch]
        refusals = 0
        backoff = self._session.make_backoff()
        while small:
            known = self._session.read_checkpoints(small)
            try:
                for task_id, row in known.items():
                    task, _ = small.pop(task_id)
                    if row.outcome == task_status.FINISHED and row.epoch == 1 and row.worker == self._worker:
                        # Our own commit, whose reply was lost.
                        self._finish([(task, row.done, row.counts)])
                    else:
                        alone.append(task)
                if small:
                    with tracing.shared_chunk_span(
                        (member.snapshot for _, member in small.values()), worker=self._worker
                    ):
                        batch_transaction.run_batch(
                            [member for _, member in small.values()],
                            worker=self._worker,
                            guard=self._guard,
                            keeper=self._keeper,
                        )
                    break
            except TaskCodeFailed as failed:
                if not isinstance(failed.error, TaskNotFinished):
                    logger.warning(
                        "%d small tasks run alone, because one of them failed: %s", len(small), error_line(failed.error)
                    )
                return alone + [task for task, _ in small.values()]
            except Exception as error:
                # IntegrityError: one of them has a checkpoint by now, from another worker or a cancel. The next round finds it.
                if not isinstance(error, IntegrityError) and not is_transient_error(error):
                    logger.exception("%d small tasks run alone: their batch failed", len(small))
                    return alone + [task for task, _ in small.values()]
                # Running alone finds the task that causes it, if one does, and makes the interruption check between tries.
                refusals += 1
                if refusals > REFUSALS:
                    logger.warning("%d small tasks run alone: %.500s", len(small), error)
                    return alone + [task for task, _ in small.values()]
                logger.warning("%d small tasks are tried again: %.500s", len(small), error)
                backoff.wait()
        if settings.DEBUG:
            reset_queries()
        done = [(task, member.result.done, member.result.counts) for task, member in small.values() if member.result]
        if done:
            self.rows += sum(sum(counts.values()) for _, _, counts in done)
            failpoints.reach(failpoints.BEFORE_END)
            self._finish(done)
        return alone

    def _finish(self, done: Sequence[tuple[DequeuedTask, int, Any]]) -> None:
        now = datetime.now(UTC)
        batch = []
        for task, records, counts in done:
            snapshot = task.snapshot.ended_as(
                task_status.FINISHED,
                at=now,
                done=records,
                counts=dict(counts),
                epoch=max(1, task.snapshot.epoch),
                error=None,
            )
            batch.append(Transition(snapshot, "started", "ended", worker=self._worker))
        self._session.publish(batch)


def is_batchable(dequeued: DequeuedTask) -> bool:
    """Whether a task may run in a batch."""
    return not dequeued.isolated and 0 < dequeued.snapshot.weight <= settings.LONGTASKS.batch_records
