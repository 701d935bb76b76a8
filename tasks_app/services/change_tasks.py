"""The write side: starting, canceling and retrying tasks, pausing queues. API, admin and CLI all call these.

Owns what such an ask means. Must not know HTTP, nor read the read side but to find a task. Starting touches Redis
only; everything else is decided in the database first, and Redis is told.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

import orjson
from django.db import transaction
from django.dispatch import receiver
from uuid_utils import uuid7

from tasks_app.auth import audit_log
from tasks_app.checkpoints import claims
from tasks_app.domain import priorities
from tasks_app.domain.callers import NOBODY, Caller, get_starting_scope
from tasks_app.engine.runner import end_of
from tasks_app.errors import (
    IdempotencyMismatch,
    QueueUnavailable,
    StoreUnavailable,
    TaskEnded,
    TaskNotEnded,
    TaskNotWaiting,
    UnknownQueue,
    UnknownTask,
)
from tasks_app.models import AuditEntry, QueueState, TaskCheckpoint, TaskRecord
from tasks_app.observability import tracing
from tasks_app.queues import enqueue, snapshot_stream, transitions
from tasks_app.queues.redis_clock import TRUSTED_SECONDS, clock
from tasks_app.queues.snapshot_stream import Snapshot
from tasks_app.queues.transitions import Move
from tasks_app.read_model.task_rows import to_snapshot
from tasks_app.resilience.transient_errors import mapped_errors, repeat_after_deadlock
from tasks_app.services import rq_job
from tasks_app.services.authorization import check_retry, check_starts
from tasks_app.task_types import find_own_queue, get_task_type
from tasks_app.task_types.task_results import read_total

logger = logging.getLogger(__name__)
IDEMPOTENCY_SECONDS: Final = 24 * 3600


@dataclass(frozen=True, slots=True)
class NewTask:
    """What is asked for: a task of a type, its params validated by the type's serializer and encoded by `encode_params`."""

    name: str
    params: dict[str, Any] = field(default_factory=dict)
    description: str = ""
    priority: str | int = enqueue.LOW  # high, low, or 1 (critical) to 10
    callback_url: str = ""


@dataclass(frozen=True, slots=True)
class StartedTask:
    """An accepted task; `replayed` when an earlier request with the same key had started it."""

    snapshot: Snapshot
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class StartedTasks:
    """Accepted tasks, in the order in which they were asked for."""

    snapshots: list[Snapshot]
    replayed: bool = False


def start_task(
    *,
    task: NewTask,
    caller: Caller = NOBODY,
    request_id: str = "",
    idempotency_key: str = "",
    source: str = audit_log.API,
) -> StartedTask:
    """Accept one task: one round trip to Redis, no SQL. See `start_tasks`."""
    check_starts([(task.name, task.params)], caller=caller)
    started = _start(tasks=[task], caller=caller, request_id=request_id, idempotency_key=idempotency_key, source=source)
    return StartedTask(started.snapshots[0], started.replayed)


def start_tasks(
    *,
    tasks: Sequence[NewTask],
    caller: Caller = NOBODY,
    request_id: str = "",
    idempotency_key: str = "",
    source: str = audit_log.API,
) -> StartedTasks:
    """Accept tasks, all or none, in one round trip to Redis and without SQL.

    Where params name tasks, whose they are is looked up first: that costs another round trip, and a query where Redis
    does not know them. Without a caller nothing can be named.
    Any other `source` than the API is noted in the audit; the API's starts are told by their own events.
    With `idempotency_key` the same key, owner and tasks give the first answer again for 24 hours.
    Raises UnknownTaskType, QueueFull (nothing was enqueued), IdempotencyMismatch (the same) and QueueUnavailable;
    and what `authorization.check_starts` does: nothing was enqueued then either.
    """
    check_starts([(task.name, task.params) for task in tasks], caller=caller, where="tasks.{}.")
    return _start(tasks=tasks, caller=caller, request_id=request_id, idempotency_key=idempotency_key, source=source)


def _start(
    *, tasks: Sequence[NewTask], caller: Caller, request_id: str, idempotency_key: str, source: str
) -> StartedTasks:
    owner = caller.owner
    now = clock.now()
    snapshots = [
        _new_snapshot(task, task_id=_new_id(now), created_at=now, caller=caller, request_id=request_id)
        for task in tasks
    ]
    replay = enqueue.enqueue_tasks(
        snapshots,
        idempotency_key=_redis_key(owner, idempotency_key) if idempotency_key else "",
        fingerprint=_fingerprint(tasks) if idempotency_key else "",
        key_ttl_seconds=IDEMPOTENCY_SECONDS,
    )
    if replay is None:
        if source != audit_log.API:
            try:
                with mapped_errors():
                    audit_log.record(
                        action=AuditEntry.Action.START,
                        source=source,
                        actor=caller.actor or owner,
                        task_ids=[snapshot.id for snapshot in snapshots],
                    )
            except StoreUnavailable as error:
                # The tasks are accepted: who was told that it failed would start them again.
                logger.warning("the audit misses the start of %d tasks by %s: %s", len(snapshots), owner, error)
        return StartedTasks(snapshots)
    if not replay.same_body or len(replay.task_ids) != len(tasks):
        raise IdempotencyMismatch(idempotency_key)
    first_answer = [
        _new_snapshot(task, task_id=task_id, created_at=replay.created_at, caller=caller, request_id=request_id)
        for task, task_id in zip(tasks, replay.task_ids, strict=True)
    ]
    return StartedTasks(first_answer, replayed=True)


