"""Removes expired entries of RQ's registries of ended jobs, and the names of workers whose hash is gone.

Owns this clean-up. Must not touch jobs.
"""

from __future__ import annotations

from typing import Any

import redis

from tasks_app.queues import queue_names, redis_keys
from tasks_app.queues.redis_time import read_time


def remove_expired(connection: redis.Redis[Any]) -> None:
    """Remove both. RQ's own workers do the same, if there are any."""
    now = read_time(connection)
    pipeline = connection.pipeline(transaction=False)
    for name in queue_names.QUEUES:
        for key in redis_keys.list_ended_keys(name):
            pipeline.zremrangebyscore(key, 0, now)
    pipeline.smembers(redis_keys.WORKERS_KEY)
    workers = pipeline.execute()[-1]
    for worker in workers:
        if not connection.exists(worker):
            pipeline.srem(redis_keys.WORKERS_KEY, worker)
            for name in queue_names.QUEUES:
                pipeline.srem(redis_keys.workers_of_key(name), worker)
    pipeline.execute()
