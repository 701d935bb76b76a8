"""Claims whose lease has expired: finding them, and releasing them for the next worker.

Owns what an expired lease costs. Must not know Redis, nor which workers live.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import DateTimeField, ExpressionWrapper, Value
from django.db.models.functions import Now

from tasks_app.checkpoints.cancel_and_reopen import end_canceled
from tasks_app.checkpoints.checkpoint_rows import lock_row
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
    """Take a claim back that has run out, so that the task can be enqueued again. None: there is none (any more).

    A claim of `dead_worker`, whose death is certain, is taken back before its lease is over. Without `is_attempt` it
    costs the task none. `cause` says in the task's error what ended the worker, where that is known. Returns the row
    as it is then: with an outcome where that was the last attempt, or where a cancel waited for that worker.
    """
    with transaction.atomic():
        row = lock_row(task_id, skip_locked=True)
        if row is None or row.outcome or row.lease_until is None:
            return None
        if not row.has_expired and (not dead_worker or row.worker != dead_worker):  # type: ignore[attr-defined]
            return None
        if row.cancel_requested:
            end_canceled(row)
        elif not (is_attempt and count_missed_heartbeat(row, cause=cause)):
            row.epoch += 1
            row.lease_until = None
            TaskCheckpoint.objects.filter(task_id=task_id).update(epoch=row.epoch, lease_until=None, updated_at=Now())
        return row


def list_expired(*, limit: int) -> list[uuid.UUID]:
    """Return tasks whose claim has run out, longest ago first."""
    return list(
        TaskCheckpoint.objects.filter(outcome="", lease_until__lt=Now())
        .order_by("lease_until")
        .values_list("task_id", flat=True)[:limit]
    )


def list_left_open(*, older_than_seconds: float, limit: int) -> list[TaskCheckpoint]:
    """Return checkpoints that nobody claims and that have not ended, unchanged for a while."""
    age = ExpressionWrapper(Now() - Value(timedelta(seconds=older_than_seconds)), output_field=DateTimeField())
    rows = TaskCheckpoint.objects.filter(outcome="", lease_until=None, updated_at__lt=age)
    return list(rows.order_by("-updated_at")[:limit])


def count_missed_heartbeat(row: TaskCheckpoint, *, cause: str = "") -> bool:
    """Count a claim that ran out; True when that ended the task. The caller holds the row's lock."""
    if row.done > row.claimed_done:
        return False  # it got somewhere: whatever killed the worker was not this task's first step
    row.failures += 1
    row.error = SILENT_WORKER.format(
        cause=cause or UNKNOWN_CAUSE, failures=row.failures, attempts=settings.LONGTASKS.retry_attempts
    )
    changes: dict[str, Any] = {"failures": row.failures, "error": row.error}
    if row.failures >= settings.LONGTASKS.retry_attempts:
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
