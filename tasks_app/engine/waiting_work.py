"""The part of the interruption check that reads Redis: is the queue paused, does a more urgent task wait?

Owns which waiting task preempts a running one: an urgent task of its own queue, or any task of `high`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis

from tasks_app.engine.interruption import Interruption
from tasks_app.queues import parked_tasks, queue_names, redis_keys


def check_waiting_work(
    connection: redis.Redis[Any], *, queue: str, served_queues: Sequence[str], served_types: Sequence[str]
) -> Interruption:
    """Return whether a task of `queue` stops (its queue is paused), is preempted, or continues. One round trip."""
    pipeline = connection.pipeline(transaction=False)
    pipeline.exists(redis_keys.paused_key(queue), redis_keys.SUSPENDED_KEY)
    pipeline.scard(redis_keys.urgent_key(queue))
    pipeline.llen(redis_keys.queue_key(queue_names.HIGH))
    pipeline.exists(redis_keys.paused_key(queue_names.HIGH))
    pipeline.smembers(parked_tasks.PARKED_LISTS_KEY)
    paused, urgent, high_waiting, high_paused, places = pipeline.execute()
    if paused:
        return Interruption.STOP
    if urgent:
        return Interruption.PREEMPT
    if queue == queue_names.HIGH or queue_names.HIGH not in served_queues or high_paused:
        return Interruption.CONTINUE
    is_high_waiting = high_waiting or parked_tasks.holds_any_of(places, queue_name=queue_names.HIGH, types=served_types)
    return Interruption.PREEMPT if is_high_waiting else Interruption.CONTINUE
