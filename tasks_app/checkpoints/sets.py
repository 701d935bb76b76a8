"""Cancels and reopens the checkpoints of many tasks, each in one transaction, for operators.

The rules for each row are those of cancel_and_reopen.py. Rows are locked in the order of their ids, to avoid deadlocks.
Must not know Redis.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from django.db import IntegrityError, transaction
from django.db.models import F, Q

from tasks_app.checkpoints.cancel_and_reopen import REOPENED, RETRYABLE
from tasks_app.database.clock import Now
from tasks_app.domain import task_status
from tasks_app.models import TaskCheckpoint


def request_cancels(*, task_ids: Sequence[uuid.UUID]) -> tuple[dict[uuid.UUID, str], dict[uuid.UUID, TaskCheckpoint]]:
    """Cancel tasks: at once if no claim on them is valid, else by a request to their workers.

    Returns each task's previous outcome ("" if it had not ended) and its new row.
    """
    while True:
        try:
            with transaction.atomic():
                known = lock_rows(task_ids)
                TaskCheckpoint.objects.bulk_create(
                    [
                        TaskCheckpoint(
                            task_id=task_id, epoch=1, outcome=task_status.CANCELED, ended_at=Now(), updated_at=Now()
                        )
                        for task_id in task_ids
                        if task_id not in known
                    ]
                )
                opened = TaskCheckpoint.objects.filter(
                    task_id__in=[task_id for task_id, row in known.items() if not row.outcome], outcome=""
                )
                claim = Q(lease_until__gte=Now())
                opened.filter(claim).update(cancel_requested=True, updated_at=Now())
                opened.exclude(claim).update(
                    outcome=task_status.CANCELED,
                    epoch=F("epoch") + 1,
                    cancel_requested=True,
                    lease_until=None,
                    ended_at=Now(),
                    updated_at=Now(),
                )
                rows = {row.task_id: row for row in TaskCheckpoint.objects.filter(task_id__in=list(task_ids))}
                before = {task_id: known[task_id].outcome if task_id in known else "" for task_id in task_ids}
                return before, rows
        except IntegrityError:
            continue  # a worker has claimed one of them first: read them again


def reopen(*, task_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, TaskCheckpoint]:
    """Reopen failed, stopped and canceled tasks. Returns the new rows of those that were reopened."""
    with transaction.atomic():
        ended = [task_id for task_id, row in lock_rows(task_ids).items() if row.outcome in RETRYABLE]
        TaskCheckpoint.objects.filter(task_id__in=ended).update(epoch=F("epoch") + 1, updated_at=Now(), **REOPENED)
        return {row.task_id: row for row in TaskCheckpoint.objects.filter(task_id__in=ended)}


def lock_rows(task_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, TaskCheckpoint]:
    rows = TaskCheckpoint.objects.filter(task_id__in=list(task_ids)).order_by("task_id").select_for_update()
    return {row.task_id: row for row in rows}
