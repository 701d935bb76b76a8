"""django-rq's own pages, beside the dashboard: for administrators, and mended where they break with this set-up.

Owns the registration of django-rq's Dashboard. See docs/upstream/django-rq-worker-pages.md for what is mended.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django_rq.admin import QueueAdmin
from django_rq.models import Dashboard

from tasks_app.admin.permissions import can_administer, requires

if admin.site.is_registered(Dashboard):
    admin.site.unregister(Dashboard)


@admin.register(Dashboard)
class RqPagesAdmin(QueueAdmin):
    """django-rq lets every member of the staff empty a queue; here it takes the permission to administer."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return can_administer(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return can_administer(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return can_administer(request)

    def get_urls(self) -> list[Any]:
        patterns = super().get_urls()
        for pattern in patterns:
            pattern.callback = requires(can_administer)(pattern.callback)
        return patterns
