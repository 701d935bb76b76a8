"""Removed queues: the setting QUEUES no longer names them, and tasks may still wait there.

Owns where such tasks go: to the queue of their type. Must not move them (recovery does) nor know SQL.
"""

from __future__ import annotations

from typing import Any

import redis

from tasks_app.domain import task_status
from tasks_app.queues import job_snapshots, parked_tasks, queue_names, redis_keys
from tasks_app.queues.transitions import Transition
from tasks_app.task_types import find_own_queue


def list_names(connection: redis.Redis[Any]) -> list[str]:
    """Return the queues that have held tasks and that QUEUES no longer names."""
    return [name for name in queue_names.list_used(connection) if name not in queue_names.QUEUES]


def count_tasks(connection: redis.Redis[Any]) -> dict[str, int]:
    """Return how many tasks wait, are scheduled or run in each removed queue. Empty ones are left out."""
    names = list_names(connection)
    pipeline = connection.pipeline(transaction=False)
    for name in names:
        pipeline.llen(redis_keys.queue_key(name))
        pipeline.zcard(redis_keys.scheduled_key(name))
        pipeline.zcard(redis_keys.started_key(name))
    answers = pipeline.execute() if names else []
    waiting = {name: sum(answers[index * 3 : index * 3 + 3]) for index, name in enumerate(names)}
    for each in parked_tasks.count_parked(connection) if names else []:
        if each.queue in waiting:
            waiting[each.queue] += each.tasks
    return {name: tasks for name, tasks in waiting.items() if tasks}


def list_transitions(connection: redis.Redis[Any], *, name: str, limit: int) -> list[Transition]:
    """Return transitions of a removed queue's next tasks: waiting ones go to the back of their type's queue, in order."""
    waiting: Any = connection.lrange(redis_keys.queue_key(name), 0, limit - 1)
    scheduled: Any = connection.zrange(redis_keys.scheduled_key(name), 0, limit - 1)
    parked = parked_tasks.list_parked_ids(connection, queue_name=name)[:limit]
    task_ids = [*parked, *(member.decode(errors="replace") for member in (*waiting, *scheduled))]
    batch = []
    for snapshot in job_snapshots.get_snapshots(task_ids):
        if snapshot is None or snapshot.ended:
            continue
        moved = snapshot.changed(cause="rescue", priority=find_own_queue(snapshot.name))
        if snapshot.status == task_status.SCHEDULED and snapshot.next_attempt_at is not None:
            batch.append(Transition(moved, "delayed", snapshot.next_attempt_at))
        elif snapshot.status == task_status.QUEUED:
            batch.append(Transition(moved, "waiting", "back"))
    return batch
