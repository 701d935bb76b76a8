"""Changes one task: cancel, retry, change of priority or start. API, admin and command line all call these.

Owns what each request does. Cancel and retry are decided in the database and then applied to Redis; a change of priority
or start is decided in Redis alone. Must not know HTTP, nor use the read model except to find a task.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from django.db import transaction

from tasks_app.auth import audit_log
from tasks_app.checkpoints import as_snapshot, cancel_and_reopen
from tasks_app.checkpoints.as_snapshot import ended_snapshot
from tasks_app.domain import priorities, task_status
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.errors import (
    QueueUnavailable,
    StoreUnavailable,
    TaskBegun,
    TaskEnded,
    TaskNotEnded,
    TaskNotWaiting,
    UnknownQueue,
    UnknownTask,
)
from tasks_app.models import AuditEntry, TaskCheckpoint
from tasks_app.queues import job_snapshots, redis_connection, transitions
from tasks_app.queues.redis_clock import clock
from tasks_app.queues.transitions import Transition
from tasks_app.read_model.latest_snapshot import find_owned_snapshot
from tasks_app.resilience.transient_errors import mapped_database_errors
from tasks_app.services.authorization import check_retry
from tasks_app.services.start_tasks import find_start
from tasks_app.task_types import find_own_queue

logger = logging.getLogger(__name__)
_TRIES: Final = 3  # the task may become due, or change its queue, between reading and moving it


def cancel_task(*, task_id: str, actor: str = "", owner: str | None = None, source: str = audit_log.API) -> Snapshot:
    """Cancel a task. Rows that are already committed stay and are counted. Only a retry starts the task again.

    Returns the snapshot: `canceled`, or the running state, in which case its worker ends the task at its next chunk.
    The commit in the database decides: if Redis is unavailable then, recovery applies the change later.
    With `owner`, only a task of that owner. Raises UnknownTask, TaskEnded, StoreUnavailable, QueueUnavailable.
    """
    with mapped_database_errors():
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
        apply_to_redis([move])
        return move.snapshot


def retry_task(*, task_id: str, actor: str = "", owner: str | None = None, source: str = audit_log.API) -> Snapshot:
    """Requeue a failed, stopped or canceled task from its checkpoint; its attempts restart at 0.

    Also retries a task that a worker of plain RQ has marked as failed, while its checkpoint is open. The commit in the
    database decides: if Redis is unavailable then, recovery enqueues the task. The rights are those of the owner: see
    `authorization.check_retry`, which raises as for a start.
    Raises UnknownTask, TaskEnded (it has finished), TaskNotEnded, StoreUnavailable, QueueUnavailable.
    """
    with mapped_database_errors():
        snapshot = _find(task_id, owner)
        check_retry(snapshot)
        with transaction.atomic():
            row, reopened = cancel_and_reopen.reopen(task_id=uuid.UUID(snapshot.id))
            if reopened:
                audit_log.record(action=AuditEntry.Action.RETRY, source=source, actor=actor, task_ids=[snapshot.id])
        if row is None or not reopened:
            if row is not None and row.outcome:
                raise TaskEnded(task_id=snapshot.id, status=row.outcome, wanted="be retried")
            return _retry_ended_by_rq(snapshot, row, actor=actor, source=source)
        move = retry_transition(snapshot, row, actor=actor)
        apply_to_redis([move])
        return move.snapshot


def _retry_ended_by_rq(snapshot: Snapshot, row: TaskCheckpoint | None, *, actor: str, source: str) -> Snapshot:
    """Requeue a task that has ended in RQ although its snapshot is open and unclaimed; else raise TaskNotEnded."""
    if not snapshot.ended and (row is None or row.lease_until is None):
        if job_snapshots.get_status(snapshot.id) in task_status.ENDED:
            again = snapshot.queued(cause="retry", actor=actor)
            if _transition(Transition(again, "missing", "back")):
                audit_log.record(action=AuditEntry.Action.RETRY, source=source, actor=actor, task_ids=[snapshot.id])
                return again
    raise TaskNotEnded(task_id=snapshot.id, status=snapshot.status)


def change_priority(
    *, task_id: str, priority: str, actor: str = "", owner: str | None = None, source: str = audit_log.API
) -> Snapshot:
    """Move a waiting task to the back of `high`, or of its type's queue; a scheduled task moves when it is due.

    A running task keeps its queue. Does nothing if the task is already in that queue.
    Raises UnknownTask, UnknownQueue, TaskNotWaiting, StoreUnavailable, QueueUnavailable.
    """
    check_priority(priority)
    with mapped_database_errors():
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


def change_start(
    *, task_id: str, start_at: datetime | None, actor: str = "", owner: str | None = None, source: str = audit_log.API
) -> Snapshot:
    """Let a task that has not begun begin at another time; None, or a time that has come: at once.

    A task that waits in its queue can be given a start too. Does nothing if the start is already that one.
    Raises ParamRefused, UnknownTask, TaskBegun, StoreUnavailable, QueueUnavailable.
    """
    start = find_start(start_at, now=clock.now())
    with mapped_database_errors():
        for _ in range(_TRIES):
            snapshot = _find(task_id, owner)
            if snapshot.attempts or snapshot.status not in (task_status.QUEUED, task_status.SCHEDULED):
                raise TaskBegun(task_id=snapshot.id, status=snapshot.status)
            if start == (snapshot.start_at if snapshot.waits_for_start else None):
                return snapshot
            move = _start_transition(snapshot, start=start, actor=actor)
            if _transition(move):
                break
        else:
            raise TaskBegun(task_id=snapshot.id, status="being started")
        _note(
            AuditEntry.Action.RESCHEDULE, [snapshot.id], source=source, actor=actor, detail=_describe(snapshot, start)
        )
        return move.snapshot


def _start_transition(snapshot: Snapshot, *, start: datetime | None, actor: str) -> Transition:
    source: transitions.Source = "delayed" if snapshot.status == task_status.SCHEDULED else "waiting"
    if start is None:
        return Transition(snapshot.queued(cause="reschedule", actor=actor, start_at=None), source, "back")
    return Transition(snapshot.scheduled(at=start, cause="reschedule", actor=actor, start_at=start), source, start)


def _describe(snapshot: Snapshot, start: datetime | None) -> str:
    before = snapshot.start_at if snapshot.waits_for_start else None
    return " → ".join("at once" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC" for at in (before, start))


def note_priority(task_ids: Sequence[str], **what: Any) -> None:
    """Record a change of priority in the audit."""
    _note(AuditEntry.Action.PRIORITY, task_ids, **what)


def _note(action: AuditEntry.Action, task_ids: Sequence[str], **what: Any) -> None:
    """Record a change in the audit. Redis has already applied it, so a failed record is only logged."""
    try:
        with mapped_database_errors():
            audit_log.record(action=action, task_ids=task_ids, **what)
    except StoreUnavailable as error:
        logger.warning("%d changes (%s) are not in the audit: %s", len(task_ids), action, error)


def cancel_transition(snapshot: Snapshot, row: TaskCheckpoint, *, actor: str) -> Transition:
    """Return the transition after the checkpoint accepted a cancel: the end, or only the request while a worker runs the task."""
    if row.outcome:
        return Transition(ended_snapshot(snapshot, row).changed(cause="cancel", actor=actor), "any", "ended")
    requested = snapshot.changed(cause="cancel", actor=actor, status=task_status.STARTED, cancel_requested=True)
    return Transition(as_snapshot.with_checkpoint(requested, row), "unchanged", "stay")


def retry_transition(snapshot: Snapshot, row: TaskCheckpoint, *, actor: str) -> Transition:
    """Return the transition of a task with a reopened checkpoint: to the back of its queue, with 0 attempts."""
    again = snapshot.queued(cause="retry", actor=actor, attempts=0, error=None, cancel_requested=False, start_at=None)
    return Transition(as_snapshot.with_checkpoint(again, row), "ended", "back", failures=0)


def check_priority(priority: str) -> None:
    """Raise UnknownQueue unless an operator's change of priority names `high` or `low`."""
    if priority not in priorities.NAMES:
        raise UnknownQueue(priority, priorities.NAMES)


