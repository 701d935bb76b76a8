"""Cancels tasks and reopens ended ones, in the checkpoint.

Owns the rules of both. Each is one short transaction. Must not know Redis.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from tasks_app.checkpoints.checkpoint_rows import lock_row
from tasks_app.domain import task_status
from tasks_app.models import TaskCheckpoint

# What an end's undoing writes, for one row and for sets.
REOPENED: Final[Mapping[str, Any]] = {
    "outcome": "",
    "failures": 0,
    "cancel_requested": False,
    "error": "",
    "ended_at": None,
    "lease_until": None,
}


RETRYABLE: Final = (task_status.FAILED, task_status.STOPPED, task_status.CANCELED)


def request_cancel(*, task_id: uuid.UUID) -> TaskCheckpoint:
    """Cancel a task: at once where nobody holds it, else by asking its worker. Returns the row as it is then.

    A task that has no checkpoint yet gets one that is canceled, so that it can never be claimed.
    A row that had ended before is returned as it was.
    """
    while True:
        with transaction.atomic():
            row = lock_row(task_id)
            if row is None:
                try:
                    with transaction.atomic():
                        return TaskCheckpoint.objects.create(
                            task_id=task_id, epoch=1, outcome=task_status.CANCELED, ended_at=Now(), updated_at=Now()
                        )
                except IntegrityError:
                    continue
            if row.outcome:
                return row
            if row.lease_until is not None and not row.has_expired:  # type: ignore[attr-defined]
                row.cancel_requested = True
                TaskCheckpoint.objects.filter(task_id=task_id).update(cancel_requested=True, updated_at=Now())
                return row
            end_canceled(row)
            return row


def reopen(*, task_id: uuid.UUID) -> tuple[TaskCheckpoint | None, bool]:
    """Undo the end of a failed, stopped or canceled task, for an explicit retry: attempts begin anew, rows stay.

    Returns the row as it is then, and whether it was reopened now.
    """
    with transaction.atomic():
        row = lock_row(task_id)
        if row is None or row.outcome not in RETRYABLE:
            return row, False
        _reopen(row)
        return row, True


def lift_epoch(*, task_id: uuid.UUID, above: int) -> TaskCheckpoint:
    """Raise the epoch of a task that nobody claims over `above`, the one that Redis knows; makes the checkpoint if need be.

    For a database that is older than Redis: with a lower epoch every move in Redis would be refused. Returns the row as
    it is then; one that is claimed is left as it is, and so is an end that no retry has undone.
    """
    while True:
        with transaction.atomic():
            row = lock_row(task_id)
            if row is None:
                try:
                    with transaction.atomic():
                        return TaskCheckpoint.objects.create(task_id=task_id, epoch=above + 1, updated_at=Now())
                except IntegrityError:
                    continue
            reopen_as_redis_says(row, above)
            if not row.outcome and row.lease_until is None and row.epoch <= above:
                row.epoch = above + 1
                TaskCheckpoint.objects.filter(task_id=task_id).update(epoch=row.epoch, updated_at=Now())
            return row


def _reopen(row: TaskCheckpoint) -> None:
    """Undo a task's end; its attempts begin anew. The caller holds the row's lock."""
    row.epoch += 1
    for name, value in REOPENED.items():
        setattr(row, name, value)
    TaskCheckpoint.objects.filter(task_id=row.task_id).update(epoch=row.epoch, updated_at=Now(), **REOPENED)


def reopen_as_redis_says(row: TaskCheckpoint, above: int) -> None:
    """Undo an end that is older than what Redis knows: a restored database has lost the retry that followed."""
    if row.outcome in RETRYABLE and row.epoch < above:
        _reopen(row)


def end_canceled(row: TaskCheckpoint) -> None:
    """End a task as canceled that no living worker holds. The caller holds the row's lock."""
    row.outcome = task_status.CANCELED
    row.epoch += 1
    TaskCheckpoint.objects.filter(task_id=row.task_id).update(
        outcome=row.outcome,
        epoch=row.epoch,
        cancel_requested=True,
        lease_until=None,
        ended_at=Now(),
        updated_at=Now(),
    )
