"""The endpoints of queues: show, pause, resume.

Owns the status codes and headers. Must not contain a domain rule.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from tasks_app.api.base_viewset import BaseViewSet
from tasks_app.api.json_rendering import SOURCE_HEADER, respond
from tasks_app.api.openapi import queue_operations
from tasks_app.api.query_parameters import NoQuerySerializer, read_query
from tasks_app.api.request_serializers import PauseSerializer
from tasks_app.api.response_serializers import queue_data
from tasks_app.api.strict_validation import get_reader
from tasks_app.auth.api_tokens import ADMIN
from tasks_app.read_model import queue_overview
from tasks_app.services import pause_queues


class QueueViewSet(BaseViewSet):
    """Show queues to callers with scope read; pause and resume them, which affects all owners, with scope admin."""

    needs_to_write = ADMIN

    @queue_operations.list_
    def list(self, request: HttpRequest) -> HttpResponse:
        read_query(request.GET, NoQuerySerializer)
        views = queue_overview.list_queues()
        queues = [queue_data(view) for view in views]
        if self.caller.sees_owner is not None:
            for shown in queues:
                shown["pausedBy"] = ""  # another caller's name, or a staff user's
        headers = {SOURCE_HEADER: "redis"} if any(view.is_redis_alone for view in views) else None
        return respond({"queues": queues}, headers=headers)

    @queue_operations.pause
    def pause(self, request: HttpRequest, name: str) -> HttpResponse:
        reason = get_reader(PauseSerializer).read(self.read_body(request))["reason"]
        pause_queues.pause_queue(queue=name, actor=self.caller.actor, reason=reason)
        return respond(_get_queue(name))

    @queue_operations.resume
    def resume(self, request: HttpRequest, name: str) -> HttpResponse:
        pause_queues.resume_queue(queue=name, actor=self.caller.actor)
        return respond(_get_queue(name))


def _get_queue(name: str) -> dict[str, object]:
    return next(queue_data(queue) for queue in queue_overview.list_queues() if queue.name == name)
