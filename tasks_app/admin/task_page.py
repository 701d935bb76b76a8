"""The page of one task: its data, its history, and the actions that change it.

Owns its context and its messages. Must not change a task itself (services/change_tasks).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from django.apps import apps
from django.contrib import admin, messages
from django.core.exceptions import FieldDoesNotExist
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from tasks_app.admin.live_parts import parts_response, render_page
from tasks_app.admin.permissions import can_operate, can_view, get_actor, get_caller, requires
from tasks_app.admin.start_time_form import make_form
from tasks_app.api.file_serializers import results_data
from tasks_app.auth import audit_log
from tasks_app.checkpoints import cancel_and_reopen
from tasks_app.domain import priorities, task_status
from tasks_app.domain.printable import IN_LINES, escape
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.errors import LongtasksError, QueueUnavailable, UnknownTask
from tasks_app.http import url_prefix
from tasks_app.queues import job_snapshots, queue_names
from tasks_app.read_model import task_queries
from tasks_app.read_model.row_change_list import ListedChange
from tasks_app.read_model.task_results import find_results
from tasks_app.services import change_tasks, start_tasks
from tasks_app.task_types.failure_lists import RETRIED

_LIVE_PARTS: Final = ("head", "facts", "changes", "timeline", "error")


@dataclass(frozen=True, slots=True)
class Pace:
    """The speed of a running task since its worker dequeued it."""

    records_per_second: float
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class CountLink:
    name: str
    number: int
    address: str  # of the list of its rows; "" if there is none


@dataclass(frozen=True, slots=True)
class ShownChange:
    """A row that a dry run has changed, with each column's value before and after; None: there is no row."""

    change: ListedChange
    values: list[tuple[str, str, str]]


@requires(can_view)
def task_page(request: HttpRequest, task_id: str) -> HttpResponse:
    """Show a task."""
    context = _collect(request, task_id)
    task = context["task"]
    context["title"] = f"{task.name} {task.description}".strip()
    return render_page(request, "tasks_app/task_page.html", context)


@requires(can_view)
def task_live(request: HttpRequest, task_id: str) -> HttpResponse:
    """Return the live parts of the page."""
    context = _collect(request, task_id)
    return parts_response(request, {f"task-{name}": (f"tasks_app/task_{name}.html", context) for name in _LIVE_PARTS})


@require_POST
@requires(can_operate)
def cancel(request: HttpRequest, task_id: str) -> HttpResponse:
    """Cancel the task."""
    try:
        snapshot = change_tasks.cancel_task(task_id=task_id, actor=get_actor(request), source=audit_log.ADMIN)
    except LongtasksError as error:
        return _refused(request, task_id, error)
    if snapshot.ended:
        messages.success(request, gettext("The task is canceled."))
    else:
        messages.success(request, gettext("The task stops after its current chunk."))
    return HttpResponseRedirect(page_address(task_id))


@require_POST
@requires(can_operate)
def retry(request: HttpRequest, task_id: str) -> HttpResponse:
    """Retry the task from its checkpoint."""
    try:
        change_tasks.retry_task(task_id=task_id, actor=get_actor(request), source=audit_log.ADMIN)
    except LongtasksError as error:
        return _refused(request, task_id, error)
    messages.success(request, gettext("The task is queued again and continues from its checkpoint."))
    return HttpResponseRedirect(page_address(task_id))


@require_POST
@requires(can_operate)
def change_priority(request: HttpRequest, task_id: str) -> HttpResponse:
    """Move the task to the other queue."""
    try:
        change_tasks.change_priority(
            task_id=task_id,
            priority=request.POST.get("priority", ""),
            actor=get_actor(request),
            source=audit_log.ADMIN,
        )
    except LongtasksError as error:
        return _refused(request, task_id, error)
    messages.success(request, gettext("The task was moved to the other queue."))
    return HttpResponseRedirect(page_address(task_id))


