"""Enqueues scheduled tasks whose start or next attempt is due, and due jobs of other functions.

Must not decide when a task is due: its score in RQ's registry of scheduled jobs says so.
"""

from __future__ import annotations

from typing import Any, Final

import redis

from tasks_app.queues import job_snapshots, queue_names, redis_keys
from tasks_app.queues.redis_time import read_time
from tasks_app.queues.transitions import Target, Transition
from tasks_app.read_model.latest_snapshot import find_snapshot
from tasks_app.recovery import foreign_changes
from tasks_app.recovery.registry_members import decode_member
from tasks_app.recovery.requeue import Requeuer

PAGE: Final = 500  # of each queue per call


def enqueue_due(connection: redis.Redis[Any], requeuer: Requeuer) -> int:
    """Move scheduled tasks that are due, a page of each queue, to their queues. Return how many.

    A next attempt goes to the head of the queue. A first one goes to the back, behind the tasks that wait already.
    """
    moved = 0
    now = read_time(connection)
    for name in queue_names.list_used(connection):
        due: Any = connection.zrangebyscore(redis_keys.scheduled_key(name), 0, now, start=0, num=PAGE)
        task_ids = [decode_member(member) for member in due]
        batch = []
        for task_id, snapshot in zip(task_ids, job_snapshots.get_snapshots(task_ids), strict=True):
            if snapshot is None and not requeuer.isolation.is_resting(task_id):
                snapshot = find_snapshot(connection, task_id)
            if snapshot is None and not requeuer.isolation.is_resting(task_id):
                if not foreign_changes.enqueue_due(connection, queue_name=name, job_id=task_id):
                    requeuer.isolation.let_rest(task_id)  # one of ours that cannot be decoded
            elif snapshot is not None:
                place: Target = "back" if snapshot.waits_for_start else "front"
                batch.append(Transition(snapshot.queued(cause="due"), "scheduled", place))
        moved += requeuer.apply_batch(batch)
    return moved
