"""The queues' endpoints: show, pause, resume."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from tasks_app import commands, queries
from tasks_app.api import describe
from tasks_app.api.answers import queue_data
from tasks_app.api.lean import LeanViewSet
from tasks_app.api.rendering import SOURCE_HEADER, answer
from tasks_app.api.serializers import NoQuerySerializer, PauseSerializer, read_query
from tasks_app.api.strict import get_reader
from tasks_app.tokens import ADMIN


class QueueViewSet(LeanViewSet):
    """Show queues to whoever may read; pause and resume them, which concerns all owners, for administrators."""

    needs_to_write = ADMIN

    @describe.queues
    def list(self, request: Request) -> HttpResponse:
        read_query(request.query_params, NoQuerySerializer)
        views = queries.list_queues()
        queues = [queue_data(view) for view in views]
        if self.caller.sees_owner is not None:
            for shown in queues:
                shown["pausedBy"] = ""  # the name of another one's token, or of a member of the staff
        headers = {SOURCE_HEADER: "redis"} if any(view.is_redis_alone for view in views) else None
        return answer({"queues": queues}, headers=headers)

    @describe.pause
    def pause(self, request: Request, name: str) -> HttpResponse:
        reason = get_reader(PauseSerializer).read(self.read_body(request))["reason"]
        commands.pause_queue(queue=name, actor=self.caller.actor, reason=reason)
        return answer(_get_queue(name))

    @describe.resume
    def resume(self, request: Request, name: str) -> HttpResponse:
        commands.resume_queue(queue=name, actor=self.caller.actor)
        return answer(_get_queue(name))


def _get_queue(name: str) -> dict[str, object]:
    return next(queue_data(queue) for queue in queries.list_queues() if queue.name == name)
