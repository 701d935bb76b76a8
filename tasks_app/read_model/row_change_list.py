"""The first rows that a dry run has changed, in the order of their records.

Owns the read, from the primary database, so that the list is never behind the task. Must not check whose task it is.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import orjson
from django.db import router

from tasks_app.models import TaskRowChange
from tasks_app.task_types.row_changes import CHANGES


@dataclass(frozen=True, slots=True)
class ListedChange:
    """One row before and after; None: it was inserted, or deleted."""

    position: int  # of the record in the task, from 0
    line: int | None
    model: str
    key: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    values_are_exact: bool


def list_changes(task_id: uuid.UUID) -> list[ListedChange]:
    """Return the first changes of a task; its shards have listed their own first ones. Raises the database's errors."""
    rows = TaskRowChange.objects.using(router.db_for_write(TaskRowChange)).filter(task_id=task_id)
    return [
        ListedChange(
            position=row.position,
            line=row.line,
            model=row.model,
            key=row.key,
            before=None if row.before_json is None else orjson.loads(row.before_json),
            after=None if row.after_json is None else orjson.loads(row.after_json),
            values_are_exact=row.values_are_exact,
        )
        for row in rows.order_by("position", "id")[:CHANGES]
    ]