@require_POST
@requires(can_operate)
def start_again(request: HttpRequest, task_id: str) -> HttpResponse:
    """Start a new task with the same parameters."""
    try:
        task = task_queries.get_task(task_id=task_id)
        if RETRIED in task.params:  # each failed record is given to one task
            messages.error(
                request,
                gettext("This task ran the failed records of another one. Retry it, or the records that failed again."),
            )
            return HttpResponseRedirect(page_address(task_id))
        started = start_tasks.start_task(
            task=start_tasks.NewTask(
                name=task.name,
                params=task.params,
                description=task.description,
                priority=task.given_priority,
                callback_url=task.callback_url,
                max_failures=task.max_failures,
                dry_run=task.dry_run,
            ),
            caller=get_caller(request),
            source=audit_log.ADMIN,
        )
    except LongtasksError as error:
        return _refused(request, task_id, error)
    messages.success(request, gettext("A new task with the same parameters was started."))
    return HttpResponseRedirect(page_address(started.snapshot.id))


def page_address(task_id: str) -> str:
    return reverse("admin:tasks_app_taskrecord_change", args=[task_id])


def _refused(request: HttpRequest, task_id: str, error: LongtasksError) -> HttpResponse:
    if isinstance(error, UnknownTask):
        raise Http404(str(error)) from error
    messages.error(request, str(error))
    return HttpResponseRedirect(page_address(task_id))


def _collect(request: HttpRequest, task_id: str) -> dict[str, Any]:
    try:
        task = task_queries.get_task(task_id=task_id)
        history = task_queries.list_events(task_id=task_id)
    except UnknownTask as error:
        raise Http404(str(error)) from error
    results = find_results(task)
    may_download = can_operate(request)  # a link works for whoever has it
    return {
        "task": task,
        "history": history,
        "results": results,
        "artifacts": [file if may_download else file | {"url": ""} for file in results_data(results)["artifacts"]],
        "pace": _get_pace(task, history),
        "changes": [ShownChange(each, _list_values(each)) for each in results.changes or ()],
        "counts": [
            CountLink(name, number, "" if task.dry_run else _rows_address(name, task.id))
            for name, number in task.counts.items()
        ],
        "rq_address": _rq_address(task),
        "api_address": url_prefix.add(f"/tasks/{task.id}"),
        "can_operate": can_operate(request),
        "can_cancel": not task.ended and not task.cancel_requested,
        "can_retry": task.status in cancel_and_reopen.RETRYABLE,
        "other_priority": priorities.LOW if task.priority == priorities.HIGH else priorities.HIGH,
        "reschedule_form": make_form(task),
        "can_move": task.status in (task_status.QUEUED, task_status.SCHEDULED),
    }


def _list_values(change: ListedChange) -> list[tuple[str, str, str]]:
    """Return the columns with short, safe texts."""
    before, after = change.before or {}, change.after or {}
    return [(escape(name), _show_value(before, name), _show_value(after, name)) for name in {**before, **after}]


def _show_value(values: Mapping[str, Any], name: str) -> str:
    if name not in values:
        return ""
    value = values[name]
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return escape(text, unsafe=IN_LINES)


def _get_pace(task: Snapshot, history: list[Any]) -> Pace | None:
    """Return the speed since the last dequeue, without earlier pauses and workers; None if it is unknown."""
    dequeued = next((event for event in reversed(history) if event.cause == "take"), None)
    if task.status != task_status.STARTED or dequeued is None:
        return None
    seconds = (datetime.now(UTC) - dequeued.at).total_seconds()
    rate = (task.done - dequeued.done) / seconds if seconds > 0 else 0.0
    if rate <= 0:
        return None
    return Pace(rate, (task.total - task.done) / rate if task.total else None)


def _rows_address(table: str, task_id: str) -> str:
    """Return the address of the admin's list of rows that a task wrote to a table; "" if the admin has none."""
    for model in apps.get_models():
        if model._meta.db_table != table or not admin.site.is_registered(model):
            continue
        try:
            model._meta.get_field("task_id")
        except FieldDoesNotExist:
            continue
        address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        return f"{address}?task={task_id}"
    return ""


def _rq_address(task: Snapshot) -> str:
    """Return the address of RQ's page of the job; "" if Redis or QUEUES no longer has the job or its queue."""
    if task.priority not in queue_names.QUEUES:
        return ""
    try:
        if job_snapshots.get_snapshot(task.id) is None:
            return ""
        return reverse("admin:django_rq_job_detail", args=[queue_names.QUEUES.index(task.priority), task.id])
    except (NoReverseMatch, QueueUnavailable):
        return ""
