"""The TaskResult of a function task: from its snapshot, or in the worker from its chunk.

Owns the mapping of states, attempts and errors to the framework's words. Must not write anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from django.core.exceptions import SuspiciousOperation

from tasks_app.django_tasks import outcomes
from tasks_app.django_tasks.call_params import Call, read_call
from tasks_app.django_tasks.compat import InvalidTask, Task, TaskError, TaskResult, TaskResultStatus
from tasks_app.django_tasks.django_internals import set_return_value
from tasks_app.django_tasks.function import NoFunction, find_function
from tasks_app.domain import task_status
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.models import TaskEvent
from tasks_app.read_model import task_queries
from tasks_app.read_model.task_results import find_results
from tasks_app.task_types import Chunk

_STATUSES: Final = {
    task_status.STARTED: TaskResultStatus.RUNNING,
    task_status.FINISHED: TaskResultStatus.SUCCESSFUL,
    task_status.FAILED: TaskResultStatus.FAILED,
    task_status.CANCELED: TaskResultStatus.FAILED,
    task_status.STOPPED: TaskResultStatus.FAILED,
}  # of the others: READY
_ENDED_BY: Final = {
    task_status.CANCELED: outcomes.TaskCanceled,
    task_status.STOPPED: outcomes.TaskStopped,
}


def read_result(snapshot: Snapshot, *, alias: str) -> TaskResult:
    """Return the result of a task. Raises SuspiciousOperation if its path leads to no task, StoreUnavailable."""
    call = read_call(snapshot.params)
    status = _STATUSES.get(snapshot.status, TaskResultStatus.READY)
    workers, errors, last_attempted_at = _read_attempts(snapshot)
    result = _make_result(
        find_task(call, alias=alias),
        call,
        id=snapshot.id,
        status=status,
        enqueued_at=snapshot.created_at,
        started_at=snapshot.started_at,
        last_attempted_at=last_attempted_at,
        finished_at=snapshot.ended_at,
        errors=errors,
        worker_ids=workers,
    )
    if status == TaskResultStatus.SUCCESSFUL:
        set_return_value(result, find_results(snapshot).result)
    return result


def make_running(chunk: Chunk, task: Task, call: Call) -> TaskResult:
    """Return what the function and the receivers of task_started see of the task, without a query."""
    now = datetime.now(UTC)
    return _make_result(
        task,
        call,
        id=str(chunk.task_id),
        status=TaskResultStatus.RUNNING,
        enqueued_at=chunk.created_at,
        started_at=now,
        last_attempted_at=now,
        finished_at=None,
        errors=[],
        worker_ids=[chunk.worker] * chunk.attempt,
    )


def find_task(call: Call, *, alias: str) -> Task:
    """Return the task of a call, as it was enqueued. Raises SuspiciousOperation if its path leads to no task."""
    try:
        task = find_function(call.path)
    except NoFunction as error:
        raise SuspiciousOperation(str(error)) from error
    try:
        return task.using(priority=call.priority, queue_name=call.queue, run_after=call.run_after, backend=alias)
    except InvalidTask:
        return task  # the settings have changed since, for instance QUEUES


def _make_result(task: Task, call: Call, **values: Any) -> TaskResult:
    return TaskResult(task=task, args=list(call.args), kwargs=dict(call.kwargs), backend=task.backend, **values)


def _read_attempts(snapshot: Snapshot) -> tuple[list[str], list[TaskError], datetime | None]:
    """Return the worker of each attempt, the error of each one that failed, and when the last one began."""
    if not snapshot.attempts:
        return [], _describe_end(snapshot), None
    if snapshot.attempts == 1:
        errors = _describe_end(snapshot) or ([_describe_error(snapshot.error)] if snapshot.error else [])
        return [snapshot.worker], errors, snapshot.started_at
    events = list(task_queries.list_events(task_id=snapshot.id))
    takes = {event.attempt: event for event in events if event.cause == "take"}
    failures = _find_failures(events)
    if snapshot.error and snapshot.error not in failures.values():
        failures[snapshot.attempts] = snapshot.error  # the mirror is behind
    workers = [
        takes[number].worker if number in takes else snapshot.worker for number in range(1, snapshot.attempts + 1)
    ]
    last = max(takes, default=0)
    errors = [_describe_error(failures[number]) for number in sorted(failures)]
    return workers, [*_describe_end(snapshot), *errors], takes[last].at if last else snapshot.started_at


def _find_failures(events: Sequence[TaskEvent]) -> dict[int, str]:
    """Return the errors by the number of the attempt. Later events of a task repeat the error of its last failed attempt."""
    failures: dict[int, str] = {}
    known = None
    for event in events:
        ends_attempt = event.status in (task_status.SCHEDULED, task_status.FAILED) or event.error != known
        if event.error and ends_attempt and event.status != task_status.STARTED:
            failures[event.attempt] = event.error
        known = event.error
    return failures


def _describe_end(snapshot: Snapshot) -> list[TaskError]:
    """Return the error of a task that somebody has ended; none of another task."""
    kind = _ENDED_BY.get(snapshot.status)
    if kind is None:
        return []
    path = outcomes.path_of(kind)
    text = f"{path}: {kind.__doc__}{f' By {snapshot.actor}.' if snapshot.actor else ''}\n"
    return [TaskError(exception_class_path=path, traceback=text)]


def _describe_error(text: str) -> TaskError:
    return TaskError(exception_class_path=outcomes.find_exception_path(text), traceback=f"{text}\n")
