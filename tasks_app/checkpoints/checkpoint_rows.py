"""Reads and locks rows of TaskCheckpoint, by the database's clock.

Owns these few statements. Must not change a row.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import timedelta

from django.db import connections, models, router, transaction
from django.db.models import DateTimeField, ExpressionWrapper, Value

from tasks_app.conf import settings
from tasks_app.database.clock import Now
from tasks_app.models import TaskCheckpoint


def get_checkpoints(task_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, TaskCheckpoint]:
    """Return the checkpoints of these tasks, each with `has_expired`: whether its lease has expired."""
    return {row.task_id: row for row in with_clock().filter(task_id__in=list(task_ids))}


def with_clock() -> models.QuerySet[TaskCheckpoint]:
    return TaskCheckpoint.objects.annotate(
        has_expired=models.Case(
            models.When(lease_until__lt=Now(), then=Value(True)),
            default=Value(False),
            output_field=models.BooleanField(),
        )
    )


def lock_row(task_id: uuid.UUID, *, skip_locked: bool = False) -> TaskCheckpoint | None:
    rows = with_clock().filter(task_id=task_id)
    skip = skip_locked and transaction.get_connection().features.has_select_for_update_skip_locked
    return rows.select_for_update(skip_locked=skip).first()


def read_clock() -> str:
    """Return the database's time as text, in the form that its time columns accept."""
    connection = connections[router.db_for_write(TaskCheckpoint)]
    now = "strftime('%Y-%m-%d %H:%M:%f', 'now')" if connection.vendor == "sqlite" else "UTC_TIMESTAMP(6)"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {now}")
        return str(cursor.fetchone()[0])


def lease_end() -> ExpressionWrapper:
    lease = timedelta(seconds=settings.LONGTASKS.lease_seconds)
    return ExpressionWrapper(Now() + Value(lease), output_field=DateTimeField())
