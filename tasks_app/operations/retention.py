"""Deletes tasks that ended long ago (records, history, failed records, checkpoints, jobs and files), in small transactions.

Owns the rule: a task may be deleted if its record and its checkpoint both show that it ended before the cutoff. Rows that
tasks wrote remain; the task type `purge` deletes those. A run can be stopped at any time; the next run continues.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import redis
from django.db import transaction

from tasks_app.conf import settings
from tasks_app.database.index_hints import PRIMARY, along
from tasks_app.domain import task_status
from tasks_app.domain.task_ids import get_lowest_id
from tasks_app.files.removal import release_files, remove_expired
from tasks_app.models import OutboxTask, TaskCheckpoint, TaskEvent, TaskFailure, TaskRecord, TaskRowChange
from tasks_app.queues import queue_names, redis_connection, redis_keys

CHUNK_TASKS: Final = 500
CHUNK_FAILURES: Final = 5_000
# RQ's cron enqueues the job, and a worker runs it between tasks: it must end before the worker's lease expires.
SCHEDULED_SECONDS: Final = 3.0


@dataclass(slots=True)
class Pruned:
    """Numbers of deleted rows and jobs; in a dry run, of those that would be deleted."""

    tasks: int = 0
    events: int = 0
    checkpoints: int = 0
    failed_records: int = 0
    jobs: int = 0
    files: int = 0


def prune(*, ended_before: datetime, chunk_tasks: int = CHUNK_TASKS, dry_run: bool = False) -> Iterator[Pruned]:
    """Delete tasks, then files that have expired or were theirs, in chunks.

    Yields the sums after each chunk, so that the caller can stop after any chunk.
    """
    pruned = Pruned()
    after = uuid.UUID(int=0)
    newest = get_lowest_id(ended_before)  # it was created before it ended, which bounds the primary key
    while True:
        page = list(
            TaskRecord.objects.filter(pk__gt=after, pk__lt=newest)
            .order_by("pk")
            .values_list("pk", "status", "ended_at")[:chunk_tasks]
        )
        if not page:
            break
        after = page[-1][0]
        old = [
            task_id
            for task_id, status, ended_at in page
            if status in task_status.ENDED and ended_at is not None and ended_at < ended_before
        ]
        if old:
            if not dry_run:
                yield from _delete_failures(old, pruned)
                yield from _delete_changes(old, pruned)
            _prune_chunk(old, pruned, dry_run=dry_run)
        yield pruned
    for removed in remove_expired(dry_run=dry_run):
        pruned.files += removed
        yield pruned


def run_scheduled() -> int:
    """Prune by PRUNE_AFTER_DAYS for a few seconds; return the number of deleted tasks. The next run continues.

    longtasks/cron.py schedules it, so it is in RQ_ALLOWED_FUNCTIONS.
    """
    days = settings.LONGTASKS.prune_after_days
    stop_at = time.monotonic() + SCHEDULED_SECONDS
    tasks = 0
    for _ in remove_expired():  # first: it is short, and the tasks may take all of the time
        if time.monotonic() > stop_at - SCHEDULED_SECONDS / 2:
            break
    if not days:
        return 0
    for pruned in prune(ended_before=datetime.now(UTC) - timedelta(days=days)):
        tasks = pruned.tasks
        if time.monotonic() > stop_at:
            break
    return tasks


def _prune_chunk(task_ids: list[uuid.UUID], pruned: Pruned, *, dry_run: bool) -> None:
    with transaction.atomic():
        ended = _lock_ended(task_ids)
        if not ended:
            return
        checkpoints = TaskCheckpoint.objects.select_for_update().filter(pk__in=ended).exclude(outcome="")
        history = TaskEvent.objects.filter(task_id__in=ended)
        pruned.tasks += len(ended)
        if dry_run:
            pruned.events += history.count()
            pruned.checkpoints += checkpoints.count()
            pruned.failed_records += TaskFailure.objects.filter(task_id__in=ended).count()
            return
        # Jobs first: if the transaction rolls back, an ended task can still be retried from its record, without its job.
        pruned.jobs += _delete_jobs(ended)
        pruned.events += history.delete()[0]
        pruned.checkpoints += TaskCheckpoint.objects.filter(pk__in=ended).exclude(outcome="").delete()[0]
        pruned.checkpoints += TaskCheckpoint.objects.filter(parent_id__in=ended).delete()[0]  # shards
        release_files(ended)
        TaskRecord.objects.filter(pk__in=ended).delete()


def _delete_failures(task_ids: list[uuid.UUID], pruned: Pruned) -> Iterator[Pruned]:
    """Delete the tasks' failed records, which may be many more than the tasks; yields after each transaction."""
    while True:
        with transaction.atomic():
            rows = TaskFailure.objects.filter(task_id__in=task_ids)
            if not rows.exists():
                return
            page = list(rows.filter(task_id__in=_lock_ended(task_ids)).values_list("pk", flat=True)[:CHUNK_FAILURES])
            if not page:
                return
            pruned.failed_records += TaskFailure.objects.filter(pk__in=page).delete()[0]
        yield pruned


def _delete_changes(task_ids: list[uuid.UUID], pruned: Pruned) -> Iterator[Pruned]:
    """Delete what dry runs have listed, as `_delete_failures` does; it is not counted."""
    while True:
        with transaction.atomic():
            rows = TaskRowChange.objects.filter(task_id__in=task_ids)
            if not rows.exists():
                return
            page = list(rows.filter(task_id__in=_lock_ended(task_ids)).values_list("pk", flat=True)[:CHUNK_FAILURES])
            if not page:
                return
            TaskRowChange.objects.filter(pk__in=page).delete()
        yield pruned


def _lock_ended(task_ids: list[uuid.UUID]) -> list[uuid.UUID]:
    """Return the tasks that have ended, and lock their checkpoints.

    The lock orders a deletion against a retry, which reopens the checkpoint: a retry before it saves the task. By primary
    key, because reading along the index of the outcome would wait for every running task's lock.
    A task in the outbox stays: without record and checkpoint, the sweep would start it a second time.
    """
    rows = along(TaskCheckpoint.objects.select_for_update().filter(pk__in=task_ids), PRIMARY)
    open_ids = set(rows.filter(outcome="").values_list("pk", flat=True))
    open_ids.update(OutboxTask.objects.filter(pk__in=task_ids).values_list("pk", flat=True))
    return [task_id for task_id in task_ids if task_id not in open_ids]


def _delete_jobs(task_ids: list[uuid.UUID]) -> int:
    connection: redis.Redis[Any] = redis_connection.get_connection()
    names = [str(task_id) for task_id in task_ids]
    with redis_connection.mapped_redis_errors():
        pipeline = connection.pipeline(transaction=False)
        pipeline.unlink(*map(redis_keys.job_key, names))
        for queue_name in queue_names.list_used(connection):
            for key in redis_keys.list_ended_keys(queue_name):
                pipeline.zrem(key, *names)
        return int(pipeline.execute()[0])
