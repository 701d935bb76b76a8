"""Every door of the service: the addresses that Django knows, with all methods, and what forms and streams add.

Owns: the list; a new address, method or admin action is in it automatically. Must not: know who may use a door (`rules`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.contrib import admin
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from tasks_app.api.stream import subscription
from tasks_app.task_types import list_task_types

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
STREAM = "stream: "
STATIC = "static/<path:path>"
# django-rq's view reads them from its form and has no list of them.
RQ_ACTIONS = ("delete", "requeue", "stop")
_ALTERNATIVES = re.compile(r"\(\?P<\w+>([\w|]+)\)")


@dataclass(frozen=True, slots=True, order=True)
class Door:
    """One method of one address, or one action that a form at that address offers."""

    route: str  # as in the URL configuration
    method: str
    action: str = ""

    def __str__(self) -> str:
        return f"{self.method} {self.route}" + (f" [{self.action}]" if self.action else "")


def list_doors() -> list[Door]:
    """Return all doors, sorted."""
    routes = list_routes()
    doors = {Door(route, method) for route in (*routes, STATIC) for method in METHODS}
    doors |= {Door(route, "POST", action) for route, action in _list_actions()}
    doors |= {Door(STREAM + route, method) for route in list_stream_routes() for method in METHODS}
    return sorted(doors)


def list_routes() -> list[str]:
    """Return the routes of all URL patterns; a pattern with alternatives gives one route for each."""
    found: list[str] = []
    for route in _walk(get_resolver().url_patterns):
        words = _ALTERNATIVES.search(route)
        found += [route.replace(words[0], word) for word in words[1].split("|")] if words else [route]
    return list(dict.fromkeys(found))


def list_stream_routes() -> list[str]:
    """Return the addresses of the stream's own application, in Django's notation."""
    pattern = subscription._PATH.pattern
    wanted = r"/(?:tasks/(?P<task_id>[^/]{1,64})/)?stream/?\Z"
    assert pattern == wanted, (
        f"The stream has other addresses now ({pattern}): write them down in {__name__}, with rules."
    )
    return ["stream", "tasks/<str:task_id>/stream"]


def _walk(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, route)
        else:
            yield route


def _list_actions() -> Iterator[tuple[str, str]]:
    """Yield the actions of forms: the admin's, the task list's, the start form's task types, django-rq's."""
    from tasks_app.admin import task_list

    for model, model_admin in admin.site._registry.items():
        address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist").lstrip("/")
        for action in model_admin._get_base_actions():
            yield address, action[1]
    for name in task_list._ACTIONS:
        yield "admin/tasks_app/taskrecord/change/", name
    for task_type in list_task_types():
        if type(task_type).__module__.startswith("tests."):
            continue  # registered by another test
        yield "admin/tasks_app/taskrecord/start/", task_type.name
        yield "tasks", task_type.name
        yield "tasks/bulk", task_type.name
    for name in RQ_ACTIONS:
        yield "admin/django_rq/dashboard/queues/actions/<int:queue_index>/", name
