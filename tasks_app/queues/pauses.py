"""Pauses of queues as the workers see them: a key for each paused queue, and RQ's own suspension of all.

Owns these keys. The durable state of a pause is QueueState in the database (services/pause_queues.py).
"""

from __future__ import annotations

from rq.utils import utcformat

from tasks_app.queues import queue_names
from tasks_app.queues.full_redis import set_when_full
from tasks_app.queues.redis_clock import clock
from tasks_app.queues.redis_connection import get_connection, mapped_redis_errors
from tasks_app.queues.redis_keys import SUSPENDED_KEY, paused_key


def list_paused() -> list[str]:
    """Return the queues that are paused in Redis, which is what workers read."""
    with mapped_redis_errors():
        pipeline = get_connection().pipeline(transaction=False)
        for name in queue_names.QUEUES:
            pipeline.exists(paused_key(name))
        return [name for name, paused in zip(queue_names.QUEUES, pipeline.execute(), strict=True) if paused]


def write_pause(queue: str, *, paused: bool) -> None:
    """Publish to the workers whether a queue is paused, even in a full Redis. The durable state is QueueState."""
    with mapped_redis_errors():
        if paused:
            set_when_full(get_connection(), paused_key(queue), utcformat(clock.now()))
        else:
            get_connection().delete(paused_key(queue))


def write_suspension(*, suspended: bool, seconds: int = 0) -> None:
    """Suspend all queues, as `rq suspend` does, or resume them. With `seconds` a suspension expires. Works in a full Redis."""
    with mapped_redis_errors():
        if suspended:
            set_when_full(get_connection(), SUSPENDED_KEY, "1", seconds=seconds)
        else:
            get_connection().delete(SUSPENDED_KEY)


def is_suspended() -> bool:
    """Return whether all queues are suspended, as `rq suspend` does."""
    with mapped_redis_errors():
        return bool(get_connection().exists(SUSPENDED_KEY))
