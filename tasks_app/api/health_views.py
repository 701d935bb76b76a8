"""Health checks for load balancers and supervisors: `live` if the process responds, `ready` if it can serve.

Owns who sees the reasons. Must not check a store itself (operations/readiness).
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import APIException

from tasks_app.api.authentication import PUBLIC, identify
from tasks_app.api.base_viewset import BaseViewSet
from tasks_app.api.json_rendering import respond
from tasks_app.api.openapi import operations
from tasks_app.api.problem_details import problem
from tasks_app.auth.api_tokens import ADMIN
from tasks_app.conf import settings
from tasks_app.errors import LongtasksError
from tasks_app.operations import readiness

_RETRY_SECONDS = 2


class HealthViewSet(BaseViewSet):
    """The health checks. They need no token, as load balancers send none; without one the response is only yes or no."""

    needs_to_read = needs_to_write = PUBLIC

    @operations.live
    def live(self, request: HttpRequest) -> HttpResponse:
        return respond({"status": "ok"})

    @operations.ready
    def ready(self, request: HttpRequest) -> HttpResponse:
        faults = readiness.find_faults()
        if not faults:
            return respond({"status": "ok"})
        detail = "Not ready."
        if _may_see_details(request):
            detail = "Not ready: " + "; ".join(f"{name}: {reason}" for name, reason in faults.items()) + "."
        return problem(503, detail, kind="not-ready", headers={"Retry-After": str(_RETRY_SECONDS)})


def _may_see_details(request: HttpRequest) -> bool:
    """Whether the caller may see the reasons: a token of scope admin, or any caller if the API needs no token."""
    if "HTTP_AUTHORIZATION" not in request.META and not settings.API_OPEN:
        return False  # a load balancer: it must not be counted against the rate limit of its address
    try:
        identify(request.META, needs=ADMIN)
    except (APIException, LongtasksError):
        return False
    return True
