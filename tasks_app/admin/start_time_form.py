"""The times of forms, in UTC, and the form on a task's page that changes when the task begins.

Owns both. Must not change a task itself (services/change_tasks).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_POST

from tasks_app.admin.permissions import can_operate, get_actor, requires
from tasks_app.auth import audit_log
from tasks_app.domain import start_times
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.domain.task_status import QUEUED, SCHEDULED
from tasks_app.errors import LongtasksError, UnknownTask
from tasks_app.queues.redis_clock import clock
from tasks_app.services import change_tasks


class DateTimeInput(forms.DateTimeInput):
    """The browser's built-in picker, which needs no script. Times are UTC."""

    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%dT%H:%M")


class UtcTimeField(forms.DateTimeField):
    """A time in UTC that may be left empty; its label must say that it is UTC."""

    def __init__(self, **options: Any) -> None:
        formats = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
        super().__init__(required=False, widget=DateTimeInput(), input_formats=formats, **options)


class StartAtField(UtcTimeField):
    """When a task begins; empty, or a time that has come: at once."""

    def clean(self, value: Any) -> datetime | None:
        moment = super().clean(value)
        if moment is None:
            return None
        try:
            return start_times.find_start(moment.replace(tzinfo=UTC), now=clock.now())
        except ValueError as error:
            raise forms.ValidationError(
                gettext("At most %(days)s days from now.") % {"days": start_times.MOST_DAYS}
            ) from error


class RescheduleForm(forms.Form):
    """When a task begins that has not begun."""

    start_at = StartAtField(label=gettext_lazy("Begins at (UTC)"))


def make_form(task: Snapshot) -> RescheduleForm | None:
    """Return the form for a task that has not begun, else None."""
    if task.attempts or task.status not in (QUEUED, SCHEDULED):
        return None
    return RescheduleForm(initial={"start_at": task.start_at}, auto_id="reschedule-%s")


@require_POST
@requires(can_operate)
def reschedule(request: HttpRequest, task_id: str) -> HttpResponse:
    """Change when the task begins."""
    form = RescheduleForm(request.POST)
    address = reverse("admin:tasks_app_taskrecord_change", args=[task_id])
    if not form.is_valid():
        messages.error(request, " ".join(str(error) for errors in form.errors.values() for error in errors))
        return HttpResponseRedirect(address)
    try:
        snapshot = change_tasks.change_start(
            task_id=task_id,
            start_at=form.cleaned_data["start_at"],
            actor=get_actor(request),
            source=audit_log.ADMIN,
        )
    except UnknownTask as error:
        raise Http404(str(error)) from error
    except LongtasksError as error:
        messages.error(request, str(error))
        return HttpResponseRedirect(address)
    if snapshot.start_at is None:
        messages.success(request, gettext("The task begins as soon as a worker is free."))
    else:
        at = f"{snapshot.start_at:%Y-%m-%d %H:%M}"
        messages.success(request, gettext("The task begins at %(at)s UTC.") % {"at": at})
    return HttpResponseRedirect(address)
