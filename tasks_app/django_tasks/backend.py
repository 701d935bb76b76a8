"""The backend: takes functions as tasks of this service, and reads their results.

Owns the framework's interface: enqueue, get_result, check. Must not run a function (function_task.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from django.apps import apps
from django.core import checks
from django.utils import timezone

from tasks_app.django_tasks.backend_options import find_faults, read_options
from tasks_app.django_tasks.call_params import write_call
from tasks_app.django_tasks.compat import (
    APP,
    BaseTaskBackend,
    InvalidTask,
    Task,
    TaskResult,
    TaskResultDoesNotExist,
    task_enqueued,
)
from tasks_app.django_tasks.function import LongtasksTask, get_path
from tasks_app.django_tasks.function_task import get_type_name, register_type
from tasks_app.django_tasks.results import read_result
from tasks_app.domain.callers import ADMIN, Caller
from tasks_app.domain.error_text import describe_value
from tasks_app.domain.priorities import HIGH, LOW
from tasks_app.errors import UnknownTask
from tasks_app.read_model import task_queries
from tasks_app.services.start_tasks import NewTask
from tasks_app.services.transactional_start import start_with_transaction

_DESCRIPTION_CHARACTERS: Final = 255


class LongtasksBackend(BaseTaskBackend):
    """Runs functions in the workers of longtasks: what one writes commits together with its result."""

    task_class = LongtasksTask
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self._options = read_options(self.options)
        self._type_name = get_type_name(alias)
        register_type(alias, self._options)

    def validate_task(self, task: Task) -> None:
        """Raise InvalidTask for what no worker could run. Called by `@task`, `using` and `enqueue`."""
        super().validate_task(task)
        transaction = getattr(task, "transaction", None)
        if transaction is not None and type(transaction) is not bool:
            raise InvalidTask(f"transaction is {describe_value(transaction)}: True or False is needed.")

    def enqueue(self, task: Task, args: Any, kwargs: Any) -> TaskResult:
        """Accept a call of the function; inside `atomic()` it is accepted by the commit, and a rollback leaves nothing.

        Raises InvalidTask, TypeError or ValueError for arguments that JSON does not hold, ParamRefused for a `run_after`
        that is too far ahead; outside of a transaction also QueueFull and QueueUnavailable.
        """
        self.validate_task(task)
        path = get_path(task)
        new = NewTask(
            name=self._type_name,
            params=write_call(task, path, args, kwargs),
            description=path[:_DESCRIPTION_CHARACTERS],
            priority=_find_priority(task),
            callback_url=self._options.callback_url,
            start_at=_find_start(task),
        )
        snapshot = start_with_transaction(task=new, caller=Caller(owner=self._options.owner, scope=ADMIN))
        result = read_result(snapshot, alias=self.alias)
        task_enqueued.send_robust(sender=type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> TaskResult:
        """Return the result of a task that this backend has accepted.

        Raises TaskResultDoesNotExist, also for other tasks; SuspiciousOperation if its function is no longer a task;
        StoreUnavailable, QueueUnavailable.
        """
        try:
            snapshot = task_queries.get_task(task_id=result_id)
        except UnknownTask as error:
            raise TaskResultDoesNotExist(result_id) from error
        if snapshot.name != self._type_name:
            raise TaskResultDoesNotExist(result_id)
        return read_result(snapshot, alias=self.alias)

    def check(self, **kwargs: Any) -> Iterable[checks.CheckMessage]:
        """Report options that are not valid, and a missing application."""
        yield from super().check(**kwargs)
        if APP and not apps.is_installed(APP):
            yield checks.Error(
                f"TASKS uses LongtasksBackend, and {APP!r} is not in INSTALLED_APPS.",
                hint=f"Add {APP!r} to INSTALLED_APPS.",
                id="tasks_app.E010",
            )
        for _, fault in find_faults(self.options):
            yield checks.Error(
                f"TASKS[{self.alias!r}]['OPTIONS']: {fault}.", hint="docs/django-tasks.md", id="tasks_app.E011"
            )


def _find_start(task: Task) -> datetime | None:
    """Return `run_after` with its zone: without USE_TZ, the framework accepts a time of the current one."""
    if task.run_after is None or timezone.is_aware(task.run_after):
        return task.run_after
    return timezone.make_aware(task.run_after)


def _find_priority(task: Task) -> str:
    if task.queue_name in (HIGH, LOW):
        return task.queue_name
    return HIGH if task.priority > 0 else LOW
