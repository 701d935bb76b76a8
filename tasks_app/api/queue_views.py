"""The queues' endpoints: show, pause, resume."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from tasks_app.api.base_viewset import LeanViewSet
from tasks_app.api.json_rendering import SOURCE_HEADER, answer
from tasks_app.api.openapi import operations
from tasks_app.api.query_parameters import NoQuerySerializer, read_query
from tasks_app.api.request_serializers import PauseSerializer
from tasks_app.api.response_serializers import queue_data
from tasks_app.api.strict_validation import get_reader
from tasks_app.auth.api_tokens import ADMIN
from tasks_app.read_model import queue_overview
from tasks_app.services import pause_queues


class QueueViewSet(LeanViewSet):
    """Show queues to whoever may read; pause and resume them, which concerns all owners, for administrators."""

    needs_to_write = ADMIN

    @operations.queues
    def list(self, request: Request) -> HttpResponse:
        read_query(request.query_params, NoQuerySerializer)
        views = queue_overview.list_queues()
        queues = [queue_data(view) for view in views]
        if self.caller.sees_owner is not None:
            for shown in queues:
                shown["pausedBy"] = ""  # the name of another one's token, or of a member of the staff
        headers = {SOURCE_HEADER: "redis"} if any(view.is_redis_alone for view in views) else None
        return answer({"queues": queues}, headers=headers)

    @operations.pause
    def pause(self, request: Request, name: str) -> HttpResponse:
        reason = get_reader(PauseSerializer).read(self.read_body(request))["reason"]
        pause_queues.pause_queue(queue=name, actor=self.caller.actor, reason=reason)
        return answer(_get_queue(name))

    @operations.resume
    def resume(self, request: Request, name: str) -> HttpResponse:
        pause_queues.resume_queue(queue=name, actor=self.caller.actor)
        return answer(_get_queue(name))


def _get_queue(name: str) -> dict[str, object]:
    return next(queue_data(queue) for queue in queue_overview.list_queues() if queue.name == name)
