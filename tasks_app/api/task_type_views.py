"""The endpoint that lists the task types: what may be started, and with which parameters.

Owns the form of that list. Must not know a concrete task type, nor a store: it asks neither MySQL nor Redis.
"""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from tasks_app.api.base_viewset import LeanViewSet
from tasks_app.api.json_rendering import answer_if_changed
from tasks_app.api.openapi import operations
from tasks_app.api.query_parameters import NoQuerySerializer, read_query
from tasks_app.api.response_serializers import task_type_data
from tasks_app.task_types import list_task_types


class TaskTypeViewSet(LeanViewSet):
    """List the task types to whoever may read."""

    @operations.task_types
    def list(self, request: Request) -> HttpResponse:
        read_query(request.query_params, NoQuerySerializer)
        return answer_if_changed(request, {"taskTypes": [task_type_data(each) for each in list_task_types()]})
