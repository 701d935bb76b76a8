"""Starts tasks, or validates them without starting: one or many, all of them or none.

Owns the id and the first snapshot of a task, and idempotency keys. A start by the API needs no SQL, unless its params name
other tasks. Must not know HTTP.
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
from uuid_utils import uuid7

from tasks_app.auth import audit_log
from tasks_app.domain import priorities, start_times, task_status
from tasks_app.domain.callers import ANONYMOUS, Caller, get_starting_scope
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.errors import (
    IdempotencyMismatch,
    NamedFileUnknown,
    ParamRefused,
    StoreUnavailable,
)
from tasks_app.files.uploads import hold_files, parse_id
from tasks_app.models import AuditEntry
from tasks_app.observability import tracing
from tasks_app.queues import enqueue, queue_names, suspended_calls
from tasks_app.queues.redis_clock import TRUSTED_SECONDS, clock
from tasks_app.resilience.transient_errors import mapped_database_errors
from tasks_app.services.authorization import check_starts
from tasks_app.task_types import get_task_type
from tasks_app.task_types.task_file_field import find_file_ids
from tasks_app.task_types.task_results import read_total

logger = logging.getLogger(__name__)
IDEMPOTENCY_SECONDS: Final = 24 * 3600
NO_DRY_RUN: Final = (
    "Must be false: this task type has no dry run, because it does more than write to the database, or because its chunks need "
    "what earlier ones have written."
)
_IN_MANY: Final = "tasks.{}."  # the place of a task in a request of many
_NO_ID: Final = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class NewTask:
    """A request for a task; its params are validated by the type's serializer and encoded by `encode_params`."""

    name: str
    params: dict[str, Any] = field(default_factory=dict)
    description: str = ""
    priority: str | int = queue_names.LOW  # high, low, or 1 (critical) to 10
    callback_url: str = ""
    max_failures: str = ""  # as domain.max_failures reads it
    dry_run: bool = False  # refused for a type that does not support it
    start_at: datetime | None = None  # with a time zone; in the past: at once


@dataclass(frozen=True, slots=True)
class StartedTask:
    """An accepted task; `replayed` if an earlier request with the same key had started it."""

    snapshot: Snapshot
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class StartedTasks:
    """Accepted tasks, in the order of the request."""

    snapshots: list[Snapshot]
    replayed: bool = False


def start_task(
    *,
    task: NewTask,
    caller: Caller = ANONYMOUS,
    request_id: str = "",
    idempotency_key: str = "",
    source: str = audit_log.API,
    task_id: str = "",
) -> StartedTask:
    """Accept one task, usually in one round trip to Redis and without SQL. See `start_tasks` for the exceptions.

    `task_id` is one that `make_task_id` has returned and that no task has; without it the task gets a new one.
    """
    check_starts([(task.name, task.params)], caller=caller)
    _check_options([task])
    started = _start(
        tasks=[task],
        caller=caller,
        request_id=request_id,
        idempotency_key=idempotency_key,
        source=source,
        task_ids=[task_id] if task_id else None,
    )
    return StartedTask(started.snapshots[0], started.replayed)


def start_tasks(
    *,
    tasks: Sequence[NewTask],
    caller: Caller = ANONYMOUS,
    request_id: str = "",
    idempotency_key: str = "",
    source: str = audit_log.API,
) -> StartedTasks:
    """Accept tasks, all or none, in one round trip to Redis and without SQL.

    If params name other tasks, the owners of those are looked up first: another round trip, and a query for tasks that
    Redis no longer has. An anonymous caller cannot name tasks.
    Starts from other sources than the API are recorded in the audit; the API's starts are in the tasks' history.
    For 24 hours, the same `idempotency_key`, owner and tasks return the first result again.
    Files that params name are held by one more transaction.
    Raises UnknownTaskType, QueueFull, IdempotencyMismatch, QueueUnavailable, and what `authorization.check_starts`
    raises. After any error but QueueUnavailable, nothing was enqueued.
    """
    check_starts([(task.name, task.params) for task in tasks], caller=caller, where=_IN_MANY)
    _check_options(tasks, where=_IN_MANY)
    return _start(tasks=tasks, caller=caller, request_id=request_id, idempotency_key=idempotency_key, source=source)


def validate_tasks(*, tasks: Sequence[NewTask], caller: Caller = ANONYMOUS, are_many: bool = False) -> list[Snapshot]:
    """Return the snapshots that these tasks would begin with, with an id of zeros. Stores nothing anywhere.

    Raises what `start_tasks` raises, except QueueFull and IdempotencyMismatch. `are_many`: errors name the tasks' places.
    """
    where = _IN_MANY if are_many else ""
    check_starts([(task.name, task.params) for task in tasks], caller=caller, where=where)
    _check_options(tasks, where=where)
    now = clock.now()
    return [_new_snapshot(task, task_id=_NO_ID, created_at=now, caller=caller, request_id="") for task in tasks]


def prepare_task(*, task: NewTask, caller: Caller) -> Snapshot:
    """Return the first snapshot of a task that the caller enqueues; hold the files that its params name.

    Raises what `start_tasks` raises, except QueueFull and IdempotencyMismatch.
    """
    [snapshot] = validate_tasks(tasks=[task], caller=caller)
    snapshot = replace(snapshot, id=_new_id(snapshot.created_at))
    _hold_files([snapshot])
    return snapshot


def make_task_id() -> str:
    """Return an id for a task that is to be started with `start_task(task_id=…)`."""
    return _new_id(clock.now())


