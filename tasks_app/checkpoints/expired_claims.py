"""Finds claims whose lease has expired, and releases them for the next worker.

Owns what an expired lease costs a task. Must not know Redis, nor which workers are alive.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import DateTimeField, ExpressionWrapper, Value

from tasks_app.checkpoints.cancel_and_reopen import end_canceled
from tasks_app.checkpoints.checkpoint_rows import lock_row
from tasks_app.conf import settings
from tasks_app.database.clock import Now
from tasks_app.domain import task_status
from tasks_app.models import TaskCheckpoint

SILENT_WORKER: Final = (
    "The worker that ran this task died or fell silent before it could commit a chunk ({cause}): "
    "attempt {failures} of {attempts}."
)
UNKNOWN_CAUSE: Final = "killed, out of memory, a crash of the interpreter"


def expire(
    *, task_id: uuid.UUID, dead_worker: str = "", is_attempt: bool = True, cause: str = ""
) -> TaskCheckpoint | None:
    """Release an expired claim, so that the task can be requeued. Returns the new row; None if no claim has expired.

    A claim of `dead_worker`, whose death is certain, is released before its lease expires. Without `is_attempt` this
    costs no attempt. `cause` is what ended the worker, if that is known, for the task's error. The new row has an
    outcome if that was the last attempt, or if a cancel was waiting for that worker.
    """
    with transaction.atomic():
        row = lock_row(task_id, skip_locked=True)
        if row is None or row.outcome or row.lease_until is None:
            return None
        if not row.has_expired and (not dead_worker or row.worker != dead_worker):  # type: ignore[attr-defined]
            return None
        if row.cancel_requested:
            end_canceled(row)
        elif not (is_attempt and count_expired_claim(row, cause=cause)):
            row.epoch += 1
            row.lease_until = None
            TaskCheckpoint.objects.filter(task_id=task_id).update(epoch=row.epoch, lease_until=None, updated_at=Now())
        return row


def list_expired(*, limit: int) -> list[uuid.UUID]:
    """Return tasks whose claim has expired, the earliest first."""
    return list(
        TaskCheckpoint.objects.filter(outcome="", lease_until__lt=Now())
        .order_by("lease_until")
        .values_list("task_id", flat=True)[:limit]
    )


def list_unclaimed(*, older_than_seconds: float, limit: int) -> list[TaskCheckpoint]:
    """Return open, unclaimed checkpoints that have not changed for a while."""
    age = ExpressionWrapper(Now() - Value(timedelta(seconds=older_than_seconds)), output_field=DateTimeField())
    rows = TaskCheckpoint.objects.filter(outcome="", lease_until=None, updated_at__lt=age)
    return list(rows.order_by("-updated_at")[:limit])


def count_expired_claim(row: TaskCheckpoint, *, cause: str = "") -> bool:
    """Count an expired claim as a failed attempt. Returns whether that ended the task. The caller has locked the row."""
    if row.done > row.claimed_done:
        return False  # the claim has committed a chunk, so the task makes progress
    attempts = row.max_attempts or settings.LONGTASKS.retry_attempts
    row.failures += 1
    row.error = SILENT_WORKER.format(cause=cause or UNKNOWN_CAUSE, failures=row.failures, attempts=attempts)
    changes: dict[str, Any] = {"failures": row.failures, "error": row.error}
    if row.failures >= attempts:
        row.outcome = task_status.FAILED
        row.epoch += 1
        changes |= {
            "outcome": row.outcome,
            "epoch": row.epoch,
            "lease_until": None,
            "ended_at": Now(),
            "updated_at": Now(),
        }
    TaskCheckpoint.objects.filter(task_id=row.task_id).update(**changes)
    return bool(row.outcome)
