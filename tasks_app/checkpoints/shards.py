"""Shards: many workers run the parts of one big task at once; clients see one task.

Owns the split of a task into ranges of records or by a plan, and the parent's progress: each chunk of a shard commits
together with the shard's checkpoint and the parent's. The parent has finished when its count reaches its total, or, if it
was planned, when all shards have. Any other end of the parent (cancel, failure) ends the shards at their next chunk. Must
not know Redis.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

from django.db import transaction
from django.db.models import F

from tasks_app.checkpoints import as_snapshot
from tasks_app.checkpoints.claims import Claim, Fenced
from tasks_app.conf import settings
from tasks_app.database.clock import Now
from tasks_app.domain import task_status
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.models import TaskCheckpoint
from tasks_app.task_types import ChunkResult, Plan, TaskProgress, get_task_type

MAX_SHARDS: Final = 256  # per task; a bigger task has shards of more than SHARD_RECORDS


class ParentChanged(Exception):
    """The shard's task has ended, or was split again: the running chunk is rolled back, and the shard ends."""


def get_split_total(claim: Claim, snapshot: Snapshot) -> int | None:
    """Return the number of records to split into shards; None if the task is not to be split.

    A task is split if its type allows it and it has more than SHARD_RECORDS records, or if it was split before. A task
    that has committed a chunk unsplit (SHARD_RECORDS has changed since) continues unsplit: shards would count its
    records twice. The plan of a planned task decides whether it is split, so here only whether it was split before counts.
    """
    task_type = get_task_type(snapshot.name)
    if snapshot.parent or snapshot.total is None or not (task_type.splittable or task_type.is_planned):
        return None
    if task_type.is_planned:
        return snapshot.total if _was_split(claim.task_id) else None
    most = settings.LONGTASKS.shard_records
    is_split = (0 < most < snapshot.total and not claim.done) or _was_split(claim.task_id)
    return snapshot.total if is_split else None


def split(
    claim: Claim, snapshot: Snapshot, *, total: int, prepare: Callable[[], Mapping[str, Any] | Plan]
) -> tuple[list[Snapshot], bool]:
    """Split a claimed task and release it. Returns the unfinished shards, and whether all of them are new.

    A task that was split before keeps its shards and their progress. Running shards are fenced; failed, stopped and
    canceled ones are reopened. `prepare` is called outside any transaction when a task is split for the first time; it
    returns the initial state of all shards, which are ranges of records, or a plan with parts, which become the shards.
    Raises Fenced, and what `prepare` raises.
    """
    first_time = not _was_split(claim.task_id)
    prepared: Mapping[str, Any] | Plan = prepare() if first_time else {}
    planned: dict[str, Any] = {}
    with transaction.atomic():
        parent = TaskCheckpoint.objects.select_for_update().filter(task_id=claim.task_id).first()
        if parent is None or parent.epoch != claim.epoch or parent.outcome or parent.cancel_requested:
            raise Fenced
        if not parent.shards:
            if isinstance(prepared, Plan):
                rows = _make_planned_rows(claim, prepared)
                planned = {"total": prepared.total, "total_is_estimate": prepared.is_estimate, "open_shards": len(rows)}
            else:
                rows = _make_rows(claim, total=total, state=prepared)
            TaskCheckpoint.objects.bulk_create(rows)
            parent.shards = len(rows)
        else:
            unfinished = TaskCheckpoint.objects.filter(parent_id=claim.task_id).exclude(outcome=task_status.FINISHED)
            unfinished.update(
                epoch=F("epoch") + 1,
                outcome="",
                error="",
                failures=0,
                cancel_requested=False,
                lease_until=None,
                ended_at=None,
                updated_at=Now(),
            )
        TaskCheckpoint.objects.filter(task_id=claim.task_id).update(
            shards=parent.shards, lease_until=None, updated_at=Now(), **planned
        )
        open_shards = list(TaskCheckpoint.objects.filter(parent_id=claim.task_id, outcome="").order_by("first"))
    return [_to_snapshot(row, snapshot, parent_epoch=claim.epoch, total=total) for row in open_shards], first_time


def advance_parent(shard: Snapshot, result: ChunkResult, *, finished: bool, failed_records: int = 0) -> TaskCheckpoint:
    """Add a shard's chunk to its task, inside the chunk's transaction, after the shard's own checkpoint.

    `finished`: this was the shard's last chunk, which its own checkpoint has recorded for the first and only time.
    Returns the task's row with its progress, locked. If it raises ParentChanged, the transaction must be rolled back.
    """
    rows = TaskCheckpoint.objects.filter(task_id=uuid.UUID(shard.parent))
    row = rows.select_for_update().first()
    if row is None or row.outcome or row.epoch != shard.parent_epoch or row.cancel_requested:
        raise ParentChanged(shard.parent)
    row.done += result.done
    row.failed_records += failed_records
    row.counts = as_snapshot.add_counts(row.counts, result.counts)
    changes: dict[str, Any] = {
        "done": row.done,
        "failed_records": row.failed_records,
        "counts": row.counts,
        "updated_at": Now(),
    }
    if result.result is not None:
        changes["result"] = result.result
    is_end = row.done >= shard.parent_total
    if row.open_shards is not None:
        # Counted here and not by a query: the shards that have finished meanwhile may be invisible to this transaction.
        row.open_shards -= finished
        changes["open_shards"] = row.open_shards
        is_end = row.open_shards == 0
    if is_end:
        row.outcome = task_status.FINISHED
        changes |= {"outcome": row.outcome, "ended_at": Now()}
    rows.update(**changes)
    return row