def find_target_queue(snapshot: Snapshot, *, priority: str) -> str:
    """Return the queue to which a change of priority moves a task."""
    return priorities.find_queue(priority, own_queue=find_own_queue(snapshot.name))


def priority_transition(snapshot: Snapshot, *, priority: str, actor: str) -> Transition | None:
    """Return the transition to the queue of that priority, or None for a task that is not waiting."""
    target = find_target_queue(snapshot, priority=priority)
    changed = snapshot.changed(cause="priority", actor=actor, priority=target, urgency=None)
    if snapshot.status == task_status.QUEUED:
        return Transition(changed, "waiting", "back")
    if snapshot.status == task_status.SCHEDULED and snapshot.next_attempt_at is not None:
        return Transition(changed, "delayed", snapshot.next_attempt_at)
    return None


def _find(task_id: str, owner: str | None) -> Snapshot:
    """Return the newest known snapshot of a task, from its job in Redis or its task row. Raises UnknownTask."""
    try:
        key = uuid.UUID(task_id)
    except (ValueError, AttributeError, TypeError):
        raise UnknownTask(task_id) from None
    snapshot = find_owned_snapshot(key, owner=owner)
    if snapshot is None:
        raise UnknownTask(task_id)
    if snapshot.parent:
        return _find(snapshot.parent, owner)  # RQ's tools show shards: a change of a shard applies to its task
    return snapshot


def apply_to_redis(changes: Sequence[Transition]) -> None:
    """Apply to Redis what the database has decided. If Redis is unavailable, recovery applies it later."""
    try:
        with redis_connection.mapped_redis_errors():
            transitions.apply_many_transitions(redis_connection.get_connection(), changes)
    except QueueUnavailable as error:
        logger.warning("%d changes are in the database; recovery will apply them to Redis: %s", len(changes), error)


def _transition(move: Transition) -> bool:
    with redis_connection.mapped_redis_errors():
        return transitions.apply_transitions(redis_connection.get_connection(), [move])[0]
