"""`/metrics` for Prometheus: the requests of all web processes, and the state of queues and tasks.

Owns who may read them. Must not compute a metric (operations/prometheus_metrics, request_metrics).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from rest_framework.exceptions import APIException

from tasks_app.api.authentication import identify
from tasks_app.api.problem_details import problem, problem_response
from tasks_app.auth.api_tokens import ADMIN
from tasks_app.conf import settings
from tasks_app.errors import LongtasksError
from tasks_app.operations.prometheus_metrics import TaskCollector

_tasks: Final = TaskCollector()
_PREFIX: Final = "longtasks_"


class OwnMetrics(Collector):
    """The metrics of a collector that are our own. Libraries add theirs, and django-rq one whose name promtool refuses."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def collect(self) -> Iterator[Metric]:
        return (metric for metric in self._collector.collect() if metric.name.startswith(_PREFIX))


@csrf_exempt
def metrics(request: HttpRequest) -> HttpResponse:
    """Return the metrics as text. Requires a token of scope admin, as they count the tasks of all owners, or METRICS_OPEN."""
    if not settings.LONGTASKS.metrics_open:
        try:
            identify(request.META, needs=ADMIN)
        except (APIException, LongtasksError) as error:
            return problem_response(error, {})
    if request.method not in ("GET", "HEAD"):
        return problem(405, f'Method "{request.method}" not allowed.', headers={"Allow": "GET, HEAD"})
    return HttpResponse(render(), content_type=CONTENT_TYPE_LATEST)


def render() -> bytes:
    """Return all metrics as text."""
    tasks = CollectorRegistry(auto_describe=False)
    tasks.register(_tasks)
    # Without that directory there is one process only, as with runserver and in tests.
    is_shared = "PROMETHEUS_MULTIPROC_DIR" in os.environ
    requests = CollectorRegistry(auto_describe=False)
    requests.register(OwnMetrics(MultiProcessCollector(None) if is_shared else REGISTRY))
    return generate_latest(requests) + generate_latest(tasks)
