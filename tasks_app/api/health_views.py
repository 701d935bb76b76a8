"""Health for load balancers and supervisors: `live` says the process answers, `ready` that its stores do."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from tasks_app import queries
from tasks_app.api import describe
from tasks_app.api.access import ANYBODY
from tasks_app.api.lean import LeanViewSet
from tasks_app.api.rendering import answer


class HealthViewSet(LeanViewSet):
    """Whether the service is well. Open: load balancers send no token, and it says no more than yes or no."""

    needs_to_read = needs_to_write = ANYBODY

    @describe.live
    def live(self, request: Request) -> HttpResponse:
        return answer({"status": "ok"})

    @describe.ready
    def ready(self, request: Request) -> HttpResponse:
        # Asks Redis and the database; whichever is away answers with its 503.
        queries.list_queues()
        return answer({"status": "ok"})