def cancel_task(*, task_id: str, actor: str = "", owner: str | None = None, source: str = audit_log.API) -> Snapshot:
    """Cancel a task. Rows committed by then stay and are counted; it never comes back but by an explicit retry.

    Returns its snapshot: `canceled` when that is done, else a worker runs it and ends it at its next chunk.
    Once the database has it, it is done: where Redis can't be told then, rescue tells it.
    With `owner` only a task of theirs. Raises UnknownTask, TaskEnded, StoreUnavailable, QueueUnavailable.
    """
    with mapped_errors():
        snapshot = _find(task_id, owner)
        with transaction.atomic():
            row = claims.request_cancel(task_id=uuid.UUID(snapshot.id))
            if row.outcome and row.outcome != snapshot_stream.CANCELED:
                raise TaskEnded(task_id=snapshot.id, status=row.outcome, wanted="be canceled")
            if snapshot.status != snapshot_stream.CANCELED:
                audit_log.record(action=AuditEntry.Action.CANCEL, source=source, actor=actor, task_ids=[snapshot.id])
        if row.outcome and snapshot.status == snapshot_stream.CANCELED:
            return snapshot
        move = cancel_move(snapshot, row, actor=actor)
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
            row, reopened = claims.reopen(task_id=uuid.UUID(snapshot.id))
            if reopened:
                audit_log.record(action=AuditEntry.Action.RETRY, source=source, actor=actor, task_ids=[snapshot.id])
        if not reopened:
            if row is not None and row.outcome:
                raise TaskEnded(task_id=snapshot.id, status=row.outcome, wanted="be retried")
            return _retry_taken_by_others(snapshot, row, actor=actor, source=source)
        assert row is not None
        move = retry_move(snapshot, row, actor=actor)
        tell([move])
        return move.snapshot


def _retry_taken_by_others(snapshot: Snapshot, row: TaskCheckpoint | None, *, actor: str, source: str) -> Snapshot:
    """Enqueue a task that RQ calls ended, though its snapshot is open and nobody holds it; raise TaskNotEnded."""
    if not snapshot.ended and (row is None or row.lease_until is None):
        if enqueue.get_status(snapshot.id) in snapshot_stream.ENDED:
            again = replace(snapshot, status=snapshot_stream.QUEUED, next_attempt_at=None, cause="retry", actor=actor)
            if _move(Move(again, "lost", "back")):
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
        move = priority_move(snapshot, priority=priority, actor=actor)
        if move is None or not _move(move):
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


def cancel_move(snapshot: Snapshot, row: TaskCheckpoint, *, actor: str) -> Move:
    """Return the move of a task whose cancel the checkpoint has taken: to its end, or to stay until its worker obeys."""
    if row.outcome:
        return Move(replace(end_of(snapshot, row), cause="cancel", actor=actor), "anywhere", "ended")
    asked = claims.as_row_says(
        snapshot,
        row,
        status=snapshot_stream.STARTED,
        cancel_requested=True,
        cause="cancel",
        actor=actor,
    )
    return Move(asked, "here", "stay")


def retry_move(snapshot: Snapshot, row: TaskCheckpoint, *, actor: str) -> Move:
    """Return the move of a task whose checkpoint was reopened: to the back of its queue, attempts counted anew."""
    again = claims.as_row_says(
        snapshot,
        row,
        status=snapshot_stream.QUEUED,
        attempts=0,
        error=None,
        ended_at=None,
        next_attempt_at=None,
        cancel_requested=False,
        cause="retry",
        actor=actor,
    )
    return Move(again, "ended", "back", failures=0)


def check_priority(priority: str) -> None:
    """Raise UnknownQueue where an operator's change of priority names neither `high` nor `low`."""
    if priority not in priorities.NAMES:
        raise UnknownQueue(priority, priorities.NAMES)


def find_target_queue(snapshot: Snapshot, *, priority: str) -> str:
    """Return the queue into which a change of priority puts a task."""
    return priorities.find_queue(priority, own_queue=find_own_queue(snapshot.name))


