"""Cancels tasks and reopens ended ones, in their checkpoints.

Owns the rules of both, each of which is one short transaction. Must not know Redis.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

from django.db import IntegrityError, transaction

from tasks_app.checkpoints.checkpoint_rows import lock_row
from tasks_app.database.clock import Now
from tasks_app.domain import task_status
from tasks_app.models import TaskCheckpoint

# The columns that a reopening writes, for one row and for many.
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
    """Cancel a task: at once if no claim on it is valid, else by a request to its worker. Returns the new row.

    A task without a checkpoint gets a canceled one, so that it can never be claimed. The row of a task that had ended
    before is unchanged.
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
    """Reopen a failed, stopped or canceled task for an explicit retry: attempts restart at 0, committed rows stay.

    Returns the new row, and whether this call has reopened it.
    """
    with transaction.atomic():
        row = lock_row(task_id)
        if row is None or row.outcome not in RETRYABLE:
            return row, False
        _reopen(row)
        return row, True


def raise_epoch(*, task_id: uuid.UUID, above: int) -> TaskCheckpoint:
    """Raise the epoch of an unclaimed task above `above`, the one in Redis. Creates the checkpoint if there is none.

    For a database that is older than Redis, which refuses every transition with a lower epoch. Returns the new row. The
    row of a claimed task is unchanged, and so is an end that no retry has undone.
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
            reopen_if_redis_is_newer(row, above)
            if not row.outcome and row.lease_until is None and row.epoch <= above:
                row.epoch = above + 1
                TaskCheckpoint.objects.filter(task_id=task_id).update(epoch=row.epoch, updated_at=Now())
            return row


def _reopen(row: TaskCheckpoint) -> None:
    """Reopen an ended task; its attempts restart at 0. The caller has locked the row."""
    row.epoch += 1
    for name, value in REOPENED.items():
        setattr(row, name, value)
    TaskCheckpoint.objects.filter(task_id=row.task_id).update(epoch=row.epoch, updated_at=Now(), **REOPENED)


def reopen_if_redis_is_newer(row: TaskCheckpoint, above: int) -> None:
    """Reopen an ended task whose epoch in Redis is higher: a restored database has lost the retry after the end."""
    if row.outcome in RETRYABLE and row.epoch < above:
        _reopen(row)


def end_canceled(row: TaskCheckpoint) -> None:
    """End a task without a valid claim as canceled. The caller has locked the row."""
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