def read_progress(task_id: uuid.UUID) -> TaskProgress:
    """Return how far a split task is. Inside a transaction its row is locked, and what is returned stays true."""
    rows = TaskCheckpoint.objects.filter(task_id=task_id)
    if transaction.get_connection().in_atomic_block:
        rows = rows.select_for_update()
    return TaskProgress(*rows.values_list("done", "open_shards").get())


def may_continue(shard: Snapshot) -> bool:
    """Return whether the shard's task is unchanged since its split and not to be canceled. Takes no lock."""
    rows = TaskCheckpoint.objects.filter(task_id=uuid.UUID(shard.parent), epoch=shard.parent_epoch, outcome="")
    return rows.filter(cancel_requested=False).exists()


def end_parent(*, task_id: uuid.UUID, epoch: int, outcome: str, error: str = "") -> bool:
    """End a split task because one of its shards has failed or was stopped.

    Returns False, without effect, if it has ended or its epoch is no longer `epoch`.
    """
    rows = TaskCheckpoint.objects.filter(task_id=task_id, epoch=epoch, outcome="")
    return bool(rows.update(outcome=outcome, error=error, ended_at=Now(), updated_at=Now()))


def find_split_tasks(
    task_ids: Sequence[uuid.UUID],
) -> tuple[list[TaskCheckpoint], dict[uuid.UUID, list[TaskCheckpoint]]]:
    """Return the checkpoints of these split tasks, and the unfinished shards of each that is open."""
    parents = list(TaskCheckpoint.objects.filter(task_id__in=task_ids))
    parts: dict[uuid.UUID, list[TaskCheckpoint]] = {row.task_id: [] for row in parents if not row.outcome}
    for part in TaskCheckpoint.objects.filter(parent_id__in=parts).exclude(outcome=task_status.FINISHED):
        if part.parent_id in parts:
            parts[part.parent_id].append(part)
    return parents, parts


def end_parent_of(shard: Snapshot, *, outcome: str, error: str = "") -> None:
    """End the task of a shard with the shard's outcome. No effect if the task was split again since."""
    end_parent(task_id=uuid.UUID(shard.parent), epoch=shard.parent_epoch, outcome=outcome, error=error)


def read_parent(shard: Snapshot) -> TaskCheckpoint | None:
    """Return the checkpoint of a shard's task; None if the task was split again since."""
    return TaskCheckpoint.objects.filter(task_id=uuid.UUID(shard.parent), epoch=shard.parent_epoch).first()


def _was_split(task_id: uuid.UUID) -> bool:
    return TaskCheckpoint.objects.filter(task_id=task_id, shards__gt=0).exists()


def _make_rows(claim: Claim, *, total: int, state: Mapping[str, Any]) -> list[TaskCheckpoint]:
    size = max(settings.LONGTASKS.shard_records, math.ceil(total / MAX_SHARDS))
    return [
        TaskCheckpoint(
            task_id=uuid.uuid5(claim.task_id, f"shard {first}"),
            parent_id=claim.task_id,
            first=first,
            size=min(size, total - first),
            state=dict(state),
            updated_at=Now(),
        )
        for first in range(0, total, size)
    ]


def _make_planned_rows(claim: Claim, plan: Plan) -> list[TaskCheckpoint]:
    first = accumulate((part.size for part in plan.parts), initial=0)
    return [
        TaskCheckpoint(
            task_id=uuid.uuid5(claim.task_id, f"part {number}"),
            parent_id=claim.task_id,
            first=start,
            size=part.size,
            state=dict(part.state),
            updated_at=Now(),
        )
        for number, (part, start) in enumerate(zip(plan.parts, first, strict=False))
    ]


def _to_snapshot(row: TaskCheckpoint, parent: Snapshot, *, parent_epoch: int, total: int) -> Snapshot:
    return Snapshot(
        id=str(row.task_id),
        name=parent.name,
        created_at=parent.created_at,
        params=parent.params,
        priority=parent.priority,
        owner=parent.owner,
        max_failures=parent.max_failures,
        dry_run=parent.dry_run,
        scope=parent.scope,
        request_id=parent.request_id,
        done=row.done,
        failed_records=row.failed_records,
        counts=row.counts,
        total=row.size,
        epoch=row.epoch,
        parent=parent.id,
        parent_epoch=parent_epoch,
        parent_total=total,
        first=row.first,
        cause="split",
    )
