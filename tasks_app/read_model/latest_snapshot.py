"""Finds the latest snapshot of a task: from its job in Redis, else from its row.

Owns this order, for the write side (which never reads a replica) and for queries (which may).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import redis

from tasks_app.database.replica_router import has_replica, read_lagging
from tasks_app.domain import task_snapshot, task_status
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.models import TaskRecord
from tasks_app.queues import job_snapshots, redis_keys
from tasks_app.read_model.task_rows import read_snapshot, to_snapshot
from tasks_app.resilience import set_aside_items


def find_snapshot(connection: redis.Redis[Any], task_id: uuid.UUID | str) -> Snapshot | None:
    """Return a task's snapshot from its job or its row; None if neither exists or the id is not a task's.

    A snapshot that cannot be decoded is set aside (MySQL); then the row is used.
    """
    data: Any = connection.hget(redis_keys.job_key(str(task_id)), "s")
    if data:
        try:
            return task_snapshot.decode(data)
        except ValueError as error:
            # The next transition of the task rewrites its snapshot, from its row.
            set_aside_items.note(kind=set_aside_items.TASK, key=str(task_id), payload=data, error=error)
    try:
        key = task_id if isinstance(task_id, uuid.UUID) else uuid.UUID(task_id)
    except ValueError:
        return None  # the job of another function
    return read_snapshot(key)


def find_owned_snapshot(task_id: uuid.UUID, *, owner: str | None) -> Snapshot | None:
    """Return a task's snapshot from its job or its row. With `owner`, None for another owner's task.

    Another owner's task takes the same steps as an unknown one, so that the response time reveals nothing. Of a shard
    it returns the shard, whatever its owner. Raises QueueUnavailable and the database's errors.
    """
    snapshot = job_snapshots.get_snapshot(str(task_id))
    if snapshot is not None and snapshot.parent:
        return snapshot
    if snapshot is None or not is_owned_by(snapshot, owner):
        record = TaskRecord.objects.filter(pk=task_id).first()
        snapshot = None if record is None else to_snapshot(record)
    return snapshot if snapshot is not None and is_owned_by(snapshot, owner) else None


def find_snapshots(task_ids: Sequence[str]) -> dict[str, Snapshot | None]:
    """Return snapshots by task id: one round trip to Redis, one query for the tasks whose job Redis no longer has."""
    found = dict(zip(task_ids, job_snapshots.get_snapshots(task_ids), strict=True))
    missing = [task_id for task_id, snapshot in found.items() if snapshot is None]
    for record in TaskRecord.objects.filter(pk__in=missing):
        found[str(record.id)] = to_snapshot(record)
    return found


def read_newest(task_id: uuid.UUID, in_redis: Snapshot | None) -> Snapshot | None:
    """Return the newer one of the job's snapshot and the row, which may come from a replica. For queries.

    Redis keeps a task's job until minutes after its end. Without a job, a lagging row is trusted only if its state is
    final. Raises the database's errors.
    """
    snapshot = read_lagging(lambda: read_snapshot(task_id))
    if has_replica() and in_redis is None and (snapshot is None or snapshot.status != task_status.FINISHED):
        snapshot = read_snapshot(task_id)
    if in_redis is not None and (snapshot is None or task_snapshot.supersedes(in_redis, snapshot)):
        return in_redis
    return snapshot


def is_owned_by(snapshot: Snapshot, owner: str | None) -> bool:
    """Return whether the task is this owner's. Without an owner, every task is."""
    return owner is None or snapshot.owner == owner
