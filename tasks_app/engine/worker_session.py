"""What a worker does to tasks that it has dequeued and not claimed: claim, park, requeue, drop.

Owns these steps. Each waits while a store is unavailable. Must not run a task (runner).
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection, Sequence
from typing import Any

import redis

from tasks_app.checkpoints import checkpoint_rows, claims
from tasks_app.checkpoints.as_snapshot import ended_snapshot
from tasks_app.checkpoints.claims import Claim, Refusal
from tasks_app.engine.interruption import Interruption, WorkerHooks
from tasks_app.models import TaskCheckpoint
from tasks_app.queues import redis_keys, transitions
from tasks_app.queues.transitions import DequeuedJob, DequeuedTask, Transition
from tasks_app.resilience.backoff import Backoff
from tasks_app.resilience.store_waits import waits_for_stores
from tasks_app.task_types import get_attempts

logger = logging.getLogger(__name__)


class WorkerSession:
    """The steps of one worker on tasks that it has not claimed."""

    def __init__(self, *, connection: redis.Redis[Any], worker: str, hooks: WorkerHooks) -> None:
        self.connection = connection
        self.worker = worker
        self.hooks = hooks

    def make_backoff(self) -> Backoff:
        """Return pauses that end when the worker is asked to stop, and during which it sends its heartbeats."""
        return Backoff(should_stop=self.hooks.should_stop, while_waiting=self.hooks.while_waiting)

    def note_wait(self, error: Exception) -> None:
        """Log that a store is unavailable."""
        logger.warning("Redis or the database is unavailable, trying again: %.500s", error)

    @waits_for_stores
    def claim(self, dequeued: DequeuedTask) -> Claim | Refusal:
        """Claim the task in the database. Refusal: another worker has it, it has ended or is canceled."""
        snapshot = dequeued.snapshot
        return claims.claim(
            task_id=uuid.UUID(snapshot.id),
            worker=self.worker,
            above=snapshot.epoch,
            attempts=get_attempts(snapshot.name),
        )

    @waits_for_stores
    def read_checkpoints(self, task_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, TaskCheckpoint]:
        """Return the checkpoints of those tasks that have one."""
        return checkpoint_rows.get_checkpoints(task_ids)

    @waits_for_stores
    def publish(self, moves: Sequence[Transition]) -> list[bool]:
        """Apply transitions in Redis. False: the task was not where its transition expects it."""
        return transitions.apply_transitions(self.connection, moves)

    @waits_for_stores
    def check_interruption(self, dequeued: DequeuedTask) -> Interruption:
        """Return whether the task may continue."""
        return self.hooks.check_interruption(dequeued)

    @waits_for_stores
    def remove_entry(self, dequeued: DequeuedJob) -> None:
        """Remove the task from RQ's registry of started jobs, and leave it to the worker that has claimed it."""
        self.connection.zrem(redis_keys.started_key(dequeued.queue), f"{dequeued.task_id}:{self.worker}")

    def may_begin(self, dequeued: DequeuedTask) -> bool:
        """Whether to begin another of several tasks that were dequeued together."""
        if self.hooks.should_stop():
            return False
        return self.check_interruption(dequeued) not in (Interruption.STOP, Interruption.PREEMPT)

    def drop(self, dequeued: DequeuedTask, row: TaskCheckpoint) -> None:
        """Give up a task that cannot be claimed. Publish its end, if its checkpoint has one."""
        if not row.outcome:
            self.remove_entry(dequeued)
            return
        snapshot = ended_snapshot(dequeued.snapshot, row)
        self.publish([Transition(snapshot, "started", "ended", worker=self.worker)])

    def park(self, dequeued: DequeuedTask) -> None:
        """Leave a task to a worker that knows its type. This costs no attempt."""
        parked = dequeued.snapshot.queued(cause="unknown_type")
        self.publish([Transition(parked, "started", "parked", worker=self.worker)])

    def requeue(self, dequeued: Sequence[DequeuedTask]) -> None:
        """Requeue tasks that have not started, in their original order, behind urgent ones.

        They are marked as isolated, because one of them may be the task that crashes its batch.
        """
        self.publish(
            [
                Transition(
                    task.snapshot.queued(cause=Interruption.STOP.value),
                    "started",
                    "yield",
                    worker=self.worker,
                    isolated=True,
                )
                for task in reversed(dequeued)
            ]
        )
