"""The write side: starting, canceling and retrying tasks, pausing queues. API, admin and CLI all call these.

Owns what such an ask means. Must not know HTTP, nor read the read side but to find a task. Starting touches Redis
only; everything else is decided in the database first, and Redis is told.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django.db import transaction

from tasks_app.auth import audit_log
from tasks_app.checkpoints import as_snapshot, cancel_and_reopen
from tasks_app.checkpoints.as_snapshot import end_transition
from tasks_app.domain import priorities, task_status
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.errors import (
    QueueUnavailable,
    StoreUnavailable,
    TaskEnded,
    TaskNotEnded,
    TaskNotWaiting,
    UnknownQueue,
    UnknownTask,
)
from tasks_app.models import AuditEntry, TaskCheckpoint, TaskRecord
from tasks_app.queues import job_snapshots, redis_connection, transitions
from tasks_app.queues.transitions import Transition
from tasks_app.read_model.task_rows import to_snapshot
from tasks_app.resilience.transient_errors import mapped_errors
from tasks_app.services.authorization import check_retry
from tasks_app.task_types import find_own_queue

logger = logging.getLogger(__name__)


def cancel_task(*, task_id: str, actor: str = "", owner: str | None = None, source: str = audit_log.API) -> Snapshot:
    """Cancel a task. Rows committed by then stay and are counted; it never comes back but by an explicit retry.

    Returns its snapshot: `canceled` when that is done, else a worker runs it and ends it at its next chunk.
    Once the database has it, it is done: where Redis can't be told then, rescue tells it.
    With `owner` only a task of theirs. Raises UnknownTask, TaskEnded, StoreUnavailable, QueueUnavailable.
    """
    with mapped_errors():
        snapshot = _find(task_id, owner)
        with transaction.atomic():
            row = cancel_and_reopen.request_cancel(task_id=uuid.UUID(snapshot.id))
            if row.outcome and row.outcome != task_status.CANCELED:
                raise TaskEnded(task_id=snapshot.id, status=row.outcome, wanted="be canceled")
            if snapshot.status != task_status.CANCELED:
                audit_log.record(action=AuditEntry.Action.CANCEL, source=source, actor=actor, task_ids=[snapshot.id])
        if row.outcome and snapshot.status == task_status.CANCELED:
            return snapshot
        move = cancel_transition(snapshot, row, actor=actor)
        tell([move])
        return move.snapshot


def retry_task(*, task_id: str, actor: str = "", owner: str | None = None, source: str = audit_log.API) -> Snapshot:
    """Enqueue a failed, stopped or canceled task again: from its checkpoint, its attempts counted anew.

    Also one that a worker of RQ's own has failed, of which the checkpoint knows nothing. Once the database has it, it
    is done: where Redis can't be told then, rescue enqueues it. What it may do, it may as its owner: see
    `authorization.check_retry`, which raises as for a start.
    Raises UnknownTask, TaskEnded (it has finished), TaskNotEnded, StoreUnavailable, QueueUnavailable.
    """
    with mapped_errors():
        snapshot = _find(task_id, owner)
        check_retry(snapshot)
        with transaction.atomic():
            row, reopened = cancel_and_reopen.reopen(task_id=uuid.UUID(snapshot.id))
            if reopened:
                audit_log.record(action=AuditEntry.Action.RETRY, source=source, actor=actor, task_ids=[snapshot.id])
        if not reopened:
            if row is not None and row.outcome:
                raise TaskEnded(task_id=snapshot.id, status=row.outcome, wanted="be retried")
            return _retry_taken_by_others(snapshot, row, actor=actor, source=source)
        assert row is not None
        move = retry_transition(snapshot, row, actor=actor)
        tell([move])
        return move.snapshot


def _retry_taken_by_others(snapshot: Snapshot, row: TaskCheckpoint | None, *, actor: str, source: str) -> Snapshot:
    """Enqueue a task that RQ calls ended, though its snapshot is open and nobody holds it; raise TaskNotEnded."""
    if not snapshot.ended and (row is None or row.lease_until is None):
        if job_snapshots.get_status(snapshot.id) in task_status.ENDED:
            again = replace(snapshot, status=task_status.QUEUED, next_attempt_at=None, cause="retry", actor=actor)
            if _transition(Transition(again, "missing", "back")):
                audit_log.record(action=AuditEntry.Action.RETRY, source=source, actor=actor, task_ids=[snapshot.id])
                return again
    raise TaskNotEnded(task_id=snapshot.id, status=snapshot.status)


def change_priority(
    *, task_id: str, priority: str, actor: str = "", owner: str | None = None, source: str = audit_log.API
) -> Snapshot:
    """Put a waiting task at the back of `high`, or of the queue of its type; a scheduled one when its time comes.

    A running task keeps its queue: it has a worker already. Does nothing where the task is in that queue.
    Raises UnknownTask, UnknownQueue, TaskNotWaiting, StoreUnavailable, QueueUnavailable.
    """
    check_priority(priority)
    with mapped_errors():
        snapshot = _find(task_id, owner)
        if snapshot.priority == find_target_queue(snapshot, priority=priority):
            return snapshot
        move = priority_transition(snapshot, priority=priority, actor=actor)
        if move is None or not _transition(move):
            raise TaskNotWaiting(task_id=snapshot.id, status=snapshot.status)
        note_priority(
            [snapshot.id], source=source, actor=actor, detail=f"{snapshot.priority} → {move.snapshot.priority}"
        )
        return move.snapshot


def note_priority(task_ids: Sequence[str], **what: Any) -> None:
    """Note a change of priority in the audit. Redis has carried it out: an audit that is away is logged, not raised."""
    try:
        with mapped_errors():
            audit_log.record(action=AuditEntry.Action.PRIORITY, task_ids=task_ids, **what)
    except StoreUnavailable as error:
        logger.warning("%d changes of priority are not in the audit: %s", len(task_ids), error)


def cancel_transition(snapshot: Snapshot, row: TaskCheckpoint, *, actor: str) -> Transition:
    """Return the move of a task whose cancel the checkpoint has taken: to its end, or to stay until its worker obeys."""
    if row.outcome:
        return Transition(replace(end_transition(snapshot, row), cause="cancel", actor=actor), "any", "ended")
    asked = as_snapshot.with_checkpoint(
        snapshot,
        row,
        status=task_status.STARTED,
        cancel_requested=True,
        cause="cancel",
        actor=actor,
    )
    return Transition(asked, "unchanged", "stay")


def retry_transition(snapshot: Snapshot, row: TaskCheckpoint, *, actor: str) -> Transition:
    """Return the move of a task whose checkpoint was reopened: to the back of its queue, attempts counted anew."""
    again = as_snapshot.with_checkpoint(
        snapshot,
        row,
        status=task_status.QUEUED,
        attempts=0,
        error=None,
        ended_at=None,
        next_attempt_at=None,
        cancel_requested=False,
        cause="retry",
        actor=actor,
    )
    return Transition(again, "ended", "back", failures=0)


def check_priority(priority: str) -> None:
    """Raise UnknownQueue where an operator's change of priority names neither `high` nor `low`."""
    if priority not in priorities.NAMES:
        raise UnknownQueue(priority, priorities.NAMES)