def priority_move(snapshot: Snapshot, *, priority: str, actor: str) -> Move | None:
    """Return the move to the queue of that priority, or None for a task that does not wait."""
    target = find_target_queue(snapshot, priority=priority)
    changed = replace(snapshot, priority=target, urgency=None, cause="priority", actor=actor)
    if snapshot.status == snapshot_stream.QUEUED:
        return Move(changed, "waiting", "back")
    if snapshot.status == snapshot_stream.SCHEDULED and snapshot.next_attempt_at is not None:
        return Move(changed, "delayed", "scheduled", run_at=snapshot.next_attempt_at)
    return None


def pause_queue(*, queue: str, actor: str, reason: str = "", source: str = audit_log.API) -> None:
    """Pause a queue, durably: workers take nothing from it and leave its tasks at their next chunk.

    Once the database has it, it holds: where Redis can't be told then, rescue tells the workers.
    Raises UnknownQueue, StoreUnavailable.
    """
    who = {"source": source, "actor": actor}
    _set_pause(queue, who, paused_at=clock.now(), paused_by=actor[:64], reason=reason[:255])


def resume_queue(*, queue: str, actor: str, source: str = audit_log.API) -> None:
    """Let workers take tasks from a paused queue again. Raises as `pause_queue` does."""
    _set_pause(queue, {"source": source, "actor": actor}, paused_at=None, paused_by="", reason="")


def _set_pause(name: str, who: dict[str, str], **values: Any) -> None:
    enqueue.check_queue(name)
    action = AuditEntry.Action.PAUSE if values["paused_at"] else AuditEntry.Action.RESUME

    def store() -> None:
        with transaction.atomic():
            QueueState.objects.update_or_create(name=name, defaults=values)
            audit_log.record(action=action, queue=name, detail=values["reason"], **who)

    with mapped_errors():
        repeat_after_deadlock(store)  # two first pauses of a queue at once make one for each other
        try:
            enqueue.write_pause(name, paused=values["paused_at"] is not None)
        except QueueUnavailable as error:
            logger.warning("%s of queue %s is in the database; rescue will tell Redis: %s", action, name, error)


def _new_id(now: datetime) -> str:
    """Return a UUIDv7 of this moment; of Redis's time where this machine's clock is off."""
    if abs(clock.skew_seconds) <= TRUSTED_SECONDS:
        return str(uuid7())
    return str(uuid7(nanoseconds=int(now.timestamp() * 1e6) * 1000))


def _new_snapshot(task: NewTask, *, task_id: str, created_at: datetime, caller: Caller, request_id: str) -> Snapshot:
    task_type = get_task_type(task.name)
    total = read_total(task_type, task.params)
    return Snapshot(
        id=task_id,
        name=task.name,
        created_at=created_at,
        params=task.params,
        priority=enqueue.check_queue(priorities.find_queue(task.priority, own_queue=task_type.queue)),
        urgency=task.priority if isinstance(task.priority, int) else None,
        description=task.description,
        owner=caller.owner,
        scope=get_starting_scope(caller.scope),
        counts=dict.fromkeys(task_type.count_names, 0),
        total=total,
        request_id=request_id,
        callback_url=task.callback_url,
        weight=total if task_type.shareable and total else 0,
        cause=snapshot_stream.START_CAUSE,
        trace=tracing.get_traceparent(),
        actor=caller.owner,
    )


def _find(task_id: str, owner: str | None) -> Snapshot:
    """Return the newest known snapshot of a task, from its job or its record; raise UnknownTask."""
    try:
        key = uuid.UUID(task_id)
    except (ValueError, AttributeError, TypeError):
        raise UnknownTask(task_id) from None
    snapshot = enqueue.get_snapshot(str(key))
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


def tell(todo: Sequence[Move]) -> None:
    """Tell Redis what the database has decided. Where Redis refuses, rescue does it later: what was decided holds."""
    try:
        with enqueue.mapped_errors():
            transitions.move_many(enqueue.get_connection(), todo)
    except QueueUnavailable as error:
        logger.warning("%d changes are in the database; rescue will tell Redis: %s", len(todo), error)


def _move(move: Move) -> bool:
    with enqueue.mapped_errors():
        return transitions.move_tasks(enqueue.get_connection(), [move])[0]


def _redis_key(owner: str, idempotency_key: str) -> str:
    digest = hashlib.sha256(f"{owner}\0{idempotency_key}".encode()).hexdigest()[:32]
    return f"longtasks:idempotency:{digest}"


def _fingerprint(tasks: Sequence[NewTask]) -> str:
    data = [[t.name, t.params, t.description, t.priority, t.callback_url] for t in tasks]
    return hashlib.sha256(orjson.dumps(data, option=orjson.OPT_SORT_KEYS)).hexdigest()[:24]


# What people ask of a job through RQ's own tools and django-rq's pages.


@receiver(rq_job.cancel_asked)
def _cancel_job(sender: object, task_id: str, **_: object) -> None:
    cancel_task(task_id=task_id, actor="rq", source=audit_log.RQ)


@receiver(rq_job.retry_asked)
def _retry_job(sender: object, task_id: str, **_: object) -> None:
    retry_task(task_id=task_id, actor="rq", source=audit_log.RQ)
