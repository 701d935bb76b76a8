"""Starts a task of the failed records of an ended task alone. API, admin and command line call this.

Owns when that is possible, whose the new task is, and its audit entry. Must not know HTTP.
"""

from __future__ import annotations

import logging
import uuid

from rest_framework.exceptions import ValidationError

from tasks_app.auth import audit_log
from tasks_app.domain.callers import Caller, get_starting_scope
from tasks_app.domain.error_text import describe_value, escape
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.errors import FailuresNotRetried, StoreUnavailable, UnknownTaskType
from tasks_app.models import AuditEntry
from tasks_app.read_model.failure_list import iterate_failures, read_page
from tasks_app.read_model.task_queries import get_task
from tasks_app.resilience.transient_errors import mapped_database_errors
from tasks_app.services.start_tasks import NewTask, StartedTask, start_task
from tasks_app.task_types import CannotRetryFailures, get_task_type
from tasks_app.task_types.task_params import encode_params

logger = logging.getLogger(__name__)
_REASON_CHARACTERS = 500


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

    Raises UnknownTask, FailuresNotRetried with the reason, and what `start_tasks.start_task` raises.
    """
    snapshot = get_task(task_id=task_id, owner=owner)
    task = _make_task(snapshot)
    rights = Caller(owner=snapshot.owner, scope=get_starting_scope(snapshot.scope), actor=actor)
    started = start_task(
        task=task, caller=rights, request_id=request_id, idempotency_key=idempotency_key, source=source
    )
    if not started.replayed:
        _note(snapshot, started.snapshot, actor=actor, source=source)
    return started


def _make_task(snapshot: Snapshot) -> NewTask:
    key = uuid.UUID(snapshot.id)
    if not snapshot.ended:
        raise FailuresNotRetried(snapshot.id, f"it is {snapshot.status}, and more of its records may fail")
    if not read_page(task_id=key, limit=1).failures:
        raise FailuresNotRetried(snapshot.id, "none of its records is in the list of failures")
    try:
        task_type = get_task_type(snapshot.name)
        made: object = task_type.retry_params(
            task_id=key, params=snapshot.params, failures=iterate_failures(task_id=key)
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
