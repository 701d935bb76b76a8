"""The dashboard's menu (UNFOLD's SIDEBAR).

Owns its groups and entries, each with the permission that shows it. Must not protect a page: each page checks itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from tasks_app.admin.permissions import can_administer, can_operate, can_view
from tasks_app.http import url_prefix

# settings/admin.py uses it; makemessages only reads applications.
gettext_noop("Task dashboard")


def get_navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the groups and entries of the menu."""

    def item(title: str, icon: str, address: str, check: Callable[[HttpRequest], bool]) -> dict[str, Any]:
        return {"title": title[:1].upper() + title[1:], "icon": icon, "link": address, "permission": check}

    tasks, start = reverse("admin:tasks_app_taskrecord_changelist"), reverse("admin:tasks_app_taskrecord_add")
    return [
        {
            "title": _("Tasks"),
            "items": [
                item(_("Overview"), "monitoring", reverse("admin:index"), lambda request: True),
                item(_("Tasks"), "list_alt", tasks, can_view)
                | {"active": request.path.startswith(tasks) and request.path != start},
                item(_("Start a task"), "play_circle", start, can_operate),
                item(_("Audit"), "fact_check", reverse("admin:tasks_app_auditentry_changelist"), can_view),
            ],
        },
        *_list_data(request),
        {
            "title": _("System"),
            "items": [
                item(_("RQ's pages"), "memory", reverse("admin:django_rq_dashboard_changelist"), can_administer),
                item(
                    _("Set-aside items"),
                    "rule",
                    reverse("admin:tasks_app_setasideitem_changelist"),
                    can_administer,
                ),
                item(
                    _("API tokens"),
                    "key",
                    reverse("admin:tasks_app_apitoken_changelist"),
                    _may_see("tasks_app.view_apitoken"),
                ),
                item(_("Users"), "person", reverse("admin:auth_user_changelist"), _may_see("auth.view_user")),
                item(_("Groups"), "group", reverse("admin:auth_group_changelist"), _may_see("auth.view_group")),
                item(_("API"), "api", url_prefix.add("/docs"), can_view) | {"active": False},
            ],
        },
    ]


def _list_data(request: HttpRequest) -> list[dict[str, Any]]:
    """Return a group for each other application with registered models: the tables that tasks write."""
    groups = []
    for config in apps.get_app_configs():
        if config.label in ("tasks_app", "auth", "django_rq"):
            continue
        items = [
            {
                "title": str(model._meta.verbose_name_plural).capitalize(),
                "icon": "table_rows",
                "link": reverse(f"admin:{config.label}_{model._meta.model_name}_changelist"),
                "permission": _may_see(f"{config.label}.view_{model._meta.model_name}"),
            }
            for model in config.get_models()
            if admin.site.is_registered(model)
        ]
        if items:
            groups.append({"title": str(config.verbose_name), "items": items})
    return groups


def _may_see(permission: str) -> Callable[[HttpRequest], bool]:
    return lambda request: request.user.has_perm(permission)
