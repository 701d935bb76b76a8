"""Shards: how one big task is run by many workers at once, and is one task outside.

Owns the split of a task into ranges and the way back: every chunk of a shard commits together with the shard's
checkpoint and the parent's. The parent's count is the whole truth: it has finished when it reaches its total, and
whatever ends it otherwise (cancel, failure) ends the shards at their next chunk. Must not know Redis.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from tasks_app.checkpoints import as_snapshot
from tasks_app.checkpoints.claims import Claim, Fenced
from tasks_app.domain import task_status
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.models import TaskCheckpoint
from tasks_app.task_types import ChunkResult, get_task_type

MOST: Final = 256  # shards of a task at most; they grow beyond SHARD_RECORDS then


class ParentGone(Exception):
    """The shard's task has ended, or was split anew: the running chunk is rolled back, and the shard ends."""


def must_split(claim: Claim, snapshot: Snapshot) -> bool:
    """Tell whether a task is to be split: its type allows it and it has more than SHARD_RECORDS, or it was before.

    One that has begun as a whole goes on as a whole: it would count twice what it has done (another SHARD_RECORDS).
    """
    if snapshot.parent or snapshot.total is None or not get_task_type(snapshot.name).splittable:
        return False
    most = settings.LONGTASKS.shard_records
    return (0 < most < snapshot.total and not claim.done) or _was_split(claim.task_id)


def split(claim: Claim, snapshot: Snapshot, *, prepare: Callable[[], Mapping[str, Any]]) -> tuple[list[Snapshot], bool]:
    """Split a claimed task and let go of it. Returns the shards that are not done, and whether all of them are new.

    A task that was split before keeps its shards, with what they have committed; those that run are fenced, those
    that had ended otherwise are open again. `prepare` is called for a task that is split for the first time, outside of
    any transaction, and returns the state that all shards begin with. Raises Fenced, and what `prepare` raises.
    """
    first_time = not _was_split(claim.task_id)
    state: Mapping[str, Any] = {}
    if first_time:
        state = prepare()
    with transaction.atomic():
        parent = TaskCheckpoint.objects.select_for_update().filter(task_id=claim.task_id).first()
        if parent is None or parent.epoch != claim.epoch or parent.outcome or parent.cancel_requested:
            raise Fenced
        if not parent.shards:
            rows = _make_rows(claim, snapshot, state)
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
            shards=parent.shards, lease_until=None, updated_at=Now()
        )
        open_shards = list(TaskCheckpoint.objects.filter(parent_id=claim.task_id, outcome="").order_by("first"))
    return [_to_snapshot(row, snapshot, parent_epoch=claim.epoch) for row in open_shards], first_time


def advance_parent(shard: Snapshot, result: ChunkResult) -> None:
    """Add a shard's chunk to its task, inside the chunk's transaction, after the shard's own checkpoint.

    Raises ParentGone, and the transaction must be rolled back then.
    """
    rows = TaskCheckpoint.objects.filter(task_id=uuid.UUID(shard.parent))
    row = rows.select_for_update().first()
    if row is None or row.outcome or row.epoch != shard.parent_epoch or row.cancel_requested:
        raise ParentGone(shard.parent)
    done = row.done + result.done
    counts = as_snapshot.add_counts(row.counts, result.counts)
    changes: dict[str, Any] = {"done": done, "counts": counts, "updated_at": Now()}
    if done >= shard.parent_total:
        changes |= {"outcome": task_status.FINISHED, "ended_at": Now()}
    rows.update(**changes)


def may_continue(shard: Snapshot) -> bool:
    """Tell whether the shard's task is still the one that was split, and shall not be canceled. Takes no lock."""
    rows = TaskCheckpoint.objects.filter(task_id=uuid.UUID(shard.parent), epoch=shard.parent_epoch, outcome="")
    return rows.filter(cancel_requested=False).exists()


def end_parent(*, task_id: uuid.UUID, epoch: int, outcome: str, error: str = "") -> bool:
    """End a split task because one of its shards has failed or was stopped.

    False where it has ended, or changed hands since it had `epoch`: nothing was changed.
    """
    rows = TaskCheckpoint.objects.filter(task_id=task_id, epoch=epoch, outcome="")
    return bool(rows.update(outcome=outcome, error=error, ended_at=Now(), updated_at=Now()))


def find_split_tasks(
    task_ids: Sequence[uuid.UUID],
) -> tuple[list[TaskCheckpoint], dict[uuid.UUID, list[TaskCheckpoint]]]:
    """Return the checkpoints of these split tasks, and for each that is open its shards that have not finished."""
    parents = list(TaskCheckpoint.objects.filter(task_id__in=task_ids))
    parts: dict[uuid.UUID, list[TaskCheckpoint]] = {row.task_id: [] for row in parents if not row.outcome}
    for part in TaskCheckpoint.objects.filter(parent_id__in=parts).exclude(outcome=task_status.FINISHED):
        assert part.parent_id is not None
        parts[part.parent_id].append(part)
    return parents, parts


def end_parent_of(shard: Snapshot, *, outcome: str, error: str = "") -> None:
    """End the task of a shard that has just ended so; nothing where it was split anew since."""
    end_parent(task_id=uuid.UUID(shard.parent), epoch=shard.parent_epoch, outcome=outcome, error=error)


def read_parent(shard: Snapshot) -> TaskCheckpoint | None:
    """Return the checkpoint of a shard's task; None where it was split anew since."""
    return TaskCheckpoint.objects.filter(task_id=uuid.UUID(shard.parent), epoch=shard.parent_epoch).first()


def _was_split(task_id: uuid.UUID) -> bool:
    return TaskCheckpoint.objects.filter(task_id=task_id, shards__gt=0).exists()


def _make_rows(claim: Claim, snapshot: Snapshot, state: Mapping[str, Any]) -> list[TaskCheckpoint]:
    assert snapshot.total is not None
    size = max(settings.LONGTASKS.shard_records, math.ceil(snapshot.total / MOST))
    return [
        TaskCheckpoint(
            task_id=uuid.uuid5(claim.task_id, f"shard {first}"),
            parent_id=claim.task_id,
            first=first,
            size=min(size, snapshot.total - first),
            state=dict(state),
            updated_at=Now(),
        )
        for first in range(0, snapshot.total, size)
    ]


def _to_snapshot(row: TaskCheckpoint, parent: Snapshot, *, parent_epoch: int) -> Snapshot:
    return Snapshot(
        id=str(row.task_id),
        name=parent.name,
        created_at=parent.created_at,
        params=parent.params,
        priority=parent.priority,
        owner=parent.owner,
        scope=parent.scope,
        request_id=parent.request_id,
        done=row.done,
        counts=row.counts,
        total=row.size,
        epoch=row.epoch,
        parent=parent.id,
        parent_epoch=parent_epoch,
        parent_total=parent.total or 0,
        first=row.first,
        cause="split",
    )