def _start(
    *,
    tasks: Sequence[NewTask],
    caller: Caller,
    request_id: str,
    idempotency_key: str,
    source: str,
    task_ids: Sequence[str] | None = None,
) -> StartedTasks:
    owner = caller.owner
    now = clock.now()
    snapshots = [
        _new_snapshot(task, task_id=task_id, created_at=now, caller=caller, request_id=request_id)
        for task, task_id in zip(tasks, task_ids or [_new_id(now) for _ in tasks], strict=True)
    ]
    _hold_files(snapshots)
    replay = enqueue.enqueue_tasks(
        snapshots,
        idempotency_key=_redis_key(owner, idempotency_key) if idempotency_key else "",
        fingerprint=_fingerprint(tasks) if idempotency_key else "",
        key_ttl_seconds=IDEMPOTENCY_SECONDS,
    )
    if replay is None:
        if source != audit_log.API:
            try:
                with mapped_database_errors():
                    audit_log.record(
                        action=AuditEntry.Action.START,
                        source=source,
                        actor=caller.actor or owner,
                        task_ids=[snapshot.id for snapshot in snapshots],
                    )
            except StoreUnavailable as error:
                # The tasks are accepted. An error would make the caller start them a second time.
                logger.warning("the start of %d tasks by %s is not in the audit: %s", len(snapshots), owner, error)
        return StartedTasks(snapshots)
    if not replay.same_body or len(replay.task_ids) != len(tasks):
        raise IdempotencyMismatch(idempotency_key)
    first_snapshots = [
        _new_snapshot(task, task_id=task_id, created_at=replay.created_at, caller=caller, request_id=request_id)
        for task, task_id in zip(tasks, replay.task_ids, strict=True)
    ]
    return StartedTasks(first_snapshots, replayed=True)


def _check_options(tasks: Sequence[NewTask], *, where: str = "") -> None:
    """Raise ParamRefused for the first dry run of a type that has none, or start that is not accepted."""
    now = clock.now()
    for place, task in enumerate(tasks):
        find_start(task.start_at, now=now, field=f"{where.format(place)}startAt")
        if task.dry_run and not get_task_type(task.name).supports_dry_run:
            raise ParamRefused(NO_DRY_RUN, field=f"{where.format(place)}dryRun")


def find_start(start_at: datetime | None, *, now: datetime, field: str = "startAt") -> datetime | None:
    """Return when a task begins; None: at once. Raises ParamRefused for a time without a zone, or too far ahead."""
    try:
        return start_times.find_start(start_at, now=now)
    except ValueError as error:
        raise ParamRefused(str(error), field=field) from None


def _hold_files(snapshots: Sequence[Snapshot]) -> None:
    """Keep the files that params name as long as their tasks. If a task is not enqueued then, the sweep notices it."""
    named = [
        (key, uuid.UUID(snapshot.id))
        for snapshot in snapshots
        for _, value in find_file_ids(get_task_type(snapshot.name).params_serializer, snapshot.params)
        if (key := parse_id(value)) is not None
    ]
    if not named:
        return
    is_gone = suspended_calls.run_in_thread(lambda: _hold(named))
    if is_gone:
        raise NamedFileUnknown(["params"])


def _hold(named: Sequence[tuple[uuid.UUID, uuid.UUID]]) -> bool:
    """Return whether a file is gone."""
    with mapped_database_errors():
        return bool(hold_files(named))


def _new_id(now: datetime) -> str:
    """Return a UUIDv7 of the current time; of Redis's time if this machine's clock is wrong."""
    if abs(clock.skew_seconds) <= TRUSTED_SECONDS:
        return str(uuid7())
    return str(uuid7(nanoseconds=int(now.timestamp() * 1e6) * 1000))


def _new_snapshot(task: NewTask, *, task_id: str, created_at: datetime, caller: Caller, request_id: str) -> Snapshot:
    task_type = get_task_type(task.name)
    total = read_total(task_type, task.params)
    start_at = find_start(task.start_at, now=created_at)
    return Snapshot(
        id=task_id,
        name=task.name,
        created_at=created_at,
        params=task.params,
        priority=queue_names.check_queue(priorities.find_queue(task.priority, own_queue=task_type.queue)),
        urgency=task.priority if isinstance(task.priority, int) else None,
        status=task_status.SCHEDULED if start_at else task_status.QUEUED,
        next_attempt_at=start_at,
        start_at=start_at,
        description=task.description,
        owner=caller.owner,
        scope=get_starting_scope(caller.scope),
        counts=dict.fromkeys(task_type.count_names, 0),
        total=total,
        request_id=request_id,
        callback_url=task.callback_url,
        max_failures=task.max_failures,
        dry_run=task.dry_run,
        weight=total if task_type.shareable and total and not task.dry_run else 0,
        cause=task_status.START_CAUSE,
        trace=tracing.get_traceparent(),
        actor=caller.owner,
    )


def _redis_key(owner: str, idempotency_key: str) -> str:
    digest = hashlib.sha256(f"{owner}\0{idempotency_key}".encode()).hexdigest()[:32]
    return f"longtasks:idempotency:{digest}"


def _fingerprint(tasks: Sequence[NewTask]) -> str:
    # Only what was given: a new field must not change the fingerprint of a request that the previous version accepted.
    data = [
        [t.name, t.params, t.description, t.priority, t.callback_url, *([t.max_failures] if t.max_failures else [])]
        + ([{"dryRun": True}] if t.dry_run else [])
        + ([{"startAt": t.start_at}] if t.start_at else [])
        for t in tasks
    ]
    return hashlib.sha256(orjson.dumps(data, option=orjson.OPT_SORT_KEYS)).hexdigest()[:24]
