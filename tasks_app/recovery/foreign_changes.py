"""Changes that RQ's own workers and tools have made to tasks, as the status of their RQ jobs shows.

A stock `rq worker` on our queues dequeues tasks and fails them; RQ's Job.cancel changes only RQ's status. Owns how
these are distinguished from our own changes, and what they mean for the task. Must not move tasks: reconciliation does.
Also owns how due jobs of other functions leave RQ's registry of scheduled jobs.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import redis
from django.db import transaction

from tasks_app.auth import audit_log
from tasks_app.checkpoints import cancel_and_reopen
from tasks_app.domain import task_status
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.models import AuditEntry, TaskCheckpoint
from tasks_app.queues import job_snapshots, lua_script, redis_keys

logger = logging.getLogger(__name__)
_due: Final = lua_script.Script("due")

CAUSE: Final = "foreign_worker"  # in the snapshot of a task that such a worker has failed and that is requeued


@dataclass(slots=True)
class EndsInRq:
    """Tasks whose jobs have ended in RQ although their rows are open, by what that means."""

    ours: list[Snapshot] = field(default_factory=list)  # the mirror has not applied the end yet
    canceled: list[Snapshot] = field(default_factory=list)  # through RQ's own Job.cancel
    failed: list[uuid.UUID] = field(default_factory=list)  # or "finished", by a worker that can't run tasks
    lost: list[uuid.UUID] = field(default_factory=list)  # their snapshot is gone


def sort_ends(ends: Sequence[tuple[uuid.UUID, str]]) -> EndsInRq:
    """Sort jobs that have ended in RQ by what that means. Our own scripts change the status together with the snapshot."""
    found = EndsInRq()
    for (pk, status), snapshot in zip(ends, job_snapshots.get_snapshots([str(pk) for pk, _ in ends]), strict=True):
        if snapshot is None:
            found.lost.append(pk)
        elif snapshot.ended:
            found.ours.append(snapshot)
        elif status == task_status.CANCELED:
            found.canceled.append(snapshot)
        else:
            found.failed.append(pk)
    return found


def list_canceled(connection: redis.Redis[Any], task_ids: Iterable[str]) -> list[Snapshot]:
    """Return the snapshots of those started tasks whose jobs only RQ has as canceled."""
    names = sorted(task_ids)
    pipeline = connection.pipeline(transaction=False)
    for task_id in names:
        pipeline.hget(redis_keys.job_key(task_id), "status")
    canceled = [task_id for task_id, status in zip(names, pipeline.execute(), strict=True) if status == b"canceled"]
    found = job_snapshots.get_snapshots(canceled) if canceled else []
    return [snapshot for snapshot in found if snapshot is not None and not snapshot.ended]


def cancel(task_id: str) -> TaskCheckpoint:
    """Cancel a task that RQ's user has canceled, with one entry in the audit. Returns its new checkpoint."""
    with transaction.atomic():
        before = TaskCheckpoint.objects.filter(task_id=uuid.UUID(task_id)).first()
        row = cancel_and_reopen.request_cancel(task_id=uuid.UUID(task_id))
        if before is None or not (before.outcome or before.cancel_requested):
            audit_log.record(action=AuditEntry.Action.CANCEL, source=audit_log.RQ, actor="rq", task_ids=[task_id])
    return row


def enqueue_due(connection: redis.Redis[Any], *, queue_name: str, job_id: str) -> bool:
    """Enqueue a due job of another function, or remove its entry if the job is gone. False: it is a task."""
    keys = (redis_keys.scheduled_key(queue_name), redis_keys.queue_key(queue_name), redis_keys.job_key(job_id))
    outcome = _due(connection, keys, (job_id,))
    if outcome == b"gone":
        logger.warning(
            "job %s was scheduled for queue %s but no longer exists: its entry was removed", job_id, queue_name
        )
    return bool(outcome != b"task")
