"""Finds stuck split tasks: their shards can no longer bring them to an end.

A shard has no task row to compare, so recovery checks its task as a whole. The task is stuck if its end was not
published to Redis, if one of its shards has ended it and died before it could publish that, or if a shard is missing in
Redis. Must not move tasks: the rescuer does.
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
    """Checks all split tasks in each pass. A task that seems stuck in two passes, unchanged, is stuck."""

    def __init__(self, *, connection: redis.Redis[Any]) -> None:
        self._redis = connection
        self._suspects: set[Mark] = set()

    def find_stuck(self) -> list[TaskCheckpoint]:
        """Return the checkpoints of stuck tasks: ended ones, and open ones that must be split again.

        Two queries if any task is split.
        """
        members: Any = self._redis.smembers(SPLIT_KEY)
        rows, parts = shards.find_split_tasks([key for member in members if (key := _uuid(member)) is not None])
        # A worker may be about to publish it, so only a task that is unchanged in the next pass is stuck.
        suspects = {_mark(row): row for row in rows if self._seems_stuck(row, parts.get(row.task_id, []))}
        stuck = [row for mark, row in suspects.items() if mark in self._suspects]
        self._suspects = suspects.keys() - {_mark(row) for row in stuck}
        return stuck

    def end_by_shard(self, row: TaskCheckpoint) -> None:
        """If a shard has ended a stuck task, end the task in the same way, in the database and in `row`."""
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
        """Return for each whether it waits, is parked, scheduled or started. One transaction, because tasks move."""
        parked_lists = list_parked_lists(self._redis)
        names = queue_names.list_used(self._redis)
        pipeline = self._redis.pipeline(transaction=True)
        for name in names:
            pipeline.zrange(redis_keys.started_key(name), 0, -1)
            for task_id in task_ids:
                pipeline.zscore(redis_keys.scheduled_key(name), task_id)
                pipeline.lpos(redis_keys.queue_key(name), task_id)
        for each in parked_lists:
            pipeline.lrange(each.key, 0, -1)
        answers = pipeline.execute()
        parked = {
            member.decode(errors="replace")
            for entries in answers[len(answers) - len(parked_lists) :]
            for member in entries
        }
        placed = [task_id in parked for task_id in task_ids]
        for _ in names:
            started = {member.decode(errors="replace").partition(":")[0] for member in answers.pop(0)}
            for index, task_id in enumerate(task_ids):
                score, position = answers.pop(0), answers.pop(0)
                placed[index] |= score is not None or position is not None or task_id in started
        return placed

    def _end_by_shard(self, row: TaskCheckpoint, parts: Sequence[TaskCheckpoint]) -> None:
        """End a task as its shard ended, unless a retry has reopened it since: then it is split again."""
        snapshot = job_snapshots.get_snapshot(str(row.task_id))
        part = next((part for part in parts if part.outcome in ENDS_THE_TASK), None)
        if part is not None and snapshot is not None and snapshot.epoch == row.epoch:
            if shards.end_parent(task_id=row.task_id, epoch=row.epoch, outcome=part.outcome, error=part.error):
                row.outcome, row.error = part.outcome, part.error


def _uuid(member: bytes) -> uuid.UUID | None:
    try:
        return uuid.UUID(member.decode(errors="replace"))
    except ValueError:
        return None  # not a task's


def _mark(row: TaskCheckpoint) -> Mark:
    return row.task_id, row.epoch, row.done, row.outcome
