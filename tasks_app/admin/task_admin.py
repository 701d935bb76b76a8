"""The URLs of the task dashboard below /admin/tasks_app/.

Owns the registration. Every page and every change is a view of this package. Must not let Django's admin save a row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import URLPattern, path
from unfold.admin import ModelAdmin

from tasks_app.admin import audit_page, overview, queue_actions, start_form, task_list, task_page
from tasks_app.admin.permissions import can_view
from tasks_app.models import AuditEntry, TaskRecord


class ReadOnlyAdmin(ModelAdmin):
    """Users with the view permission may view; nobody may change."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return can_view(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return can_view(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def _route(self, address: str, view: Callable[..., Any], name: str) -> URLPattern:
        return path(address, self.admin_site.admin_view(view), name=f"tasks_app_{self.opts.model_name}_{name}")


@admin.register(TaskRecord)
class TaskRecordAdmin(ReadOnlyAdmin):
    """The list of tasks, the page of each, and the actions."""

    def get_urls(self) -> list[URLPattern]:
        return [
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
            self._route("<str:task_id>/again/", task_page.start_again, "again"),
        ]


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """The audit."""

    def get_urls(self) -> list[URLPattern]:
        return [self._route("", audit_page.audit_page, "changelist")]
