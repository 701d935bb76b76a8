"""Moves a task in Redis to where its checkpoint says it belongs.

Owns the transitions of recovery, their counts and their log lines. Must not decide which tasks need one.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import redis

from tasks_app.checkpoints import as_snapshot, cancel_and_reopen, shards
from tasks_app.checkpoints.as_snapshot import ended_snapshot
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.models import TaskCheckpoint
from tasks_app.queues import transitions
from tasks_app.queues.transitions import Transition
from tasks_app.read_model.latest_snapshot import find_snapshot
from tasks_app.recovery.stuck_shards import ENDS_THE_TASK
from tasks_app.resilience import batch_isolation
from tasks_app.resilience.retry_delay import get_retry_delay_seconds

logger = logging.getLogger(__name__)


def place_unclaimed(snapshot: Snapshot, *, cause: str) -> Transition:
    """Return the transition of a missing task that no worker has claimed: to its queue's end, or to wait for its start."""
    waiting = snapshot.waiting(cause=cause)
    return Transition(waiting, "missing", waiting.next_attempt_at or "back")


class Requeuer:
    """Moves tasks for one rescuer, and skips those that it has just set aside."""

    def __init__(self, *, connection: redis.Redis[Any]) -> None:
        self._redis = connection
        self.isolation = batch_isolation.Isolation()
        self.counts: Counter[str] = Counter()  # since the start of this process, by kind

    def put(
        self,
        row: TaskCheckpoint,
        *,
        source: transitions.Source,
        worker: str = "",
        snapshot: Snapshot | None = None,
        cause: str = "rescue",
    ) -> None:
        """Put a task where its checkpoint says that it belongs: ended, scheduled for its next attempt, or at its queue's head.

        `source` is its present place in Redis. A task without a snapshot, as after pruning, is skipped.
        """
        snapshot = snapshot or find_snapshot(self._redis, row.task_id)
        if snapshot is None:
            return  # the checkpoint of a task that was pruned
        if snapshot.epoch > row.epoch:
            row = cancel_and_reopen.raise_epoch(task_id=row.task_id, above=snapshot.epoch)
            if row.lease_until is not None:
                return  # a worker has claimed it meanwhile
        if row.outcome:
            if snapshot.parent:
                self._end_parent(snapshot, row)
            # With the source "started" the script would store the current time as the task's end.
            source = "any" if source == "started" else source
            self.apply(Transition(ended_snapshot(snapshot, row), source, "ended"), kind="ended")
            return
        if snapshot.waits_for_start and not row.failures and snapshot.start_at is not None:
            waiting = as_snapshot.with_checkpoint(snapshot.waiting(cause=cause), row)
            self.apply(Transition(waiting, source, snapshot.start_at, worker=worker), kind="scheduled")
            return
        error = row.error or None
        target: transitions.Target | datetime
        if row.failures > 1 and row.done == row.claimed_done:
            target = datetime.now(UTC) + timedelta(seconds=get_retry_delay_seconds(snapshot.name, row.failures))
            waiting = snapshot.scheduled(at=target, cause=cause, error=error)
        else:
            target, waiting = "urgent", snapshot.queued(cause=cause, error=error)
        self.apply(
            Transition(
                as_snapshot.with_checkpoint(waiting, row),
                source,
                target,
                worker=worker,
                failures=row.failures,
                isolated=row.failures > 0,
            ),
            kind="expired",
        )

    def _end_parent(self, shard: Snapshot, row: TaskCheckpoint) -> None:
        """Publish the end of a shard's task, if this shard ended it and its worker died before it could publish."""
        if row.outcome in ENDS_THE_TASK:
            shards.end_parent_of(shard, outcome=row.outcome, error=row.error)
        ended, parent = shards.read_parent(shard), find_snapshot(self._redis, shard.parent)
        if ended is not None and ended.outcome and parent is not None:
            self.apply(Transition(ended_snapshot(parent, ended), "any", "ended"), kind="ended")

    def apply_batch(self, batch: Sequence[Transition]) -> int:
        """Apply transitions; set aside those that Redis refuses. Return how many were applied."""
        applied: list[bool] = []
        batch_isolation.apply_batch(
            [each for each in batch if not self.isolation.is_resting(each.snapshot.id)],
            apply=lambda part: applied.extend(transitions.apply_many_transitions(self._redis, part)),
            set_aside=lambda each, error: self.isolation.set_aside(each.snapshot.id, error),
        )
        return sum(applied)

    def apply(self, transition: Transition, *, kind: str) -> None:
        """Apply one transition; count and log it under `kind`, if the task was where the transition expects it."""
        [is_applied] = transitions.apply_transitions(self._redis, [transition])
        if is_applied:
            self.counts[kind] += 1
            logger.warning("rescued task %s (%s): %s", transition.snapshot.id, kind, transition.snapshot.status)
