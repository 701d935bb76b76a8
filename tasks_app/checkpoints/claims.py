"""A worker's claim on a task's checkpoint: made, advanced with each chunk, renewed, released, ended.

Owns a worker's writes to the checkpoint of the task that it runs (shards.py has those to its parent). Each is one short
statement or transaction, timed by the database's clock, and has no effect for a worker with an older epoch. Must not
know Redis.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.db import IntegrityError, models, transaction
from django.db.models import F

from tasks_app.checkpoints.as_snapshot import add_counts
from tasks_app.checkpoints.cancel_and_reopen import end_canceled, reopen_if_redis_is_newer
from tasks_app.checkpoints.checkpoint_rows import lease_end, lock_row, read_clock
from tasks_app.checkpoints.expired_claims import count_expired_claim
from tasks_app.database.bulk_insert import insert_columns
from tasks_app.database.clock import Now
from tasks_app.domain import task_status
from tasks_app.models import TaskCheckpoint
from tasks_app.task_types import Plan


class Fenced(Exception):
    """Another worker has claimed the task, or it has ended: this worker must not commit anything for it."""


class CancelRequested(Exception):
    """A cancel of the task was requested: its running chunk is rolled back."""


@dataclass(slots=True)
class Claim:
    """A worker's exclusive right to run a task, and the task's progress."""

    task_id: uuid.UUID
    epoch: int
    worker: str
    done: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    failures: int = 0
    failed_records: int = 0  # of `done`
    ended: bool = False
    total: int | None = None  # of a planned task
    total_is_estimate: bool = False

    def is_valid_for(self, row: TaskCheckpoint) -> bool:
        """Return whether the claim is valid, or whether this claim itself has finished the task."""
        return row.epoch == self.epoch and row.worker == self.worker and row.outcome in ("", task_status.FINISHED)

    def catch_up(self, row: TaskCheckpoint) -> bool:
        """Adopt the progress of the row. Returns whether the task has finished."""
        self.done, self.counts, self.state = row.done, row.counts, row.state
        self.failed_records = row.failed_records
        self.ended = bool(row.outcome)
        return self.ended


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a task can't be claimed: it has ended (`checkpoint.outcome`), or another worker's claim is valid."""

    checkpoint: TaskCheckpoint


def claim(*, task_id: uuid.UUID, worker: str, above: int = 0, attempts: int | None = None) -> Claim | Refusal:
    """Claim a task for `worker` for LEASE_SECONDS. Its epoch rises, which fences all earlier workers.

    The epoch also rises above `above`, the one in Redis: a database that was restored from a backup may be behind.

    An expired claim without a committed chunk counts as a failed attempt, here or in `expire`; the last of `attempts` (by
    default RETRY_ATTEMPTS) ends the task as failed. A valid claim of `worker` itself is one whose reply was lost, and is
    replaced. If a cancel was requested, the task is ended as canceled instead of claimed. Raises only the database's errors.
    """
    while True:
        with transaction.atomic():
            row = lock_row(task_id)
            if row is None:
                try:
                    with transaction.atomic():
                        TaskCheckpoint.objects.create(
                            task_id=task_id,
                            epoch=above + 1,
                            worker=worker,
                            lease_until=lease_end(),
                            max_attempts=attempts,
                            started_at=Now(),
                            updated_at=Now(),
                        )
                except IntegrityError:
                    continue  # another process was first: read its row
                return Claim(task_id=task_id, epoch=above + 1, worker=worker)
            reopen_if_redis_is_newer(row, above)
            if row.outcome:
                return Refusal(row)
            row.max_attempts = attempts
            if row.lease_until is not None and row.worker != worker:
                if not row.has_expired:  # type: ignore[attr-defined]
                    return Refusal(row)
                if not row.cancel_requested and count_expired_claim(row):
                    return Refusal(row)
            if row.cancel_requested:
                end_canceled(row)
                return Refusal(row)
            row.epoch = max(row.epoch, above) + 1
            TaskCheckpoint.objects.filter(task_id=task_id).update(
                epoch=row.epoch,
                worker=worker,
                lease_until=lease_end(),
                claimed_done=F("done"),
                max_attempts=attempts,
                started_at=row.started_at or Now(),
                updated_at=Now(),
            )
            return Claim(
                task_id=task_id,
                epoch=row.epoch,
                worker=worker,
                done=row.done,
                counts=row.counts,
                state=row.state,
                failures=row.failures,
                failed_records=row.failed_records,
                total=row.total,
                total_is_estimate=row.total_is_estimate,
            )


