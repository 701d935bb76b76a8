"""OpenTelemetry tracing: a span for each request and each chunk, in one trace from the POST to the last row.

Owns the tracer. The task's snapshot carries the context (`trace`, a W3C traceparent). With TRACING off (the default),
OpenTelemetry is not imported, no middleware is installed, and each call here only reads a boolean.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from typing import Any, Final

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from tasks_app.conf import settings
from tasks_app.domain.task_snapshot import Snapshot

_PARENT_CHARACTERS: Final = 128  # maximum of a traceparent header; a valid one has 55
_LINKS: Final = 32  # maximum links from the span of a batch's chunk to the batch's tasks
_OFF: Final[AbstractContextManager[None]] = nullcontext()


def get_traceparent() -> str:
    """Return the current context for a new task's snapshot; "" if tracing is off."""
    if not settings.LONGTASKS.tracing:
        return ""
    carrier: dict[str, str] = {}
    _propagator().inject(carrier)
    return carrier.get("traceparent", "")


def chunk_span(snapshot: Snapshot, *, start: int, limit: int, worker: str) -> AbstractContextManager[None]:
    """Return a span around one chunk of a task, a child of the request that started the task."""
    if not settings.LONGTASKS.tracing:
        return _OFF
    values = {"task.id": snapshot.id, "task.type": snapshot.name, "chunk.start": start, "chunk.limit": limit}
    return _span("chunk", parent=snapshot.trace, attributes=values | {"worker": worker})


def shared_chunk_span(snapshots: Iterable[Snapshot], *, worker: str) -> AbstractContextManager[None]:
    """Return a span around the chunk of a batch, with links to the requests of its first tasks."""
    if not settings.LONGTASKS.tracing:
        return _OFF
    tasks = list(snapshots)
    parent = tasks[0].trace if len(tasks) == 1 else ""
    return _span(
        "chunk" if len(tasks) == 1 else "shared chunk",
        parent=parent,
        attributes={"tasks": len(tasks), "task.id": tasks[0].id, "worker": worker},
        links=[] if parent else [task.trace for task in tasks[:_LINKS] if task.trace],
    )


class TracingMiddleware:
    """Opens a span for each request, a child of the client's `traceparent` header. Installed with TRACING only."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with _span(
            f"{request.method}", parent=request.META.get("HTTP_TRACEPARENT", "")[:_PARENT_CHARACTERS], kind="SERVER"
        ) as span:
            response = self.get_response(request)
            route = request.resolver_match.route if request.resolver_match else ""
            span.update_name(f"{request.method} /{route}")
            span.set_attribute("http.route", f"/{route}")
            span.set_attribute("http.response.status_code", response.status_code)
            span.set_attribute("request.id", getattr(request, "request_id", ""))
        return response


@contextmanager
def _span(
    name: str,
    *,
    parent: str,
    attributes: dict[str, Any] | None = None,
    links: Iterable[str] = (),
    kind: str = "INTERNAL",
) -> Iterator[Any]:
    from opentelemetry import trace

    context = _propagator().extract({"traceparent": parent}) if parent else None
    with get_tracer().start_as_current_span(
        name,
        context=context,
        kind=trace.SpanKind[kind],
        attributes=attributes,
        links=[
            trace.Link(trace.get_current_span(_propagator().extract({"traceparent": each})).get_span_context())
            for each in links
        ],
    ) as span:
        yield span


@lru_cache(maxsize=1)
def get_tracer() -> Any:
    """Return this process's tracer. A thread exports its spans in batches, so the first call must follow the fork.

    OpenTelemetry's own variables name their destination (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SERVICE_NAME …).
    """
    from opentelemetry import trace

    os.environ.setdefault("OTEL_SERVICE_NAME", "longtasks")
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        trace.set_tracer_provider(provider)
    return trace.get_tracer("longtasks")


@lru_cache(maxsize=1)
def _propagator() -> Any:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator()
