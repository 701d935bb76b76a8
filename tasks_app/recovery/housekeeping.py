"""Removes expired entries of RQ's registries of ended jobs, and the names of workers whose hash is gone."""

from __future__ import annotations

from typing import Any

import redis

from tasks_app.queues import queue_names
from tasks_app.recovery.registry_members import read_time


def remove_expired(connection: redis.Redis[Any]) -> None:
    """Remove both. Idempotent: RQ's own workers do the same."""
    now = read_time(connection)
    pipeline = connection.pipeline(transaction=False)
    for name in queue_names.QUEUES:
        for kind in ("finished", "failed", "canceled"):
            pipeline.zremrangebyscore(f"rq:{kind}:{name}", 0, now)
    pipeline.smembers("rq:workers")
    keys = pipeline.execute()[-1]
    for key in keys:
        if not connection.exists(key):
            pipeline.srem("rq:workers", key)
            for name in queue_names.QUEUES:
                pipeline.srem(f"rq:workers:{name}", key)
    pipeline.execute()
