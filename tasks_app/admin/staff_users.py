"""The pages of staff users and groups: Django's own in the dashboard's style; only superusers may change them.

Owns that restriction, since in Django a user who may change users or groups can grant every permission, also to
themselves. Each change commits in one transaction with its audit entry. Must not write the audit itself.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from tasks_app.admin.permissions import get_actor
from tasks_app.auth import audit_log
from tasks_app.services import staff_audit

admin.site.unregister(User)
admin.site.unregister(Group)


class AuditedBySuperusers(ModelAdmin):
    """Users with the view permission may view; only superusers may change, with an audit entry."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_superuser

    # Django calls these three methods to write its own log: after a change, and before a deletion.

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._record(request, obj, "added")
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._record(request, obj, "changed")
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        for each in queryset:
            self._record(request, each, "deleted")
        return super().log_deletions(request, queryset)

    def response_action(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse | None:
        with transaction.atomic():  # as Django does around its other forms
            return super().response_action(request, *args, **kwargs)

    def _record(self, request: HttpRequest, who: Any, change: str) -> None:
        staff_audit.record_change(who=who, change=change, actor=get_actor(request), source=audit_log.ADMIN)


@admin.register(User)
class StaffAdmin(AuditedBySuperusers, UserAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        with transaction.atomic() if request.method == "POST" else nullcontext():
            return super().user_change_password(request, id, form_url)


@admin.register(Group)
class StaffGroupAdmin(AuditedBySuperusers, GroupAdmin):
    pass
