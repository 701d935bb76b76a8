"""Finds the latest snapshot of a task, for the write side: from its job in Redis, else from its row.

Owns this order. Must not read a replica.
"""

from __future__ import annotations

import uuid
from typing import Any

import redis

from tasks_app.domain import task_snapshot
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.queues import redis_keys
from tasks_app.read_model.task_rows import read_snapshot
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