def find_target_queue(snapshot: Snapshot, *, priority: str) -> str:
    """Return the queue into which a change of priority puts a task."""
    return priorities.find_queue(priority, own_queue=find_own_queue(snapshot.name))


def priority_transition(snapshot: Snapshot, *, priority: str, actor: str) -> Transition | None:
    """Return the move to the queue of that priority, or None for a task that does not wait."""
    target = find_target_queue(snapshot, priority=priority)
    changed = replace(snapshot, priority=target, urgency=None, cause="priority", actor=actor)
    if snapshot.status == task_status.QUEUED:
        return Transition(changed, "waiting", "back")
    if snapshot.status == task_status.SCHEDULED and snapshot.next_attempt_at is not None:
        return Transition(changed, "delayed", "scheduled", run_at=snapshot.next_attempt_at)
    return None


def _find(task_id: str, owner: str | None) -> Snapshot:
    """Return the newest known snapshot of a task, from its job or its record; raise UnknownTask."""
    try:
        key = uuid.UUID(task_id)
    except (ValueError, AttributeError, TypeError):
        raise UnknownTask(task_id) from None
    snapshot = job_snapshots.get_snapshot(str(key))
    if snapshot is not None and snapshot.parent:
        return _find(snapshot.parent, owner)  # RQ's tools see shards: whatever is done to one is done to its task
    # Another's is looked up as one that Redis does not know: the same steps, so that the time tells nothing either.
    if snapshot is None or (owner is not None and snapshot.owner != owner):
        record = TaskRecord.objects.filter(pk=key).first()
        if record is None:
            raise UnknownTask(task_id)
        snapshot = to_snapshot(record)
    if owner is not None and snapshot.owner != owner:
        raise UnknownTask(task_id)
    return snapshot


def tell(todo: Sequence[Transition]) -> None:
    """Tell Redis what the database has decided. Where Redis refuses, rescue does it later: what was decided holds."""
    try:
        with redis_connection.mapped_errors():
            transitions.apply_many_transitions(redis_connection.get_connection(), todo)
    except QueueUnavailable as error:
        logger.warning("%d changes are in the database; rescue will tell Redis: %s", len(todo), error)


def _transition(move: Transition) -> bool:
    with redis_connection.mapped_errors():
        return transitions.apply_transitions(redis_connection.get_connection(), [move])[0]


# What people ask of a job through RQ's own tools and django-rq's pages.