def store_plan(claim: Claim, plan: Plan) -> None:
    """Store the plan of a task that is not split, and adopt it. Raises Fenced, without effect, if the claim is not valid.

    A task whose plan is stored is not planned again: a resume neither counts nor moves its bound.
    """
    plans = {"total": plan.total, "total_is_estimate": plan.is_estimate, "state": dict(plan.state)}
    if not _rows_of(claim).filter(done=0).update(**plans, updated_at=Now()):
        raise Fenced
    claim.total, claim.total_is_estimate, claim.state = plan.total, plan.is_estimate, dict(plan.state)


def advance(
    claim: Claim,
    *,
    done: int,
    counts: Mapping[str, int],
    state: Mapping[str, Any],
    finished: bool,
    result: Any = None,
    failed_records: int = 0,
) -> None:
    """Advance the checkpoint by a chunk, inside the chunk's transaction; renews the lease, or ends the task.

    A `result` replaces the one before; None keeps it.

    Has no effect unless the checkpoint is at `claim.done`, so a retry after a lost reply cannot count a chunk twice. The
    caller updates `claim` after the commit. If it raises Fenced or CancelRequested, the transaction must be rolled back.
    """
    changes: dict[str, Any] = {
        "done": claim.done + done,
        "failed_records": claim.failed_records + failed_records,
        "counts": add_counts(claim.counts, counts),
        "state": dict(state),
        "lease_until": None if finished else lease_end(),
        "updated_at": Now(),
    }
    if result is not None:
        changes["result"] = result
    if finished:
        changes |= {"outcome": task_status.FINISHED, "ended_at": Now()}
    changed = _rows_of(claim).filter(done=claim.done, cancel_requested=False).update(**changes)
    if not changed:
        row = TaskCheckpoint.objects.filter(task_id=claim.task_id).first()
        if row is not None and row.epoch == claim.epoch and not row.outcome and row.cancel_requested:
            raise CancelRequested
        raise Fenced


def insert_finished(rows: Iterable[tuple[uuid.UUID, int, Mapping[str, int]]], *, worker: str) -> None:
    """Insert the checkpoints of small tasks that one batch has run from start to end: (task, done, counts).

    The primary key is the fence: raises IntegrityError if any of the tasks already has a checkpoint.
    """
    task_ids, done, counts = zip(*rows, strict=True)
    same: dict[str, Any] = {
        field.attname: field.get_default() for field in TaskCheckpoint._meta.concrete_fields if not field.primary_key
    }
    same |= {"epoch": 1, "worker": worker, "outcome": task_status.FINISHED}
    same |= dict.fromkeys(("started_at", "ended_at", "updated_at"), read_clock())
    columns: dict[str, Sequence[Any]] = {name: [value] * len(task_ids) for name, value in same.items()}
    columns |= {"task_id": task_ids, "done": done, "counts": [orjson.dumps(count).decode() for count in counts]}
    insert_columns(TaskCheckpoint, columns)


def renew(claim: Claim) -> bool:
    """Renew the lease of a valid claim. Returns False, without effect, if it was fenced or released."""
    return bool(_rows_of(claim).filter(lease_until__isnull=False).update(lease_until=lease_end()))


def may_continue(claim: Claim) -> bool:
    """Return whether a claim is valid and no cancel was requested. Takes no lock."""
    return _rows_of(claim).filter(cancel_requested=False).exists()


def read(claim: Claim) -> TaskCheckpoint | None:
    """Return the checkpoint after every open transaction on it.

    Locks the row for that: the server may still be executing a commit whose connection has broken.
    """
    with transaction.atomic():
        return lock_row(claim.task_id)


def release(claim: Claim) -> bool:
    """Release an unfinished task, which costs no attempt.

    Returns False, without effect, if it was fenced or its cancel was requested.
    """
    return bool(_rows_of(claim).filter(cancel_requested=False).update(lease_until=None, updated_at=Now()))


def fail_attempt(claim: Claim, *, error: str, final: bool) -> bool:
    """Record a failed attempt; `final` ends the task as failed.

    Returns False, without effect, if it was fenced or its cancel was requested.
    """
    changes: dict[str, Any] = {
        "failures": claim.failures + 1,  # not F() + 1: the statement is idempotent
        "error": error,
        "lease_until": None,
        "updated_at": Now(),
    }
    if final:
        changes |= {"outcome": task_status.FAILED, "ended_at": Now()}
    return bool(_rows_of(claim).filter(cancel_requested=False).update(**changes))


def end(claim: Claim, *, outcome: str) -> bool:
    """End this worker's task as canceled or stopped. Returns False, without effect, if it was fenced."""
    return bool(_rows_of(claim).update(outcome=outcome, ended_at=Now(), lease_until=None, updated_at=Now()))


def _rows_of(claim: Claim) -> models.QuerySet[TaskCheckpoint]:
    return TaskCheckpoint.objects.filter(task_id=claim.task_id, epoch=claim.epoch, outcome="")
