"""The admin's index: current counts, charts of the last hour, queues, workers and processes.

Owns the content of the overview and its live parts. It reads queues from Redis and the past from minute roll-ups. Must
not scan tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from tasks_app.admin.charts import make_charts
from tasks_app.admin.live_parts import parts_response
from tasks_app.admin.permissions import can_administer, can_operate, can_view, requires
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.errors import QueueUnavailable
from tasks_app.process_monitor.reports import list_processes
from tasks_app.queues import job_snapshots, redis_connection
from tasks_app.read_model import minute_rollups, queue_overview
from tasks_app.read_model.mirror_lag import get_lag_seconds
from tasks_app.read_model.queue_overview import QueueView, WorkerView

CHART_MINUTES: Final = 61
# A queue whose oldest task waits longer, with none of its tasks running, is shown as stalled.
STALLED_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class QueueRow:
    view: QueueView
    is_stalled: bool


@dataclass(frozen=True, slots=True)
class WorkerRow:
    view: WorkerView
    task: Snapshot | None


def add_overview(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the overview's data to the context of the index (UNFOLD's DASHBOARD_CALLBACK)."""
    if not can_view(request):
        return context
    return context | collect(request) | {"charts": collect_charts()}


@requires(can_view)
def overview_page(request: HttpRequest) -> HttpResponse:
    """Show the overview on a page of its own, in the admin of another project."""
    context = {**admin.site.each_context(request), "title": _("Overview")}
    return TemplateResponse(request, "tasks_app/overview.html", add_overview(request, context))


@requires(can_view)
def overview_live(request: HttpRequest) -> HttpResponse:
    """Return the live parts of the overview, with the charts if the client's charts are older than this minute."""
    context = collect(request)
    parts: dict[str, tuple[str, dict[str, Any]]] = {
        name: (f"tasks_app/overview_{name.removeprefix('overview-')}.html", context)
        for name in ("overview-numbers", "overview-queues", "overview-workers", "overview-processes")
    }
    if request.GET.get("minute") != context["minute"]:
        parts["overview-charts"] = ("tasks_app/overview_charts.html", context | {"charts": collect_charts()})
    return parts_response(request, parts)


def collect(request: HttpRequest) -> dict[str, Any]:
    """Return the numbers, queues, workers and processes of this moment."""
    now = datetime.now(UTC)
    context: dict[str, Any] = {
        "today": minute_rollups.count_since(now.replace(hour=0, minute=0, second=0, microsecond=0)),
        "minute": now.strftime("%H%M"),
        "can_operate": can_operate(request),
        "can_administer": can_administer(request),
    }
    try:
        views = queue_overview.list_queues()
        workers = {worker.name: worker for view in views for worker in view.workers}
        running = [worker.task_id for worker in workers.values() if worker.task_id]
        tasks = dict(zip(running, job_snapshots.get_snapshots(running), strict=True)) if running else {}
        with redis_connection.mapped_redis_errors():
            lag_seconds = get_lag_seconds(redis_connection.get_connection())
            processes = list_processes(redis_connection.get_connection())
    except QueueUnavailable as error:
        unknown = dict.fromkeys(("waiting", "running", "scheduled", "lag_seconds"))
        return context | unknown | {"queues": [], "workers": [], "processes": [], "unavailable": str(error)}
    return context | {
        "queues": [QueueRow(view, _is_stalled(view)) for view in views],
        "workers": [WorkerRow(worker, tasks.get(worker.task_id)) for worker in workers.values()],
        "processes": processes,
        "waiting": sum(view.depth for view in views),
        "running": sum(view.started for view in views),
        "scheduled": sum(view.scheduled for view in views),
        "lag_seconds": lag_seconds,
    }


def collect_charts() -> list[Any]:
    return make_charts(minute_rollups.list_last(minutes=CHART_MINUTES))


def _is_stalled(view: QueueView) -> bool:
    waits = view.oldest_wait_seconds or 0.0
    return bool(view.depth) and waits > STALLED_SECONDS and not view.started and not view.ended_per_second
