"""The read side: a task, its history, the queues. Reads TaskRecord, and Redis where the mirror has not come by.

Must not write anything, nor use RQ's registries' `count`, which runs clean-ups.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final, Literal

from tasks_app.database.replica_router import has_replica, read_lagging
from tasks_app.domain import task_snapshot, task_status
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.errors import QueueUnavailable, StoreUnavailable, UnknownTask
from tasks_app.models import TaskEvent
from tasks_app.queues import job_snapshots
from tasks_app.read_model.task_rows import read_snapshot
from tasks_app.resilience.transient_errors import mapped_errors

HISTORY_EVENTS: Final = 1000


@dataclass(frozen=True, slots=True)
class FoundTask:
    """A task, and the one store that was asked while the other one does not answer; "" where nothing was missing."""

    snapshot: Snapshot
    only_source: Literal["", "redis", "database"] = ""


def get_task(*, task_id: str, owner: str | None = None) -> Snapshot:
    """Return a task as the newest of what Redis, the replica and the primary know of it. Raises as `find_task` does."""
    return find_task(task_id=task_id, owner=owner).snapshot


def find_task(*, task_id: str, owner: str | None = None) -> FoundTask:
    """Return a task, and which store alone has told of it while the other one does not answer.

    Whoever has started, canceled or retried it never sees it missing or going backwards, however far the mirror or
    the replica lags. With `owner` only a task of theirs. Raises UnknownTask (a malformed id is one), StoreUnavailable
    where the database does not answer and Redis does not know the task, QueueUnavailable where it is the reverse.
    """
    key = _parse_id(task_id)
    in_redis, redis_error = _read_job(str(key))
    if in_redis is not None and (in_redis.parent or not _is_of(in_redis, owner)):
        # A shard is no task to anybody outside. The same steps, and the same answers, as for a task that does not exist.
        in_redis = None
    if in_redis is not None and in_redis.status == task_status.FINISHED:
        found: FoundTask | None = FoundTask(in_redis)  # nothing can follow: no need to ask the database
    else:
        found = _find_in_both(key, in_redis, redis_error=redis_error, owner=owner)
    if found is None:
        raise UnknownTask(task_id)
    return found


def _find_in_both(
    key: uuid.UUID, in_redis: Snapshot | None, *, redis_error: QueueUnavailable | None, owner: str | None
) -> FoundTask | None:
    try:
        snapshot = _read_newest(key, in_redis)
    except StoreUnavailable:
        if in_redis is None:
            raise
        return FoundTask(in_redis, only_source="redis")
    if snapshot is None or not _is_of(snapshot, owner):
        if redis_error is not None:
            raise redis_error
        return None
    return FoundTask(snapshot, only_source="database" if redis_error is not None else "")


def _is_of(snapshot: Snapshot, owner: str | None) -> bool:
    return owner is None or snapshot.owner == owner


def _read_newest(key: uuid.UUID, in_redis: Snapshot | None) -> Snapshot | None:
    with mapped_errors():
        snapshot = read_lagging(lambda: read_snapshot(key))
        # Redis keeps a task's job until minutes after its end. Without one, a lagging row is believed only where
        # nothing can have followed.
        if has_replica() and in_redis is None and (snapshot is None or snapshot.status != task_status.FINISHED):
            snapshot = read_snapshot(key)
    if in_redis is not None and (snapshot is None or task_snapshot.supersedes(in_redis, snapshot)):
        return in_redis
    return snapshot


def list_events(*, task_id: str, owner: str | None = None) -> list[TaskEvent]:
    """Return the history of a task, oldest first, HISTORY_EVENTS at most. Raises as `get_task` does."""
    task = get_task(task_id=task_id, owner=owner)
    with mapped_errors():
        return list(TaskEvent.objects.filter(task_id=task.id).order_by("pk")[:HISTORY_EVENTS])


def _read_job(task_id: str) -> tuple[Snapshot | None, QueueUnavailable | None]:
    """Return what the task's job says, and why Redis could not be asked: its row still can."""
    try:
        return job_snapshots.get_snapshot(task_id), None
    except QueueUnavailable as error:
        return None, error


def _parse_id(task_id: str) -> uuid.UUID:
    try:
        return uuid.UUID(task_id)
    except (ValueError, AttributeError, TypeError):
        raise UnknownTask(task_id) from None
