"""The endpoint that issues tickets for the live stream.

Owns its status codes and headers. Must not redeem a ticket (access).
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import Throttled

from tasks_app.api.base_viewset import BaseViewSet
from tasks_app.api.json_rendering import respond
from tasks_app.api.openapi import operations
from tasks_app.api.request_serializers import StreamTicketSerializer
from tasks_app.api.strict_validation import get_reader
from tasks_app.auth import stream_tickets
from tasks_app.auth.api_tokens import READ
from tasks_app.auth.stream_tickets import Ticket, TooManyTickets
from tasks_app.read_model import task_queries


class StreamTicketViewSet(BaseViewSet):
    """Issue tickets to callers with scope read."""

    needs_to_write = READ

    @operations.ticket
    def create(self, request: HttpRequest) -> HttpResponse:
        wanted = get_reader(StreamTicketSerializer).read(self.read_body(request))
        task_id = str(wanted.get("task_id", ""))
        if task_id:
            task_queries.get_task(task_id=task_id, owner=self.caller.sees_owner)  # raises UnknownTask
        try:
            secret, expires_at = stream_tickets.issue(Ticket(self.caller.token_id, task_id))
        except TooManyTickets as error:
            raise Throttled(wait=error.wait_seconds, detail=str(error)) from None
        body = {"ticket": secret, "expiresAt": expires_at}
        return respond(body, status=201, headers={"Cache-Control": "no-store"})
