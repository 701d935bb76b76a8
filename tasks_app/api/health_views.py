"""Health for load balancers and supervisors: `live` says the process answers, `ready` that it can serve."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpResponse
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from tasks_app.api.authentication import ANYBODY, identify
from tasks_app.api.base_viewset import LeanViewSet
from tasks_app.api.json_rendering import answer
from tasks_app.api.openapi import operations
from tasks_app.api.problem_details import problem
from tasks_app.auth.api_tokens import ADMIN
from tasks_app.errors import LongtasksError
from tasks_app.operations import readiness

_RETRY_SECONDS = 2


class HealthViewSet(LeanViewSet):
    """Whether the service is well. Open to all: load balancers send no token, and learn no more than yes or no."""

    needs_to_read = needs_to_write = ANYBODY

    @operations.live
    def live(self, request: Request) -> HttpResponse:
        return answer({"status": "ok"})

    @operations.ready
    def ready(self, request: Request) -> HttpResponse:
        faults = readiness.find_faults()
        if not faults:
            return answer({"status": "ok"})
        detail = "Not ready."
        if _may_see_details(request):
            detail = "Not ready: " + "; ".join(f"{name}: {reason}" for name, reason in faults.items()) + "."
        return problem(503, detail, kind="not-ready", headers={"Retry-After": str(_RETRY_SECONDS)})


def _may_see_details(request: Request) -> bool:
    """Administrators, and everybody where the API is open."""
    if "HTTP_AUTHORIZATION" not in request.META and not settings.API_OPEN:
        return False  # a load balancer, which shall not draw on the bucket of its address
    try:
        identify(request.META, needs=ADMIN)
    except (APIException, LongtasksError):
        return False
    return True
