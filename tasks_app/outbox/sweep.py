"""The sweep of the outbox, in the mirror's process: enqueues what no push has enqueued, and deletes what is known.

A row leaves the outbox when the database itself shows the task: its task row exists, or its checkpoint has ended. Until
then the sweep enqueues it again and again, which the script does only if Redis has no job of that id. So a task survives
every death between commit and push, and also a Redis that loses it before the mirror has read it. Why it never runs twice:

- Push and sweep, or two sweeps, at once: one script after the other, and the second finds the job.
- The job has expired since the task ended: its checkpoint says so, and nothing is enqueued. If the task ends between this
  look and the script, it is enqueued once more; the worker that dequeues it cannot claim an ended checkpoint.
- Redis was flushed while a worker runs the task: the second entry cannot be claimed before the lease expires, and then
  continues at the checkpoint, as after a worker's death.
- The task was pruned, so that neither row nor checkpoint is left: `prune` leaves out what is in the outbox. The sweep
  enqueues under the lock of the outbox row, so no other sweep can delete it, and let the task be pruned, meanwhile.
- A process was stopped between its commit and its push: later than a minute the push is left to the sweep. Only one
  that is stopped between this look at the clock and the script, until the task is pruned, could enqueue it again.

Owns these steps. Must not know task types: a task of an unknown type is parked when a worker dequeues it.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from django.db import transaction

from tasks_app.domain import task_snapshot, task_status
from tasks_app.domain.task_ids import get_lowest_id
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.errors import QueueFull
from tasks_app.models import OutboxTask, TaskCheckpoint, TaskRecord
from tasks_app.outbox.outbox_rows import get_alias
from tasks_app.queues import enqueue, queue_names
from tasks_app.queues.redis_clock import clock
from tasks_app.resilience import batch_isolation, set_aside_items
from tasks_app.task_types import find_own_queue

logger = logging.getLogger(__name__)

SETTLED_SECONDS: Final = 1.0  # a younger row is about to be pushed and mirrored
PAGE: Final = 200
PASS_SECONDS: Final = 0.5  # per call: the mirror has other duties


class OutboxSweep:
    """Goes through the outbox in rounds, oldest first; a call continues where the one before has stopped."""

    def __init__(self) -> None:
        self._after = uuid.UUID(int=0)

    def run(self) -> None:
        """Sweep some pages. Raises the error of an unavailable store; what is left stays for the next call."""
        stop_at = time.monotonic() + PASS_SECONDS
        full_queues: set[tuple[str, str]] = set()
        while True:
            page = self._read_page()
            if unknown := _delete_known(page):
                _enqueue(unknown, full_queues)
            if len(page) < PAGE or time.monotonic() > stop_at:
                return

    def _read_page(self) -> list[uuid.UUID]:
        before = get_lowest_id(clock.now() - timedelta(seconds=SETTLED_SECONDS))
        rows = OutboxTask.objects.filter(pk__gt=self._after, pk__lt=before).order_by("pk")
        page = list(rows.values_list("pk", flat=True)[:PAGE])
        self._after = page[-1] if len(page) == PAGE else uuid.UUID(int=0)
        return page


def push_again(*, task_id: uuid.UUID, data: bytes) -> None:
    """Enqueue a set-aside task and put it back into the outbox, in the caller's transaction. Raises why it is refused."""
    snapshot = _with_known_queue(task_snapshot.decode(data))
    OutboxTask.objects.get_or_create(id=task_id, defaults={"snapshot": data})
    if not _find_known([task_id]):
        enqueue.enqueue_tasks([snapshot])


def _delete_known(page: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    """Delete the rows of tasks that the database knows; return the others."""
    known = _find_known(page)
    if known:
        with transaction.atomic(using=get_alias()):
            OutboxTask.objects.filter(pk__in=_lock(known)).delete()
    return [task_id for task_id in page if task_id not in known]


def _find_known(task_ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Return the tasks that have a row or have ended. A claimed one without a row stays: if Redis loses it, nobody knows it."""
    if not task_ids:
        return set()
    known = set(TaskRecord.objects.filter(pk__in=task_ids).values_list("pk", flat=True))
    ended = TaskCheckpoint.objects.filter(pk__in=task_ids, outcome__in=task_status.ENDED)
    return known.union(ended.values_list("pk", flat=True))


def _enqueue(task_ids: Sequence[uuid.UUID], full_queues: set[tuple[str, str]]) -> None:
    """Enqueue tasks that the database does not know, and set aside those that cannot be enqueued."""
    with transaction.atomic(using=get_alias()):
        locked = _lock(task_ids)
        unknown = set(locked) - _find_known(locked)
        _Page(full_queues).enqueue(OutboxTask.objects.filter(pk__in=unknown).order_by("pk"))


def _lock(task_ids: Iterable[uuid.UUID]) -> list[uuid.UUID]:
    """Lock rows until the end of the transaction, and return their ids. What another sweep has locked is left to it.

    By primary key, so that no gap is locked in which a transaction inserts.
    """
    rows = OutboxTask.objects.select_for_update(skip_locked=True).filter(pk__in=list(task_ids))
    return list(rows.values_list("pk", flat=True))


class _Page:
    """Locked rows of the outbox on their way to Redis."""

    def __init__(self, full_queues: set[tuple[str, str]]) -> None:
        self._full_queues = full_queues

    def enqueue(self, rows: Iterable[OutboxTask]) -> None:
        self._rows: dict[str, OutboxTask] = {}
        snapshots = []
        for row in rows:
            try:
                snapshot = _with_known_queue(task_snapshot.decode(bytes(row.snapshot)))
            except ValueError as error:
                self._store_refused(row, error)
                continue
            self._rows[snapshot.id] = row
            snapshots.append(snapshot)
        batch_isolation.apply_batch(snapshots, apply=self._apply, set_aside=self._refuse)

    def _apply(self, part: Sequence[Snapshot]) -> None:
        if wanted := [snapshot for snapshot in part if _place(snapshot) not in self._full_queues]:
            enqueue.enqueue_tasks(wanted)

    def _refuse(self, snapshot: Snapshot, error: Exception) -> None:
        if isinstance(error, QueueFull):
            self._full_queues.add(_place(snapshot))  # its tasks wait in the outbox until a later call
        else:
            self._store_refused(self._rows[snapshot.id], error)

    def _store_refused(self, row: OutboxTask, error: Exception) -> None:
        set_aside_items.note(kind=set_aside_items.OUTBOX, key=str(row.pk), payload=bytes(row.snapshot), error=error)
        OutboxTask.objects.filter(pk=row.pk).delete()


def _place(snapshot: Snapshot) -> tuple[str, str]:
    """Return where a task waits: queue and status. Each place has a limit of its own."""
    return snapshot.priority, snapshot.status


def _with_known_queue(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot in a queue that QUEUES names: a deploy may have removed the one of the start."""
    if snapshot.priority in queue_names.QUEUES:
        return snapshot
    return replace(snapshot, priority=find_own_queue(snapshot.name))
