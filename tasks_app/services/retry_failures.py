"""Starts a task of the failed records of an ended task alone. API, admin and command line call this.

Owns when that is possible, that no record is given to two tasks, whose the new task is, and its audit entry. Must not know
HTTP.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from datetime import timedelta
from typing import Final

from rest_framework.exceptions import ValidationError

from tasks_app.auth import audit_log
from tasks_app.checkpoints.failure_retries import FailuresRetry, read_retry, reserve_failures, undo_reservation
from tasks_app.domain import task_status
from tasks_app.domain.callers import Caller, get_starting_scope
from tasks_app.domain.error_text import describe_value, escape
from tasks_app.domain.task_ids import get_time_of_id
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.errors import (
    FailuresNotRetried,
    NamedTaskUnknown,
    ParamRefused,
    QueueUnavailable,
    StoreUnavailable,
    UnknownTask,
    UnknownTaskType,
)
from tasks_app.models import AuditEntry
from tasks_app.queues.redis_clock import clock
from tasks_app.read_model.failure_list import RetriedFailures
from tasks_app.read_model.task_queries import get_task
from tasks_app.resilience.transient_errors import mapped_database_errors
from tasks_app.services.start_tasks import NewTask, StartedTask, make_task_id, start_task
from tasks_app.task_types import CannotRetryFailures, get_task_type
from tasks_app.task_types.task_params import encode_params

logger = logging.getLogger(__name__)
_REASON_CHARACTERS: Final = 500
_STARTED_WITHIN: Final = timedelta(minutes=1)  # the time of a request
_LOST_BEFORE: Final = timedelta(days=1)  # later the task may have ended and been pruned


def retry_failures(
    *,
    task_id: str,
    actor: str = "",
    owner: str | None = None,
    request_id: str = "",
    idempotency_key: str = "",
    source: str = audit_log.API,
) -> StartedTask:
    """Start a task that runs the failed records of an ended task; it has the owner and the scope of that task.

    Each failed record is given to one task, so that its effects cannot double. The id of that task is noted before it is
    started: if this process dies in between, or if Redis does not answer, a later call starts it.
    Raises UnknownTask, FailuresNotRetried with the reason, and what `start_tasks.start_task` raises.
    """
    snapshot = get_task(task_id=task_id, owner=owner)
    if not snapshot.ended:
        raise FailuresNotRetried(snapshot.id, f"it is {snapshot.status}, and more of its records may fail")
    request = _digest(snapshot.owner, idempotency_key)
    retry, earlier = _reserve(snapshot, request)
    if earlier is not None:
        return StartedTask(earlier, replayed=True)
    rights = Caller(owner=snapshot.owner, scope=get_starting_scope(snapshot.scope), actor=actor)
    try:
        started = start_task(
            task=_make_task(snapshot, retry),
            caller=rights,
            request_id=request_id,
            idempotency_key=idempotency_key,
            source=source,
            task_id=retry.retry_id,
        )
    except QueueUnavailable:  # it may have been started
        raise
    except (ParamRefused, NamedTaskUnknown) as error:
        _undo(retry)
        raise FailuresNotRetried(snapshot.id, str(error)[:_REASON_CHARACTERS].rstrip(".")) from error
    except Exception:
        _undo(retry)
        raise
    if not started.replayed:
        _note(snapshot, started.snapshot, actor=actor, source=source)
    return started


def _reserve(snapshot: Snapshot, request: str) -> tuple[FailuresRetry, Snapshot | None]:
    """Return the retry to start; or with it its task, if the same request has started it before."""
    key = uuid.UUID(snapshot.id)
    with mapped_database_errors():
        last = read_retry(key)
    known = None if last is None else _find_task(last)
    if last is not None and known is None and _was_lost(last, request):
        return last, None
    if last is not None and known is not None and request and request == last.request:
        return last, known
    with mapped_database_errors():
        reserved = reserve_failures(task_id=key, retry_id=make_task_id(), request=request)
        if reserved is not None:
            return reserved, None
        last = read_retry(key)
    raise FailuresNotRetried(snapshot.id, _describe(last, None if last is None else _find_task(last)))


def _find_task(retry: FailuresRetry) -> Snapshot | None:
    try:
        return get_task(task_id=retry.retry_id)
    except UnknownTask:
        return None


def _was_lost(retry: FailuresRetry, request: str) -> bool:
    """Return whether a task that is unknown was never started; else it is being started, or was deleted since."""
    age = clock.now() - get_time_of_id(uuid.UUID(retry.retry_id))
    is_same = bool(request) and request == retry.request  # Redis then starts one task at most
    return age < _LOST_BEFORE and (is_same or age > _STARTED_WITHIN)


def _describe(retry: FailuresRetry | None, task: Snapshot | None) -> str:
    if retry is None:
        return "none of its records is in the list of failures"
    name = f"task {retry.retry_id}"
    if task is None:
        is_young = clock.now() - get_time_of_id(uuid.UUID(retry.retry_id)) < _LOST_BEFORE
        return f"{name} is being started for them" if is_young else f"{name} was started for them, and deleted since"
    if task.status == task_status.FINISHED:
        return f"{name} has run them. Those that failed again are in its own list: POST /tasks/{task.id}/failures/retry"
    if task.ended:
        return f"{name} was started for them and is {task.status}. It continues with POST /tasks/{task.id}/retry"
    return f"{name} was started for them and is {task.status}"


def _make_task(snapshot: Snapshot, retry: FailuresRetry) -> NewTask:
    try:
        task_type = get_task_type(snapshot.name)
        made: object = task_type.retry_params(
            task_id=retry.failures.task_id, params=snapshot.params, failures=RetriedFailures(retry.failures)
        )
        if not isinstance(made, dict):
            raise CannotRetryFailures(f"retry_params of its type returned {describe_value(made)} instead of a dict")
        params = encode_params(made)
    except (CannotRetryFailures, UnknownTaskType) as error:
        raise FailuresNotRetried(snapshot.id, escape(str(error))[:_REASON_CHARACTERS]) from error
    except ValidationError as error:
        reason = f"the params of its type cannot hold them: {describe_value(error.detail)}"
        raise FailuresNotRetried(snapshot.id, reason) from error
    return NewTask(
        name=snapshot.name,
        params=params,
        description=snapshot.description,
        priority=snapshot.given_priority,
        callback_url=snapshot.callback_url,
        max_failures=snapshot.max_failures,
        dry_run=snapshot.dry_run,
    )


def _undo(retry: FailuresRetry) -> None:
    """Give the failures back. If that is not possible, a later call starts the task of this id."""
    try:
        with mapped_database_errors():
            undo_reservation(retry)
    except StoreUnavailable as error:
        logger.warning("the failed records of %s are still noted as retried: %s", retry.failures.task_id, error)


def _digest(owner: str, idempotency_key: str) -> str:
    if not idempotency_key:
        return ""
    return hashlib.sha256(f"{owner}\0{idempotency_key}".encode()).hexdigest()[:32]


def _note(snapshot: Snapshot, started: Snapshot, *, actor: str, source: str) -> None:
    """Record the retry in the audit. The new task is accepted already, so a failed record is only logged."""
    try:
        with mapped_database_errors():
            audit_log.record(
                action=AuditEntry.Action.RETRY,
                source=source,
                actor=actor,
                task_ids=[snapshot.id],
                detail=f"its failed records, by task {started.id}",
            )
    except StoreUnavailable as error:
        logger.warning("the retry of the failed records of %s is not in the audit: %s", snapshot.id, error)
