"""Reads a task and its history, from the database and from Redis, which is ahead of the mirror.

Owns what a query returns while one of the two is unavailable. Must not write anything, nor use `count` of RQ's
registries, which runs clean-ups.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final, Literal

from tasks_app.domain import task_status
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.errors import QueueUnavailable, StoreUnavailable, UnknownTask
from tasks_app.models import TaskEvent
from tasks_app.queues import job_snapshots, suspended_calls
from tasks_app.read_model.latest_snapshot import is_owned_by, read_newest
from tasks_app.resilience.transient_errors import mapped_database_errors

HISTORY_EVENTS: Final = 1000


@dataclass(frozen=True, slots=True)
class FoundTask:
    """A task; `only_source` names the store that it came from if the other store did not answer, else ""."""

    snapshot: Snapshot
    only_source: Literal["", "redis", "database"] = ""


def get_task(*, task_id: str, owner: str | None = None) -> Snapshot:
    """Return the newest state of a task from Redis, replica and primary. Raises as `find_task` does."""
    return find_task(task_id=task_id, owner=owner).snapshot


def find_task(*, task_id: str, owner: str | None = None) -> FoundTask:
    """Return a task, and the store that it came from if the other store does not answer.

    A client reads its own writes: the task is never missing or older, however far mirror or replica lag. With `owner`,
    only a task of that owner. Raises UnknownTask (also for a malformed id), StoreUnavailable if the database does not
    answer and Redis does not have the task, QueueUnavailable in the reverse case.
    """
    key = _parse_id(task_id)
    in_redis, redis_error = _read_job(str(key))
    if in_redis is not None and (in_redis.parent or not is_owned_by(in_redis, owner)):
        # Clients do not see shards. The same steps and the same result as for a task that does not exist.
        in_redis = None
    if in_redis is not None and in_redis.status == task_status.FINISHED:
        found: FoundTask | None = FoundTask(in_redis)  # a final state: no need to query the database
    else:
        found = _find_in_both(key, in_redis, redis_error=redis_error, owner=owner)
    if found is None:
        raise UnknownTask(task_id)
    return found


def _find_in_both(
    key: uuid.UUID, in_redis: Snapshot | None, *, redis_error: QueueUnavailable | None, owner: str | None
) -> FoundTask | None:
    try:
        snapshot = suspended_calls.run_in_thread(lambda: _read_newest(key, in_redis))
    except StoreUnavailable:
        if in_redis is None:
            raise
        return FoundTask(in_redis, only_source="redis")
    if snapshot is None or not is_owned_by(snapshot, owner):
        if redis_error is not None:
            raise redis_error
        return None
    return FoundTask(snapshot, only_source="database" if redis_error is not None else "")


def _read_newest(key: uuid.UUID, in_redis: Snapshot | None) -> Snapshot | None:
    with mapped_database_errors():
        return read_newest(key, in_redis)


def list_events(*, task_id: str, owner: str | None = None) -> list[TaskEvent]:
    """Return the history of a task, oldest first, HISTORY_EVENTS at most. Raises as `get_task` does."""
    task = get_task(task_id=task_id, owner=owner)
    with mapped_database_errors():
        return list(TaskEvent.objects.filter(task_id=task.id).order_by("pk")[:HISTORY_EVENTS])


def _read_job(task_id: str) -> tuple[Snapshot | None, QueueUnavailable | None]:
    """Return the snapshot of the task's job, or the error of Redis, so that the caller can still read the row."""
    try:
        return job_snapshots.get_snapshot(task_id), None
    except QueueUnavailable as error:
        return None, error


def _parse_id(task_id: str) -> uuid.UUID:
    try:
        return uuid.UUID(task_id)
    except (ValueError, AttributeError, TypeError):
        raise UnknownTask(task_id) from None
