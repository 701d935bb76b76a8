"""Finds split tasks that their shards can't bring to an end any more; rescue puts them where they belong.

A shard has no task row to compare, so recovery looks at its task as a whole: it has ended and nobody
told Redis, a shard of it ended it and died before it could say so, or a shard is nowhere. Must move nothing itself.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Final

import redis

from tasks_app.checkpoints import shards
from tasks_app.domain import task_status
from tasks_app.models import TaskCheckpoint
from tasks_app.queues import job_snapshots, queue_names, redis_keys
from tasks_app.queues.parked_tasks import list_parked_lists

SPLIT_KEY: Final = "longtasks:split"
ENDS_THE_TASK: Final = (task_status.FAILED, task_status.STOPPED)
Mark = tuple[uuid.UUID, int, int, str]


class ShardWatch:
    """One look after the other; what seems stuck in two of them, unchanged, is."""

    def __init__(self, *, connection: redis.Redis[Any]) -> None:
        self._redis = connection
        self._suspects: set[Mark] = set()

    def find_stuck(self) -> list[TaskCheckpoint]:
        """Return the checkpoints of split tasks to be placed anew: ended ones, and open ones that want another split.

        Two queries where any task is split.
        """
        members: Any = self._redis.smembers(SPLIT_KEY)
        rows, parts = shards.find_split_tasks([key for member in members if (key := _uuid(member)) is not None])
        # A worker may be about to tell: only what stands so at the next look too is stuck.
        suspects = {_mark(row): row for row in rows if self._seems_stuck(row, parts.get(row.task_id, []))}
        stuck = [row for mark, row in suspects.items() if mark in self._suspects]
        self._suspects = suspects.keys() - {_mark(row) for row in stuck}
        return stuck

    def end_by_shard(self, row: TaskCheckpoint) -> None:
        """End a stuck task as its shard ended, in the database and in `row`, where one of its shards ended it."""
        if not row.outcome:
            _, parts = shards.find_split_tasks([row.task_id])
            self._end_by_shard(row, parts.get(row.task_id, []))

    def _seems_stuck(self, row: TaskCheckpoint, parts: Sequence[TaskCheckpoint]) -> bool:
        if row.outcome:
            return True
        if row.lease_until is not None:  # it is being split at this moment
            return False
        if not parts or any(part.outcome for part in parts):
            return True
        waiting = [part for part in parts if part.lease_until is None]
        return bool(waiting) and not all(self._are_placed([str(part.task_id) for part in waiting]))

    def _are_placed(self, task_ids: Sequence[str]) -> list[bool]:
        """Tell of each whether it waits, is parked, is scheduled or stands as started; at one moment, for they move."""
        places = list_parked_lists(self._redis)
        names = queue_names.list_used(self._redis)
        pipeline = self._redis.pipeline(transaction=True)
        for name in names:
            pipeline.zrange(redis_keys.started_key(name), 0, -1)
            for task_id in task_ids:
                pipeline.zscore(redis_keys.scheduled_key(name), task_id)
                pipeline.lpos(redis_keys.queue_key(name), task_id)
        for place in places:
            pipeline.lrange(place.key, 0, -1)
        answers = pipeline.execute()
        parked = {
            member.decode(errors="replace") for entries in answers[len(answers) - len(places) :] for member in entries
        }
        placed = [task_id in parked for task_id in task_ids]
        for _ in names:
            started = {member.decode(errors="replace").partition(":")[0] for member in answers.pop(0)}
            for index, task_id in enumerate(task_ids):
                score, position = answers.pop(0), answers.pop(0)
                placed[index] |= score is not None or position is not None or task_id in started
        return placed

    def _end_by_shard(self, row: TaskCheckpoint, parts: Sequence[TaskCheckpoint]) -> None:
        """End a task as its shard ended; not one that a retry has opened since the shard ended: it is split anew."""
        snapshot = job_snapshots.get_snapshot(str(row.task_id))
        part = next((part for part in parts if part.outcome in ENDS_THE_TASK), None)
        if part is not None and snapshot is not None and snapshot.epoch == row.epoch:
            if shards.end_parent(task_id=row.task_id, epoch=row.epoch, outcome=part.outcome, error=part.error):
                row.outcome, row.error = part.outcome, part.error


def _uuid(member: bytes) -> uuid.UUID | None:
    try:
        return uuid.UUID(member.decode(errors="replace"))
    except ValueError:
        return None  # no task's


def _mark(row: TaskCheckpoint) -> Mark:
    return row.task_id, row.epoch, row.done, row.outcome
