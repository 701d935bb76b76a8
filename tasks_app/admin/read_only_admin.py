"""A page of the admin that shows rows and changes none.

Owns the refusal of Django's own forms. Must not decide who may view: each page names its permission.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.http import HttpRequest
from django.urls import URLPattern, path

from tasks_app.admin.permissions import can_view
from tasks_app.admin.theme import ModelAdmin


class ReadOnlyAdmin(ModelAdmin):
    """Users with the view permission may view. Nobody may add, change or delete: Django's own forms write no audit entry."""

    def can_see(self, request: HttpRequest) -> bool:
        """Return whether the user may view these rows."""
        return can_view(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.can_see(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.can_see(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def _route(self, address: str, view: Callable[..., Any], name: str) -> URLPattern:
        # A change pushes to Redis after its own commit; with ATOMIC_REQUESTS that would be before the request's.
        guarded = transaction.non_atomic_requests(self.admin_site.admin_view(view))
        return path(address, guarded, name=f"tasks_app_{self.opts.model_name}_{name}")
