"""The Prometheus metrics: the current state of queues, workers and mirror, and the totals over all tasks.

Owns the names of these metrics. Every process that serves /metrics returns the same values: they come from Redis in a few
round trips, without scans and without `count` of RQ's registries, which runs clean-ups. For an unavailable store it
returns `longtasks_up 0` and omits its metrics. `tasks_app.api.request_metrics` counts the requests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from django.db import DatabaseError, connection, transaction
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tasks_app.conf import settings
from tasks_app.errors import LongtasksError
from tasks_app.outbox import outbox_rows
from tasks_app.process_monitor.reports import list_processes
from tasks_app.queues import admission, parked_tasks, redis_connection, removed_queues
from tasks_app.queues.worker_entries import list_registered
from tasks_app.read_model import mirror_lag, queue_overview, task_totals
from tasks_app.resilience import set_aside_items
from tasks_app.resilience.transient_errors import REDIS_ERRORS, mapped_database_errors

_COUNTERS: Final = (
    ("accepted", "tasks_accepted", "Tasks accepted.", ("queue", "type")),
    ("ended", "tasks_ended", "Tasks ended, by status.", ("queue", "type", "status")),
    ("rows", "rows_committed", "Rows that tasks have committed.", ("type", "table")),
    ("preempted", "tasks_preempted", "Preemptions of tasks by a more urgent one.", ("queue", "type")),
    ("rescued", "tasks_rescued", "Tasks requeued after a worker died or Redis lost them.", ("queue", "type")),
    ("attempts_failed", "attempts_failed", "Failed attempts that will be retried.", ("queue", "type")),
    ("retried", "tasks_retried", "Explicit retries of ended tasks.", ("queue", "type")),
)
_HISTOGRAMS: Final = (
    ("wait", "task_wait_seconds", "Time from acceptance to the first start."),
    ("run", "task_run_seconds", "Time from the first start to the end, including waits in between."),
)


class TaskCollector(Collector):
    """Collects the metrics at each scrape."""

    def collect(self) -> Iterator[Metric]:
        redis_up = database_up = True
        try:
            yield from _totals()
            yield from _redis_state()
            yield from _process_state()
        except (*REDIS_ERRORS, LongtasksError):
            redis_up = False
        if redis_up:
            try:
                yield from _queue_state()
                yield _set_aside_items()
                yield from _outbox()
            except LongtasksError:
                database_up = False
        else:
            database_up = _is_database_up()
        up = GaugeMetricFamily("longtasks_up", "Whether a store answers.", labels=("store",))
        up.add_metric(("redis",), float(redis_up))
        up.add_metric(("database",), float(database_up))
        yield up

    def describe(self) -> Iterable[Metric]:
        return []  # otherwise registering the collector would query the stores


def _totals() -> Iterator[Metric]:
    totals = task_totals.read_totals(redis_connection.get_connection())
    for kind, name, meaning, labels in _COUNTERS:
        counter = CounterMetricFamily(f"longtasks_{name}", meaning, labels=labels)
        for values, total in totals.counts(kind):
            counter.add_metric(values, total)
        yield counter
    for kind, name, meaning in _HISTOGRAMS:
        histogram = HistogramMetricFamily(f"longtasks_{name}", meaning, labels=("queue", "type"))
        for values, buckets, seconds in totals.histograms(kind):
            histogram.add_metric(values, buckets, seconds)
        yield histogram


def _redis_state() -> Iterator[Metric]:
    connection = redis_connection.get_connection()
    yield _gauge(
        "mirror_lag_seconds", "Age of the oldest snapshot not mirrored.", mirror_lag.get_lag_seconds(connection)
    )
    skews = [abs(worker.skew_seconds) for worker in list_registered(connection)]
    yield _gauge("clock_skew_seconds", "Largest skew of a worker machine's clock to Redis's.", max(skews, default=0.0))
    yield from _parked_tasks()
    removed = GaugeMetricFamily(
        "longtasks_removed_queue_tasks", "Tasks in queues that QUEUES no longer names.", labels=("queue",)
    )
    for name, tasks in removed_queues.count_tasks(connection).items():
        removed.add_metric((name,), tasks)
    yield removed
    memory: Any = connection.info("memory")
    yield _gauge("redis_memory_bytes", "Memory that Redis uses.", memory["used_memory"])
    yield _gauge("redis_memory_limit_bytes", "Redis's maxmemory; 0: none.", memory["maxmemory"])


def _process_state() -> Iterator[Metric]:
    """Yield each process's last report. A process's successors have the same host, kind and slot."""
    labels = ("host", "kind", "slot")
    found = list_processes(redis_connection.get_connection())
    for family, value in (
        (
            GaugeMetricFamily(
                "longtasks_process_cpu_cores", "CPU used since the last report: 1 is one core.", labels=labels
            ),
            lambda entry: entry.cpu_percent / 100,
        ),
        (
            GaugeMetricFamily("longtasks_process_resident_memory_bytes", "Resident memory.", labels=labels),
            lambda entry: entry.rss_bytes,
        ),
        (
            CounterMetricFamily("longtasks_process_restarts", "Restarts of the process in this slot.", labels=labels),
            lambda entry: entry.restarts,
        ),
        (
            GaugeMetricFamily(
                "longtasks_process_start_time_seconds", "Start time, in seconds since 1970.", labels=labels
            ),
            lambda entry: entry.began_at,
        ),
    ):
        for each in found:
            family.add_metric((each.entry.host, each.entry.kind, str(each.entry.slot)), value(each.entry))
        yield family
    info = GaugeMetricFamily("longtasks_process_info", "1; the version of its code.", labels=(*labels, "version"))
    for each in found:
        info.add_metric((each.entry.host, each.entry.kind, str(each.entry.slot), each.entry.version), 1)
    yield info


def _queue_state() -> Iterator[Metric]:
    views = queue_overview.list_queues()
    bounds = admission.get_bounds()
    for name, meaning, value in (
        ("queue_depth", "Tasks that wait.", lambda view: view.depth),
        ("queue_bound", "Waiting tasks at which requests get 503.", lambda view: bounds[view.name]),
        ("queue_started", "Tasks that run.", lambda view: view.started),
        ("queue_scheduled", "Tasks that wait for their start or their next attempt.", lambda view: view.scheduled),
        (
            "queue_oldest_wait_seconds",
            "How long the task at the head has waited.",
            lambda view: view.oldest_wait_seconds or 0.0,
        ),
        (
            "queue_paused",
            "1 if the queue is paused, or `rq suspend` pauses all queues.",
            lambda view: float(view.paused_at is not None or view.is_suspended),
        ),
    ):
        gauge = GaugeMetricFamily(f"longtasks_{name}", meaning, labels=("queue",))
        for view in views:
            gauge.add_metric((view.name,), value(view))
        yield gauge
    # Workers with a heartbeat within the lease; Redis lists dead workers for a while longer.
    with redis_connection.mapped_redis_errors():
        now = redis_connection.get_connection().time()[0]
    states = {
        worker.name: worker.state
        for view in views
        for worker in view.workers
        if worker.beaten_at is not None and now - worker.beaten_at.timestamp() < settings.LONGTASKS.lease_seconds
    }
    workers = GaugeMetricFamily("longtasks_workers", "Workers alive, by state.", labels=("state",))
    for state in ("busy", "idle"):
        workers.add_metric((state,), sum(1 for each in states.values() if (each == "busy") == (state == "busy")))
    yield workers


def _parked_tasks() -> Iterator[Metric]:
    connection = redis_connection.get_connection()
    waiting = parked_tasks.count_parked(connection)
    tasks = GaugeMetricFamily(
        "longtasks_parked_tasks", "Tasks that wait for a worker that knows their type.", labels=("queue", "type")
    )
    for each in waiting:
        tasks.add_metric((each.queue, each.type_name), each.tasks)
    yield tasks
    known = parked_tasks.list_known_types(connection) if waiting else frozenset()
    ages = [each.oldest_seconds for each in waiting if each.type_name not in known]
    yield _gauge(
        "unknown_type_seconds", "Longest wait of a task whose type no living worker knows.", max(ages, default=0.0)
    )


def _set_aside_items() -> Metric:
    with mapped_database_errors():
        counts = set_aside_items.count_by_kind()
    gauge = GaugeMetricFamily(
        "longtasks_set_aside_items", "Items that could not be processed and wait for an operator.", labels=("kind",)
    )
    for kind, number in counts.items():
        gauge.add_metric((kind,), number)
    return gauge


def _outbox() -> Iterator[Metric]:
    with mapped_database_errors():
        state = outbox_rows.get_state()
    yield _gauge("outbox_tasks", "Tasks started in transactions that the read model does not know yet.", state.tasks)
    yield _gauge("outbox_oldest_seconds", "Age of the oldest task in the outbox; 0: empty.", state.oldest_seconds)


def _is_database_up() -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True


def _gauge(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"longtasks_{name}", meaning, value=value)
