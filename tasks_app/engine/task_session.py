"""One claimed task in a worker, from its claim to its end or release.

Owns the steps that change the task in the database and then in Redis: the database decides, Redis follows. Each step
waits while a store is unavailable, and renews the claim meanwhile. Must not run chunks (runner).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from tasks_app.checkpoints import as_snapshot, claims, shards
from tasks_app.checkpoints.as_snapshot import ended_snapshot
from tasks_app.checkpoints.claims import Claim
from tasks_app.domain import task_snapshot, task_status
from tasks_app.domain.error_text import describe_error, error_line
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.engine.interruption import Interruption
from tasks_app.engine.worker_session import WorkerSession
from tasks_app.models import TaskCheckpoint
from tasks_app.queues import transitions
from tasks_app.queues.transitions import DequeuedTask, Target, Transition
from tasks_app.read_model.latest_snapshot import find_snapshot
from tasks_app.resilience.backoff import Backoff
from tasks_app.resilience.retry_delay import get_retry_delay_seconds
from tasks_app.resilience.store_waits import waits_for_stores
from tasks_app.resilience.transient_errors import is_transient_error
from tasks_app.task_types import HopelessError, get_error_attempts

logger = logging.getLogger(__name__)


class TaskSession:
    """A task that this worker has claimed."""

    def __init__(self, worker_session: WorkerSession, *, claim: Claim, dequeued: DequeuedTask) -> None:
        self._worker_session = worker_session
        self._redis = worker_session.connection
        self._worker = worker_session.worker
        self._hooks = worker_session.hooks
        self.claim = claim
        self.dequeued = dequeued
        self.snapshot = dequeued.snapshot
        self.ended_as = ""  # the status that this session has ended the task with
        self.error: BaseException | None = None  # of the attempt that has failed it
        self.waits = 0  # how often a step has waited for a store
        self.snapshot.epoch, self.snapshot.worker = claim.epoch, self._worker
        if claim.total is not None:
            self.snapshot.total, self.snapshot.total_is_estimate = claim.total, claim.total_is_estimate

    # --- single steps

    def make_backoff(self) -> Backoff:
        """Return pauses that end when the worker is asked to stop, and during which the claim is renewed."""
        return Backoff(should_stop=self._hooks.should_stop, while_waiting=self._keep_alive)

    def note_wait(self, error: Exception) -> None:
        """Count and log that a store is unavailable."""
        self.waits += 1
        logger.warning("Redis or the database is unavailable, trying again: %.500s", error)

    @waits_for_stores
    def get_split_total(self) -> int | None:
        """Return the number of records to split into shards; None if the task is not to be split."""
        return shards.get_split_total(self.claim, self.snapshot)

    @waits_for_stores
    def read_checkpoint(self) -> TaskCheckpoint | None:
        """Return the checkpoint after every open transaction on it has ended."""
        return claims.read(self.claim)

    @waits_for_stores
    def publish(self, moves: Sequence[Transition]) -> list[bool]:
        """Apply transitions of this task and its parent in Redis."""
        return transitions.apply_many_transitions(self._redis, moves)

    @waits_for_stores
    def publish_progress(self, *, error: str = "") -> None:
        """Publish the task's progress; for a shard also its parent's."""
        snapshot = self._as_started()
        if error:
            snapshot.error = error
        moves = [Transition(snapshot, "unchanged", "stay"), *self._list_parent_moves()]
        transitions.apply_transitions(self._redis, moves)

    @waits_for_stores
    def check_interruption(self) -> Interruption:
        """Return whether the task may continue."""
        return self._hooks.check_interruption(self.dequeued)

    @waits_for_stores
    def _release_claim(self) -> bool:
        return claims.release(self.claim)

    @waits_for_stores
    def _end_claim(self, *, outcome: str) -> bool:
        return claims.end(self.claim, outcome=outcome)

    @waits_for_stores
    def _record_failure(self, *, error: str, final: bool) -> bool:
        return claims.fail_attempt(self.claim, error=error, final=final)

    @waits_for_stores
    def _end_parent(self, *, outcome: str, error: str = "") -> None:
        shards.end_parent_of(self.snapshot, outcome=outcome, error=error)

    @waits_for_stores
    def _publish_end(self, snapshot: Snapshot) -> None:
        moves = [Transition(snapshot, "started", "ended", worker=self._worker), *self._list_parent_moves()]
        transitions.apply_transitions(self._redis, moves)

    # --- ends and releases, made of these steps

    def publish_split(self, parts: Sequence[Snapshot], *, are_new: bool) -> None:
        """Enqueue the task's shards as the next in its queue."""
        # New shards are nowhere in Redis yet. The last is pushed first, so that the first is dequeued first.
        moves = [Transition(part, "unchanged" if are_new else "any", "front") for part in reversed(parts)]
        moves.append(Transition(self._as_started(cause="split"), "started", "split", worker=self._worker))
        self.publish(moves)

    def finish(self) -> None:
        """Publish the end of a task: its last chunk has ended its checkpoint already."""
        self.publish_end(status=task_status.FINISHED)

    def end(self, *, status: str) -> None:
        """End the task as canceled or stopped."""
        if self.snapshot.parent and status == task_status.STOPPED:
            self._end_parent(outcome=status)
        if self._end_claim(outcome=status):
            self.publish_end(status=status)
        else:
            self.leave()

    def release(self, interruption: Interruption) -> None:
        """Release the claim and requeue the task: behind more urgent ones if it is preempted, else at the front."""
        if not self._release_claim():
            self.leave()
            return
        queued = self._as_started().queued(cause=interruption.value)
        target: Target = "yield" if interruption is Interruption.PREEMPT else "front"
        [is_moved] = self.publish([Transition(queued, "started", target, worker=self._worker)])
        if not is_moved:  # Redis was flushed: unless recovery has enqueued the task, Redis has no entry of it
            self.publish([Transition(queued, "missing", target)])

    def release_quietly(self) -> None:
        """Release the claim while the worker shuts down, which does not count as a failed attempt. Tries once."""
        try:
            claims.release(self.claim)
        except Exception as error:
            if not is_transient_error(error):
                raise
            logger.warning("task %s: its claim could not be released: %s", self.claim.task_id, error)

    def leave(self) -> None:
        """Leave a task whose checkpoint refused a step: another worker has it, it has ended, or a cancel was requested."""
        row = self.read_checkpoint()
        if row is not None and row.cancel_requested and row.epoch == self.claim.epoch and not row.outcome:
            self.claim.catch_up(row)
            self.end(status=task_status.CANCELED)
        elif row is not None:
            self._worker_session.drop(self.dequeued, row)
        else:
            self._worker_session.remove_entry(self.dequeued)

    def fail(self, error: BaseException) -> None:
        """Record a failed attempt: schedule the next one after a growing pause, or end the task as failed."""
        text = describe_error(error)
        failures = self.claim.failures + 1
        is_final = failures >= get_error_attempts(self.snapshot.name) or isinstance(error, HopelessError)
        logger.warning("task %s: attempt %d failed: %s\n%s", self.claim.task_id, failures, error_line(error), text)
        if not self._record_failure(error=text, final=is_final):
            self.leave()
            return
        if is_final:
            self.error = error
            if self.snapshot.parent:
                self._end_parent(outcome=task_status.FAILED, error=text)
            self.publish_end(status=task_status.FAILED, error=text)
            return
        if (row := self.read_checkpoint()) is not None and self.claim.is_valid_for(row):
            self.claim.catch_up(row)  # the time limit may have interrupted the worker after the commit
        run_at = datetime.now(UTC) + timedelta(seconds=get_retry_delay_seconds(self.snapshot.name, failures))
        scheduled = self._as_started().scheduled(at=run_at, cause="attempt_failed", error=text)
        self.publish([Transition(scheduled, "started", run_at, worker=self._worker, failures=failures)])

    def publish_end(self, *, status: str, error: str | None = None) -> None:
        """Publish the end that the database has decided."""
        snapshot = self._as_started().ended_as(status, at=datetime.now(UTC), error=error)
        self._publish_end(self._with_total(snapshot, is_finished=status == task_status.FINISHED))
        self.ended_as = status

    # --- snapshots

    def _as_started(self, *, cause: str = task_status.PROGRESS) -> Snapshot:
        started = self.snapshot.changed(
            cause=cause,
            status=task_status.STARTED,
            worker=self._worker,
            epoch=self.claim.epoch,
            done=self.claim.done,
            failed_records=self.claim.failed_records,
            counts=task_snapshot.with_all_counts(self.snapshot.counts, self.claim.counts),
        )
        return self._with_total(started, is_finished=False)

    def _with_total(self, snapshot: Snapshot, *, is_finished: bool) -> Snapshot:
        claim = self.claim
        return as_snapshot.with_total(
            snapshot, planned=claim.total, is_estimate=claim.total_is_estimate, is_finished=is_finished
        )

    def _list_parent_moves(self) -> list[Transition]:
        """Return the transition that publishes the progress or the end of a shard's parent; none for other tasks."""
        if not self.snapshot.parent:
            return []
        row, parent = shards.read_parent(self.snapshot), find_snapshot(self._redis, self.snapshot.parent)
        if row is None or parent is None:
            return []
        if row.outcome:
            return [Transition(ended_snapshot(parent, row), "any", "ended")]
        started = parent.changed(cause=task_status.PROGRESS, status=task_status.STARTED)
        return [Transition(as_snapshot.with_checkpoint(started, row), "unchanged", "stay")]

    def _keep_alive(self) -> None:
        """Send the worker's heartbeat and renew the claim, while a step waits."""
        self._hooks.while_waiting()
        if self.claim.ended:
            return
        try:
            claims.renew(self.claim)
        except Exception as error:
            if not is_transient_error(error):
                raise
