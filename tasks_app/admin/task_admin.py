"""The URLs of the task dashboard below /admin/tasks_app/.

Owns the registration. Every page and every change is a view of this package. Must not let Django's admin save a row.
"""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern

from tasks_app.admin import (
    audit_page,
    failures_page,
    overview,
    queue_actions,
    start_form,
    start_time_form,
    task_list,
    task_page,
)
from tasks_app.admin.read_only_admin import ReadOnlyAdmin
from tasks_app.conf.project import is_embedded
from tasks_app.models import AuditEntry, TaskRecord


@admin.register(TaskRecord)
class TaskRecordAdmin(ReadOnlyAdmin):
    """The list of tasks, the page of each, and the actions."""

    def get_urls(self) -> list[URLPattern]:
        # This project's admin has the overview as its index.
        own = [self._route("overview/", overview.overview_page, "overview")] if is_embedded() else []
        return [
            *own,
            self._route("", task_list.task_list, "changelist"),
            self._route("live/", task_list.rows_live, "rows_live"),
            self._route("change/", task_list.change_many, "change_many"),
            self._route("start/", start_form.start_page, "add"),
            self._route("overview/live/", overview.overview_live, "overview_live"),
            self._route("queues/<str:name>/pause/", queue_actions.pause_queue, "pause"),
            self._route("queues/<str:name>/resume/", queue_actions.resume_queue, "resume"),
            self._route("<str:task_id>/", task_page.task_page, "change"),
            self._route("<str:task_id>/live/", task_page.task_live, "live"),
            self._route("<str:task_id>/cancel/", task_page.cancel, "cancel"),
            self._route("<str:task_id>/retry/", task_page.retry, "retry"),
            self._route("<str:task_id>/priority/", task_page.change_priority, "priority"),
            self._route("<str:task_id>/reschedule/", start_time_form.reschedule, "reschedule"),
            self._route("<str:task_id>/again/", task_page.start_again, "again"),
            self._route("<str:task_id>/failures/", failures_page.failures_page, "failures"),
            self._route("<str:task_id>/failures/csv/", failures_page.failures_csv, "failures_csv"),
            self._route("<str:task_id>/failures/retry/", failures_page.retry, "failures_retry"),
        ]


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """The audit."""

    def get_urls(self) -> list[URLPattern]:
        return [self._route("", audit_page.audit_page, "changelist")]
