"""What RQ's own workers and tools have done to tasks behind our back, seen in what RQ says of their jobs.

A stock `rq worker` on our queues takes tasks and fails them; RQ's Job.cancel changes RQ's word alone. Owns how that is
told apart from what we have done ourselves, and what it means for the task. Moves no task: rescue does. Of jobs of other
functions it owns how they leave RQ's registry of scheduled jobs.
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

CAUSE: Final = "foreign_worker"  # of the snapshot of a task that one has failed and we enqueue again


@dataclass(slots=True)
class Ends:
    """Tasks whose jobs RQ calls ended while their records are open, by what that means."""

    ours: list[Snapshot] = field(default_factory=list)  # the mirror has not heard of it
    canceled: list[Snapshot] = field(default_factory=list)  # through RQ's own Job.cancel
    failed: list[uuid.UUID] = field(default_factory=list)  # or "finished", by a worker that can't run tasks
    lost: list[uuid.UUID] = field(default_factory=list)  # their snapshot is gone


def sort_ends(ends: Sequence[tuple[uuid.UUID, str]]) -> Ends:
    """Tell what the ends of these jobs are, as RQ's status gives them: our scripts change it with the snapshot."""
    found = Ends()
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
    """Return those of these started tasks that RQ calls canceled, and we do not."""
    names = sorted(task_ids)
    pipeline = connection.pipeline(transaction=False)
    for task_id in names:
        pipeline.hget(redis_keys.job_key(task_id), "status")
    canceled = [task_id for task_id, status in zip(names, pipeline.execute(), strict=True) if status == b"canceled"]
    found = job_snapshots.get_snapshots(canceled) if canceled else []
    return [snapshot for snapshot in found if snapshot is not None and not snapshot.ended]


def cancel(task_id: str) -> TaskCheckpoint:
    """Cancel a task as RQ's user has asked, once, with an entry in the audit; returns its checkpoint as it is then."""
    with transaction.atomic():
        before = TaskCheckpoint.objects.filter(task_id=uuid.UUID(task_id)).first()
        row = cancel_and_reopen.request_cancel(task_id=uuid.UUID(task_id))
        if before is None or not (before.outcome or before.cancel_requested):
            audit_log.record(action=AuditEntry.Action.CANCEL, source=audit_log.RQ, actor="rq", task_ids=[task_id])
    return row


def enqueue_due(connection: redis.Redis[Any], *, queue_name: str, job_id: str) -> bool:
    """Enqueue a scheduled job of another function whose time has come; forget one that is gone. False: it is a task."""
    keys = (redis_keys.scheduled_key(queue_name), redis_keys.queue_key(queue_name), redis_keys.job_key(job_id))
    outcome = _due(connection, keys, (job_id,))
    if outcome == b"gone":
        logger.warning("job %s was scheduled for queue %s and does not exist any more: forgotten", job_id, queue_name)
    return bool(outcome != b"task")
