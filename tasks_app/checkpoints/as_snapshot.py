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

    Names that no chunk has counted yet keep their 0.
    """
    counts = task_snapshot.with_all_counts(snapshot.counts, row.counts)
    changed = replace(snapshot, epoch=row.epoch, done=row.done, failed_records=row.failed_records, counts=counts)
    is_finished = row.outcome == task_status.FINISHED
    return with_total(changed, planned=row.total, is_estimate=row.total_is_estimate, is_finished=is_finished)


def with_total(snapshot: Snapshot, *, planned: int | None, is_estimate: bool, is_finished: bool) -> Snapshot:
    """Return the snapshot with its total: the planned one, if there is one, and never less than what is done.

    A finished task that was planned, or whose total was unknown, has the total that it has done.
    """
    if is_finished and (snapshot.total is None or planned is not None):
        return replace(snapshot, total=snapshot.done, total_is_estimate=False)
    if planned is not None:
        return replace(snapshot, total=max(planned, snapshot.done), total_is_estimate=is_estimate)
    return snapshot


def add_counts(counts: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    """Return the sum of two mappings of counts."""
    total = dict(counts)
    for name, number in more.items():
        total[name] = total.get(name, 0) + number
    return total
