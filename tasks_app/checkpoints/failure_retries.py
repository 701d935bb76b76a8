"""Which entries of a task's list of failures were given to another task: each to one, so that no record is run twice.

Owns the note in the checkpoint of the task whose records failed. Must not start tasks, nor know Redis.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Max

from tasks_app.checkpoints.checkpoint_rows import lock_row
from tasks_app.models import TaskCheckpoint, TaskFailure
from tasks_app.task_types.failure_lists import FailureRange


@dataclass(frozen=True, slots=True)
class FailuresRetry:
    """The task that was given some failures of another one; `request`: a digest of the idempotency key, or ""."""

    retry_id: str
    failures: FailureRange
    request: str = ""


def read_retry(task_id: uuid.UUID) -> FailuresRetry | None:
    """Return the newest retry of a task's failures; None if there is none."""
    row = TaskCheckpoint.objects.filter(task_id=task_id).only("task_id", "failures_retry").first()
    return None if row is None else _decode(row)


def reserve_failures(*, task_id: uuid.UUID, retry_id: str, request: str) -> FailuresRetry | None:
    """Note that a new task gets the failures that no other task was given, of a task that has ended.

    Returns None, without effect, if there are none, or if the task runs again.
    """
    with transaction.atomic():
        row = lock_row(task_id)
        if row is None or not row.outcome:
            return None
        before = _decode(row)
        after = 0 if before is None else before.failures.up_to
        newest = TaskFailure.objects.filter(task_id=task_id).aggregate(newest=Max("id"))["newest"]
        if newest is None or newest <= after:
            return None
        made = FailuresRetry(retry_id, FailureRange(task_id, after, newest), request)
        _write(made, before=row.failures_retry)
        return made


def undo_reservation(retry: FailuresRetry) -> None:
    """Remove a note whose task was not started; the failures can be given to another one."""
    with transaction.atomic():
        row = lock_row(retry.failures.task_id)
        if row is None or row.failures_retry is None or row.failures_retry["task"] != retry.retry_id:
            return
        TaskCheckpoint.objects.filter(task_id=row.task_id).update(failures_retry=row.failures_retry["before"])


def _write(retry: FailuresRetry, *, before: dict[str, Any] | None) -> None:
    note = {
        "task": retry.retry_id,
        "after": retry.failures.after,
        "upTo": retry.failures.up_to,
        "request": retry.request,
        "before": before
        and before | {"before": None},  # one step back is enough: nothing was started with the new note
    }
    TaskCheckpoint.objects.filter(task_id=retry.failures.task_id).update(failures_retry=note)


def _decode(row: TaskCheckpoint) -> FailuresRetry | None:
    note = row.failures_retry
    if note is None:
        return None
    failures = FailureRange(row.task_id, int(note["after"]), int(note["upTo"]))
    return FailuresRetry(note["task"], failures, note["request"])
