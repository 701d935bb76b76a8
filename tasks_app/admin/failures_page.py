"""The page of a task's failed records, their download as CSV, and the button that starts a task of them.

Owns its context and its messages. Must not start a task itself (services/retry_failures).
"""

from __future__ import annotations

import uuid
from typing import Any, Final

import orjson
from django.contrib import messages
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from tasks_app.admin.live_parts import render_page
from tasks_app.admin.paging import paging_context
from tasks_app.admin.permissions import can_operate, can_view, get_actor, requires
from tasks_app.admin.task_page import page_address
from tasks_app.auth import audit_log
from tasks_app.domain.printable import IN_LINES, escape
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.errors import LongtasksError, UnknownTask
from tasks_app.read_model import failure_list, task_queries
from tasks_app.services.retry_failures import retry_failures
from tasks_app.task_types import ListedFailure

_ON_A_PAGE: Final = 50
_VALUES_CHARACTERS: Final = 2_000


@requires(can_view)
def failures_page(request: HttpRequest, task_id: str) -> HttpResponse:
    """Show a page of the list."""
    task = _find(task_id)
    try:
        page = failure_list.read_page(
            task_id=uuid.UUID(task.id), cursor=request.GET.get("cursor", ""), limit=_ON_A_PAGE
        )
    except ValueError:
        return HttpResponseRedirect(_address(task_id))
    context = {
        "title": gettext("Failed records"),
        "task": task,
        "failures": [(each, _show_values(each)) for each in page.failures],
        "can_retry": can_operate(request) and task.ended and bool(task.failed_records),
        "is_fullwidth": "1",
        **paging_context(request, next_cursor=page.next_cursor),
    }
    return render_page(request, "tasks_app/failures.html", context)


@requires(can_view)
def failures_csv(request: HttpRequest, task_id: str) -> HttpResponseBase:
    """Return the whole list as CSV for a spreadsheet."""
    task = _find(task_id)
    parts = failure_list.write_csv(task_id=uuid.UUID(task.id), with_bom=True)
    headers = {"Content-Disposition": f'attachment; filename="failures-{task.id}.csv"'}
    return StreamingHttpResponse(parts, content_type="text/csv; charset=utf-8", headers=headers)


@require_POST
@requires(can_operate)
def retry(request: HttpRequest, task_id: str) -> HttpResponse:
    """Start a task of the failed records."""
    try:
        started = retry_failures(task_id=task_id, actor=get_actor(request), source=audit_log.ADMIN)
    except UnknownTask as error:
        raise Http404(str(error)) from error
    except LongtasksError as error:
        messages.error(request, str(error))
        return HttpResponseRedirect(_address(task_id))
    messages.success(request, gettext("A task of the failed records was started."))
    return HttpResponseRedirect(page_address(started.snapshot.id))


def _find(task_id: str) -> Snapshot:
    try:
        return task_queries.get_task(task_id=task_id)
    except UnknownTask as error:
        raise Http404(str(error)) from error


def _address(task_id: str) -> str:
    return reverse("admin:tasks_app_taskrecord_failures", args=[task_id])


def _show_values(failure: ListedFailure) -> list[tuple[str, str]]:
    """Return the values as short, safe texts."""
    left = _VALUES_CHARACTERS
    shown: list[tuple[str, Any]] = []
    for name, value in failure.values.items():
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
        text = escape(text[:left], unsafe=IN_LINES)
        shown.append((escape(name), text))
        left -= len(text) + len(name)
        if left <= 0:
            shown.append(("…", ""))
            break
    return shown
