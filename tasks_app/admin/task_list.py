"""The list of tasks: filters, search, keyset pages, live rows, and the actions for selected tasks.

Owns its form and context. Must not query or change tasks itself (read_model/task_search, services/change_many_tasks).
"""

from __future__ import annotations

import uuid
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext, gettext_lazy, ngettext
from django.views.decorators.http import require_POST

from tasks_app.admin.live_parts import render_page
from tasks_app.admin.paging import paging_context
from tasks_app.admin.permissions import can_operate, can_view, get_actor, requires
from tasks_app.admin.start_time_form import UtcTimeField
from tasks_app.admin.task_row_html import RowWriter
from tasks_app.auth import audit_log
from tasks_app.errors import LongtasksError
from tasks_app.models import Status, TaskRecord
from tasks_app.queues import queue_names
from tasks_app.read_model.task_search import PAGE_TASKS, TaskFilter, find_tasks
from tasks_app.services import change_many_tasks
from tasks_app.services.change_many_tasks import SetResult
from tasks_app.task_types import list_task_types
from tasks_app.templatetags.task_display import queue_label, status_label

ANY: Final = [("", gettext_lazy("any"))]
_ACTIONS: Final = {
    "cancel": gettext_lazy("Cancel"),
    "retry": gettext_lazy("Retry"),
    "high": gettext_lazy("Priority high"),
    "low": gettext_lazy("Priority low"),
}
_MAX_LIVE_ROWS: Final = PAGE_TASKS


class FilterForm(forms.Form):
    """The list's filters, from the query string."""

    q = forms.CharField(label=gettext_lazy("Search"), required=False, max_length=100)
    status = forms.ChoiceField(label=gettext_lazy("Status"), required=False, choices=[*ANY, *Status.choices])
    name = forms.ChoiceField(label=gettext_lazy("Type"), required=False)
    priority = forms.ChoiceField(label=gettext_lazy("Queue"), required=False)
    owner = forms.CharField(label=gettext_lazy("Owner"), required=False, max_length=64, strip=False)
    after = UtcTimeField(label=gettext_lazy("Created from (UTC)"))
    before = UtcTimeField(label=gettext_lazy("Created before (UTC)"))

    def __init__(self, data: Any) -> None:
        super().__init__(data, auto_id="filter-%s")
        names = [(task_type.name, task_type.name) for task_type in list_task_types()]
        self.fields["name"].choices = [*ANY, *names]  # type: ignore[attr-defined]
        queues = [(name, queue_label(name)) for name in queue_names.QUEUES]
        self.fields["priority"].choices = [*ANY, *queues]  # type: ignore[attr-defined]
        self.fields["q"].widget.attrs["placeholder"] = gettext("id or description")
        self.fields["q"].widget.attrs["type"] = "search"

    def read(self) -> TaskFilter:
        """Return the filter; an invalid value does not filter, and its error is shown at its field."""
        self.is_valid()
        values = self.cleaned_data
        return TaskFilter(
            status=values.get("status") or None,
            name=values.get("name") or None,
            queue=values.get("priority") or None,
            owner=values.get("owner") or None,
            created_after=values.get("after"),
            created_before=values.get("before"),
            text=values.get("q", ""),
        )


@requires(can_view)
def task_list(request: HttpRequest) -> HttpResponse:
    """Show a page of tasks."""
    form = FilterForm(request.GET)
    wanted = form.read()
    try:
        found = find_tasks(wanted=wanted, cursor=request.GET.get("cursor", ""))
    except ValueError:
        return HttpResponseRedirect(reverse("admin:tasks_app_taskrecord_changelist"))
    context = {
        "title": gettext("Tasks"),
        "form": form,
        "is_filtered": any(form.cleaned_data.values()),
        "rows": RowWriter(can_operate=can_operate(request)).write_all(found.records),
        "searched_to": found.searched_to,
        "actions": _ACTIONS,
        "can_operate": can_operate(request),
        "here": request.get_full_path(),
        "is_fullwidth": "1",
        **paging_context(request, next_cursor=found.next_cursor),
    }
    return render_page(request, "tasks_app/task_list.html", context)


@requires(can_view)
def rows_live(request: HttpRequest) -> HttpResponse:
    """Return the current rows of the given tasks."""
    keys = []
    for text in request.GET.get("ids", "").split(",")[:_MAX_LIVE_ROWS]:
        try:
            keys.append(uuid.UUID(text))
        except ValueError:
            continue
    records = TaskRecord.objects.filter(pk__in=keys).defer("error", "params", "callback_url")
    rows = RowWriter(can_operate=can_operate(request))
    parts = {f"task-{record.pk}": rows.write(record) for record in records}
    return JsonResponse({"parts": parts}, headers={"Cache-Control": "no-store"})


@require_POST
@requires(can_operate)
def change_many(request: HttpRequest) -> HttpResponse:
    """Apply the requested action to the selected tasks, as one set."""
    action, task_ids = request.POST.get("action", ""), request.POST.getlist("task")
    back = HttpResponseRedirect(safe_next(request))
    if action not in _ACTIONS or not task_ids:
        messages.warning(request, gettext("Nothing was changed: select tasks first."))
        return back
    try:
        result = _change(action, task_ids, actor=get_actor(request))
    except ValueError:
        messages.error(request, gettext("Nothing was changed: invalid task ids, or too many."))
    except LongtasksError as error:
        messages.error(request, str(error))
    else:
        _show_result(request, result)
    return back


def safe_next(request: HttpRequest) -> str:
    """Return the page of this site that the user came from, or the list."""
    target = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()}, require_https=request.is_secure()):
        return target
    return reverse("admin:tasks_app_taskrecord_changelist")


def _change(action: str, task_ids: list[str], *, actor: str) -> SetResult:
    if action == "cancel":
        return change_many_tasks.cancel_tasks(task_ids=task_ids, actor=actor, source=audit_log.ADMIN)
    if action == "retry":
        return change_many_tasks.retry_tasks(task_ids=task_ids, actor=actor, source=audit_log.ADMIN)
    return change_many_tasks.change_priorities(task_ids=task_ids, priority=action, actor=actor, source=audit_log.ADMIN)


def _show_result(request: HttpRequest, result: SetResult) -> None:
    if result.changed:
        number = len(result.changed)
        messages.success(
            request, ngettext("%(number)d task changed.", "%(number)d tasks changed.", number) % {"number": number}
        )
    if result.left:
        left = ", ".join(f"{number} {status_label(status)}" for status, number in sorted(result.left.items()))
        messages.warning(request, gettext("Not changed: %(left)s.") % {"left": left})
