"""Inserts the first rows that a dry run has changed, in the transaction that moves the cursor past them.

Owns the worker's writes to TaskRowChange. Must not find out what a chunk has changed (task types).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from tasks_app.checkpoints.claims import Claim
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.models import TaskRowChange
from tasks_app.task_types import RowChange
from tasks_app.task_types.row_changes import CHANGES, bound_change


def count_wanted(claim: Claim, snapshot: Snapshot) -> int:
    """Return how many changes are still to be stored for a claimed task, or for a claimed shard of one."""
    if not snapshot.dry_run:
        return 0
    stored = TaskRowChange.objects.filter(task_id=_task_of(snapshot), checkpoint_id=claim.task_id).count()
    return max(0, CHANGES - stored)


def insert_changes(claim: Claim, snapshot: Snapshot, changes: Sequence[RowChange], *, start: int) -> None:
    """Insert the changes of a chunk that began at record `start`."""
    if not changes:
        return
    stored = [bound_change(change, start=start) for change in changes]
    TaskRowChange.objects.bulk_create(
        TaskRowChange(
            task_id=_task_of(snapshot),
            checkpoint_id=claim.task_id,
            position=each.position,
            line=each.line,
            model=each.model,
            key=each.key,
            before_json=each.before,
            after_json=each.after,
            values_are_exact=each.values_are_exact,
        )
        for each in stored
    )


def _task_of(snapshot: Snapshot) -> uuid.UUID:
    return uuid.UUID(snapshot.parent or snapshot.id)
