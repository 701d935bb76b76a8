"""A task's snapshot as its checkpoint says it: status, counts, attempts and end.

Owns the translation. Must not read or write a store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tasks_app.domain import task_snapshot, task_status
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.models import TaskCheckpoint


def ended_snapshot(snapshot: Snapshot, row: TaskCheckpoint) -> Snapshot:
    """Return the snapshot of a task as its checkpoint says it ended."""
    return with_checkpoint(
        snapshot,
        row,
        status=row.outcome,
        error=row.error or None,
        ended_at=row.ended_at if isinstance(row.ended_at, datetime) else datetime.now(UTC),
        next_attempt_at=None,
        cause="end",
        actor="",
    )


def with_checkpoint(snapshot: Snapshot, row: TaskCheckpoint, **changes: Any) -> Snapshot:
    """Return the snapshot of a task as far as its checkpoint has come, and with `changes`.

    Names that no chunk has counted yet keep their 0. A finished task whose total was unknown has it now.
    """
    if snapshot.total is None and row.outcome == task_status.FINISHED:
        changes["total"] = row.done
    counts = task_snapshot.with_all_counts(snapshot.counts, row.counts)
    return replace(snapshot, epoch=row.epoch, done=row.done, counts=counts, **changes)


def add_counts(counts: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    """Return the sum of two mappings of counts."""
    total = dict(counts)
    for name, number in more.items():
        total[name] = total.get(name, 0) + number
    return total
