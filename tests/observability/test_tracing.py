"""Tracing: one trace from the request to the chunk if it is on, and no import if it is off."""

import dataclasses
import subprocess
import sys
from collections.abc import Generator
from typing import Any

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import RequestFactory, override_settings

from settings.env import ROOT
from tasks_app.observability import tracing
from tasks_app.queues import job_snapshots
from tasks_app.services import start_tasks
from tests.settings.good_production import GOOD_PRODUCTION, run_in_production

trace = pytest.importorskip("opentelemetry.trace")


@pytest.fixture(scope="module")
def exporter() -> Any:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)  # once for each process
    return exporter


@pytest.fixture
def spans(exporter: Any) -> Generator[Any, None, None]:
    exporter.clear()
    tracing.get_tracer.cache_clear()
    with override_settings(LONGTASKS=dataclasses.replace(settings.LONGTASKS, tracing=True)):
        yield exporter
    tracing.get_tracer.cache_clear()


def test_request_and_chunk_are_in_the_trace_of_the_client(spans: Any) -> None:
    started = []

    def view(request: object) -> HttpResponse:
        started.append(start_tasks.start_task(task=start_tasks.NewTask("upload", {"numRecords": 5})).snapshot)
        return HttpResponse(status=201)

    header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    request = RequestFactory().post("/tasks", headers={"traceparent": header})
    tracing.TracingMiddleware(view)(request)
    snapshot = job_snapshots.get_snapshot(started[0].id)
    assert snapshot is not None
    with tracing.chunk_span(snapshot, start=0, limit=5, worker="w"):
        pass
    with tracing.shared_chunk_span([snapshot, snapshot], worker="w"):
        pass

    served, chunk, shared = spans.get_finished_spans()
    assert {format(span.context.trace_id, "032x") for span in (served, chunk)} == {"0af7651916cd43dd8448eb211c80319c"}
    assert chunk.parent.span_id == served.context.span_id
    assert chunk.attributes["task.id"] == snapshot.id
    assert served.attributes["http.response.status_code"] == 201
    assert [link.context.span_id for link in shared.links] == [served.context.span_id] * 2


def test_without_tracing_nothing_is_sent_or_imported() -> None:
    snapshot = start_tasks.start_task(task=start_tasks.NewTask("upload", {"numRecords": 5})).snapshot
    assert snapshot.trace == ""
    assert "tasks_app.observability.tracing.TracingMiddleware" not in settings.MIDDLEWARE
    code = (
        "import sys; sys.modules['opentelemetry'] = None  # as if it were not installed\n"
        "import django; django.setup(); import tasks_app.engine.worker, longtasks.wsgi\n"
        "from tasks_app.observability import tracing\n"
        "with tracing.chunk_span(None, start=0, limit=1, worker=''), tracing.shared_chunk_span([], worker=''):\n"
        "    sys.exit(tracing.get_traceparent() != '')"
    )
    environment = {"PATH": "/usr/bin", "ENV_FILE": "", "DJANGO_SETTINGS_MODULE": "settings.production"}
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment | GOOD_PRODUCTION, check=False, timeout=60
    )
    assert ended.returncode == 0


def start_with_tracing(code: str) -> subprocess.CompletedProcess[str]:
    return run_in_production(code, GOOD_PRODUCTION | {"TRACING": "1"})


def test_with_tracing_the_middleware_is_installed() -> None:
    ended = start_with_tracing(
        "import settings.tracing; settings.tracing.MODULES = {}  # as if the packages were installed\n"
        "import django, sys; django.setup(); from django.conf import settings\n"
        "sys.exit('tasks_app.observability.tracing.TracingMiddleware' not in settings.MIDDLEWARE)"
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    "start", ["import manage; sys.argv = ['manage.py', 'mirror']; manage.main()", "import longtasks.wsgi"]
)
def test_without_its_packages_the_start_fails_with_one_line(start: str) -> None:
    ended = start_with_tracing(f"import sys; sys.modules['opentelemetry'] = None; {start}")
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert (
        "TRACING=1 needs opentelemetry-sdk and opentelemetry-exporter-otlp-proto-http: pip install -r" in ended.stderr
    )
