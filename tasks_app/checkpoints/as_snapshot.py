"""A task's snapshot with the state of its checkpoint: epoch, counts and end.

Owns the translation. Must not read or write a store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from tasks_app.domain import task_snapshot, task_status
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.models import TaskCheckpoint


def ended_snapshot(snapshot: Snapshot, row: TaskCheckpoint) -> Snapshot:
    """Return the snapshot of a task with the end that its checkpoint has recorded."""
    ended_at = row.ended_at if isinstance(row.ended_at, datetime) else datetime.now(UTC)
    return with_checkpoint(snapshot.ended_as(row.outcome, at=ended_at, error=row.error or None), row)


def with_checkpoint(snapshot: Snapshot, row: TaskCheckpoint) -> Snapshot:
    """Return the snapshot with the epoch and the progress of the task's checkpoint.

    Names that no chunk has counted yet keep their 0. A finished task gets its total if that was unknown.
    """
    total = row.done if snapshot.total is None and row.outcome == task_status.FINISHED else snapshot.total
    counts = task_snapshot.with_all_counts(snapshot.counts, row.counts)
    return replace(
        snapshot, epoch=row.epoch, done=row.done, failed_records=row.failed_records, counts=counts, total=total
    )


def add_counts(counts: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    """Return the sum of two mappings of counts."""
    total = dict(counts)
    for name, number in more.items():
        total[name] = total.get(name, 0) + number
    return total
