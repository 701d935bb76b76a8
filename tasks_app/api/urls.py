"""The routes of the API.

Owns the paths. A trailing slash is optional: a redirect would lose the body of a POST. Must not contain a view.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.urls.resolvers import RoutePattern, URLPattern

from tasks_app.api.docs_views import DocsView, SchemaViewSet
from tasks_app.api.failure_views import FailureViewSet
from tasks_app.api.file_views import DownloadViewSet, FileViewSet
from tasks_app.api.health_views import HealthViewSet
from tasks_app.api.metrics_views import metrics
from tasks_app.api.openapi import drf_spectacular_extensions  # noqa: F401  (registers itself with drf-spectacular)
from tasks_app.api.queue_views import QueueViewSet
from tasks_app.api.stream.ticket_views import StreamTicketViewSet
from tasks_app.api.task_type_views import TaskTypeViewSet
from tasks_app.api.task_views import BulkViewSet, TaskViewSet


class OptionalSlashPattern(RoutePattern):
    """A route that matches with and without one trailing slash."""

    def match(self, path: str) -> Any:
        return super().match(path.removesuffix("/"))


def route(address: str, view: Callable[..., Any], name: str) -> URLPattern:
    return URLPattern(OptionalSlashPattern(address, name=name, is_endpoint=True), view, None, name)


urlpatterns = [
    route("tasks", TaskViewSet.as_view({"post": "create", "get": "list"}), "tasks"),
    route("tasks/bulk", BulkViewSet.as_view({"post": "create"}), "tasks-bulk"),
    route("tasks/<str:id>", TaskViewSet.as_view({"get": "retrieve"}), "task"),
    route("tasks/<str:id>/cancel", TaskViewSet.as_view({"post": "cancel"}), "task-cancel"),
    route("tasks/<str:id>/retry", TaskViewSet.as_view({"post": "retry"}), "task-retry"),
    route("tasks/<str:id>/reschedule", TaskViewSet.as_view({"post": "reschedule"}), "task-reschedule"),
    route("tasks/<str:id>/events", TaskViewSet.as_view({"get": "events"}), "task-events"),
    route("tasks/<str:id>/failures", FailureViewSet.as_view({"get": "list"}), "task-failures"),
    route("tasks/<str:id>/failures/retry", FailureViewSet.as_view({"post": "retry"}), "task-failures-retry"),
    route("files", FileViewSet.as_view({"post": "create"}), "files"),
    route("files/<str:id>", FileViewSet.as_view({"get": "retrieve", "delete": "destroy"}), "file"),
    route("files/<str:id>/content", FileViewSet.as_view({"get": "content"}), "file-content"),
    route("downloads/<str:link>", DownloadViewSet.as_view({"get": "retrieve"}), "download"),
    route("task-types", TaskTypeViewSet.as_view({"get": "list"}), "task-types"),
    route("stream-tickets", StreamTicketViewSet.as_view({"post": "create"}), "stream-tickets"),
    route("queues", QueueViewSet.as_view({"get": "list"}), "queues"),
    route("queues/<str:name>/pause", QueueViewSet.as_view({"post": "pause"}), "queue-pause"),
    route("queues/<str:name>/resume", QueueViewSet.as_view({"post": "resume"}), "queue-resume"),
    route("health/live", HealthViewSet.as_view({"get": "live"}), "health-live"),
    route("health/ready", HealthViewSet.as_view({"get": "ready"}), "health-ready"),
    route("metrics", metrics, "metrics"),
    route("schema", SchemaViewSet.as_view({"get": "retrieve"}), "schema"),
    route("docs", DocsView.as_view(), "docs"),
]
