"""Checks workers, mirror and queues, and the clock skew between machines, Redis and the database.

Owns these checks. Must not change anything.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import connection
from django.db.models import DateTimeField, ExpressionWrapper, Value

from tasks_app.conf import settings
from tasks_app.database.clock import Now
from tasks_app.models import TaskCheckpoint
from tasks_app.operations.doctor.findings import FAULT, OK, WARNING, Finding
from tasks_app.queues import (
    admission,
    queue_names,
    redis_connection,
    redis_keys,
)
from tasks_app.queues.redis_time import read_time
from tasks_app.queues.worker_entries import list_registered
from tasks_app.read_model import mirror_lag, queue_overview

SKEW_SECONDS: Final = 1.0
LAG_SECONDS: Final = 10.0
FULL_SHARE: Final = 0.8


def check_clocks() -> Iterator[Finding]:
    skews = {"Redis": read_time(redis_connection.get_connection()) - time.time()}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT CAST(UNIX_TIMESTAMP(NOW(6)) AS DECIMAL(20, 6))"
            if connection.vendor == "mysql"
            else "SELECT (julianday('now') - 2440587.5) * 86400"
        )
        skews["the database"] = float(cursor.fetchone()[0]) - time.time()
    for name, skew in skews.items():
        if abs(skew) > SKEW_SECONDS:
            yield Finding(
                FAULT,
                "clocks",
                f"{name}'s clock is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} this machine's",
                "Run NTP (chrony) on every machine.",
            )
    for worker in list_registered(redis_connection.get_connection()):
        if abs(worker.skew_seconds) > SKEW_SECONDS:
            direction = "ahead of" if worker.skew_seconds > 0 else "behind"
            yield Finding(
                WARNING,
                "clocks: worker",
                f"the clock of {worker.name}'s machine is {abs(worker.skew_seconds):.1f} s {direction} Redis's",
                "Run NTP (chrony) there. Tasks use Redis's clock meanwhile; the logs of that machine do not.",
            )
    yield Finding(OK, "clocks", ", ".join(f"{name} {skew:+.3f} s" for name, skew in skews.items()))


def check_workers() -> Iterator[Finding]:
    client = redis_connection.get_connection()
    now = datetime.fromtimestamp(client.time()[0], tz=UTC)  # workers date their heartbeats by Redis's clock
    foreign = {worker.name: worker for worker in list_registered(client) if not worker.is_ours}
    for worker in foreign.values():
        if served := set(worker.queues) & set(queue_names.QUEUES):
            yield Finding(
                FAULT,
                "workers: foreign",
                f"{worker.name} serves {', '.join(sorted(served))} and is not a worker of this project: it fails our tasks",
                "Stop this worker (`rq worker`?), or give it other queues. Rescue requeues the tasks that it failed.",
            )
    left_ms: Any = client.pttl(redis_keys.SUSPENDED_KEY)
    if left_ms != -2:  # Redis's answer for a key that does not exist
        until = f"for another {left_ms / 1000:.0f} s" if left_ms >= 0 else "until `rq resume`"
        yield Finding(
            WARNING,
            "queues: suspended",
            f"`rq suspend` pauses all queues {until}: workers start no tasks",
            "python manage.py rqresume",
        )
    for view in queue_overview.list_queues():
        ours = [worker for worker in view.workers if worker.name not in foreign]
        alive = [
            worker
            for worker in ours
            if worker.beaten_at and (now - worker.beaten_at).total_seconds() < settings.LONGTASKS.lease_seconds
        ]
        silent = len(ours) - len(alive)
        if not alive:
            yield Finding(
                FAULT,
                f"workers: {view.name}",
                f"no living worker serves {view.name} ({view.depth} tasks wait)",
                "Start workers: python manage.py workers 2",
            )
        elif silent:
            yield Finding(
                WARNING,
                f"workers: {view.name}",
                f"{silent} workers send no heartbeat",
                "Redis forgets a dead worker within a minute: run doctor again then.",
            )
        if view.paused_at is not None:
            yield Finding(
                WARNING,
                f"queue: {view.name}",
                f"paused by {view.paused_by or '?'} since {view.paused_at:%Y-%m-%d %H:%M} UTC: {view.reason or '-'}",
                f"python manage.py queue resume {view.name}",
            )
        bound = admission.get_bounds()[view.name]
        if view.depth > FULL_SHARE * bound:
            yield Finding(
                WARNING,
                f"queue: {view.name}",
                f"{view.depth} of {bound} tasks wait: requests will get 503",
                "Start more workers, or raise QUEUE_BOUND if Redis has the memory.",
            )
        if alive:
            yield Finding(OK, f"workers: {view.name}", f"{len(alive)} alive, {view.depth} tasks wait")


def check_mirror() -> Iterator[Finding]:
    lag_seconds = mirror_lag.get_lag_seconds(redis_connection.get_connection())
    if lag_seconds > LAG_SECONDS:
        yield Finding(
            FAULT,
            "mirror",
            f"the mirror is {lag_seconds:.0f} s behind: lists and the admin show old states, and no task is rescued",
            "Start the mirror: python manage.py mirror. If it runs, read its log.",
        )
    else:
        yield Finding(OK, "mirror", f"{lag_seconds:.1f} s behind")
    grace = Value(timedelta(seconds=settings.LONGTASKS.rescue_seconds + 5))
    long_ago = ExpressionWrapper(Now() - grace, output_field=DateTimeField())
    overdue = TaskCheckpoint.objects.filter(outcome="", lease_until__lt=long_ago).count()
    if overdue:
        yield Finding(
            FAULT,
            "rescue",
            f"{overdue} tasks of dead workers wait to be requeued",
            "The mirror process requeues them: check that it runs, and read its log.",
        )
