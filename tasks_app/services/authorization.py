"""Authorization of starts and retries: every way to start or retry a task checks it here before it accepts the task.

Owns the look-up of the owners of tasks that params name, and the call of `TaskType.authorize`. Refuses a start if
`authorize` fails. Must not know HTTP.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tasks_app.domain.callers import Caller, get_starting_scope
from tasks_app.domain.error_text import describe_value, error_line, escape
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.errors import (
    AuthorizationFailed,
    FilesUnavailable,
    NamedFileUnknown,
    NamedTaskUnknown,
    NotAllowed,
    ParamRefused,
    QueueUnavailable,
    StoreUnavailable,
    UnknownTask,
    UnknownTaskType,
)
from tasks_app.files.uploads import find_own
from tasks_app.queues import job_snapshots, redis_connection, suspended_calls
from tasks_app.read_model.task_rows import read_owners
from tasks_app.resilience.transient_errors import mapped_database_errors
from tasks_app.task_types import TaskType, get_task_type
from tasks_app.task_types.task_file_field import find_file_ids
from tasks_app.task_types.task_id_field import find_task_ids

logger = logging.getLogger(__name__)
_FIELD_CHARACTERS: Final = 200
_REASON_CHARACTERS: Final = 500


def check_starts(requested: Sequence[tuple[str, Mapping[str, Any]]], *, caller: Caller, where: str = "") -> None:
    """Raise unless the caller may start tasks of these names and params. Types without `authorize` skip that call.

    `where` is the path of a task in the request, as errors name it: "" or "tasks.{}.".
    Raises UnknownTaskType, NamedTaskUnknown, NamedFileUnknown, NotAllowed (ParamRefused), StoreUnavailable,
    QueueUnavailable, FilesUnavailable, and AuthorizationFailed if `authorize` raises or returns anything else.
    """
    typed = [(where.format(index), get_task_type(name), params) for index, (name, params) in enumerate(requested)]
    if not caller.sees_all:
        named = [
            (f"{prefix}params.{path}", value)
            for prefix, task_type, params in typed
            for path, value in find_task_ids(task_type.params_serializer, params)
        ]
        if named:
            own = _find_own([value for _, value in named], caller)
            if unknown := [field for field, value in named if _parse(value) not in own]:
                raise NamedTaskUnknown(unknown)
    files = [
        (f"{prefix}params.{path}", value)
        for prefix, task_type, params in typed
        for path, value in find_file_ids(task_type.params_serializer, params)
    ]
    if files:
        own_files = suspended_calls.run_in_thread(lambda: _find_own_files([value for _, value in files], caller))
        if unknown := [field for field, value in files if _parse(value) not in own_files]:
            raise NamedFileUnknown(unknown)
    for prefix, task_type, params in typed:
        _authorize(task_type, params, caller, prefix)


def check_retry(snapshot: Snapshot) -> None:
    """Raise, as `check_starts` does, unless a task may be started again with the rights that it was started with.

    The rights of the retrying user do not count: an admin's retry must not allow what the owner was refused.
    """
    rights = Caller(owner=snapshot.owner, scope=get_starting_scope(snapshot.scope), actor=snapshot.owner)
    try:
        check_starts([(snapshot.name, snapshot.params)], caller=rights)
    except UnknownTaskType:
        return  # the worker decides: it may run another version


def _authorize(task_type: TaskType, params: Mapping[str, Any], caller: Caller, prefix: str) -> None:
    if type(task_type).authorize is TaskType.authorize:
        return
    try:
        with mapped_database_errors(), redis_connection.mapped_redis_errors():
            # In an event loop a thread runs it: it may use the database, or take long.
            result: object = suspended_calls.run_in_thread(lambda: task_type.authorize(params, caller))  # type: ignore[func-returns-value]
    except NotAllowed as error:
        field = f"{prefix}params.{error.field}" if error.field else f"{prefix}params"
        kind = ParamRefused if isinstance(error, ParamRefused) else NotAllowed
        raise kind(escape(error.reason)[:_REASON_CHARACTERS], field=escape(field)[:_FIELD_CHARACTERS]) from error
    except UnknownTask as error:
        raise NamedTaskUnknown([f"{prefix}params"]) from error
    except (StoreUnavailable, QueueUnavailable, FilesUnavailable):
        raise
    except BaseException as error:  # also SystemExit: it must not end the web process
        logger.error("authorize of task type %s raised: the start is refused", task_type.name, exc_info=error)
        raise AuthorizationFailed(task_type.name, f"raised {error_line(error)}") from error
    if result is not None:  # `return False` or an un-awaited coroutine must not count as allowed
        failed = AuthorizationFailed(task_type.name, f"returned {describe_value(result)} instead of None")
        logger.error("%s", failed)
        raise failed


def _find_own(values: Iterable[Any], caller: Caller) -> set[uuid.UUID]:
    """Return the ids of the tasks that the caller may change.

    The database is queried also for tasks that Redis knows as another owner's. So these and unknown tasks take equally
    long, and give the same error while the database is unavailable.
    """
    wanted = list({key for value in values if (key := _parse(value)) is not None})
    ids = [str(key) for key in wanted]
    snapshots = job_snapshots.get_snapshots(ids)
    own = {
        key
        for key, snapshot in zip(wanted, snapshots, strict=True)
        if snapshot is not None and not snapshot.parent and caller.may_touch(snapshot.owner)
    }
    rest = [key for key in wanted if key not in own]
    if rest:
        owners = suspended_calls.run_in_thread(lambda: _read_owners(rest))
        own.update(key for key, owner in owners.items() if caller.may_touch(owner))
    return own


def _read_owners(keys: Sequence[uuid.UUID]) -> dict[uuid.UUID, str]:
    with mapped_database_errors():
        return read_owners(keys)


def _find_own_files(values: Iterable[Any], caller: Caller) -> set[uuid.UUID]:
    with mapped_database_errors():
        return find_own(values, caller=caller)


def _parse(value: Any) -> uuid.UUID | None:
    try:
        return value if isinstance(value, uuid.UUID) else uuid.UUID(value)
    except (ValueError, AttributeError, TypeError):
        return None
