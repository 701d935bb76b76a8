"""The endpoint that lists the task types that can be started, with their parameters.

Owns the form of that list. Must not know a concrete task type. Uses neither MySQL nor Redis.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from tasks_app.api.base_viewset import BaseViewSet
from tasks_app.api.json_rendering import respond_if_changed
from tasks_app.api.openapi import operations
from tasks_app.api.query_parameters import NoQuerySerializer, read_query
from tasks_app.api.response_serializers import task_type_data
from tasks_app.task_types import list_startable_types


class TaskTypeViewSet(BaseViewSet):
    """List the task types to callers with scope read."""

    @operations.task_types
    def list(self, request: HttpRequest) -> HttpResponse:
        read_query(request.GET, NoQuerySerializer)
        return respond_if_changed(request, {"taskTypes": [task_type_data(each) for each in list_startable_types()]})
