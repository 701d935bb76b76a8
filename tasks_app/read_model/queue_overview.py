"""The queues at this moment: how many tasks wait and run in each, its workers, and whether it is paused.

Reads Redis and QueueState. Must not write, nor use `count` of RQ's registries, which runs clean-ups.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import router
from rq.utils import str_to_date

from tasks_app.database import hung_database
from tasks_app.domain import task_snapshot
from tasks_app.errors import StoreUnavailable
from tasks_app.models import QueueState
from tasks_app.queues import queue_names, redis_connection, redis_keys
from tasks_app.queues.parked_tasks import count_parked
from tasks_app.resilience.transient_errors import mapped_database_errors


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker as its last heartbeat describes it."""

    name: str
    state: str
    task_id: str
    queues: list[str]
    beaten_at: datetime | None
    began_at: datetime | None
    rows: int


@dataclass(frozen=True, slots=True)
class QueueView:
    """A queue at this moment."""

    name: str
    depth: int  # tasks that wait
    started: int
    scheduled: int
    oldest_wait_seconds: float | None  # None: no task waits
    ended_per_second: float  # over the last seconds
    paused_at: datetime | None
    paused_by: str
    reason: str
    is_suspended: bool = False  # by `rq suspend`, which suspends all queues
    is_redis_alone: bool = False  # the database does not answer; Redis has the pause, but not its actor and reason
    workers: list[WorkerView] = field(default_factory=list)


def list_queues() -> list[QueueView]:
    """Return the queues with their workers, by one query and a few round trips to Redis.

    If the database does not answer, the pauses come from Redis. Raises QueueUnavailable.
    """
    states = _read_states()
    with redis_connection.mapped_redis_errors():
        connection = redis_connection.get_connection()
        pipeline = connection.pipeline(transaction=False)
        for name in queue_names.QUEUES:
            pipeline.llen(redis_keys.queue_key(name))
            pipeline.zcard(redis_keys.started_key(name))
            pipeline.zcard(redis_keys.scheduled_key(name))
            pipeline.lindex(redis_keys.queue_key(name), 0)
            pipeline.get(redis_keys.drain_key(name))
            pipeline.get(redis_keys.paused_key(name))
        pipeline.exists(redis_keys.SUSPENDED_KEY)
        pipeline.smembers(redis_keys.WORKERS_KEY)
        *numbers, suspended, worker_keys = pipeline.execute()
        for key in sorted(worker_keys):
            pipeline.hgetall(key)
        for oldest in numbers[3::6]:
            pipeline.hget(redis_keys.job_key(oldest.decode(errors="replace") if oldest else "-"), "s")
        answers = pipeline.execute()
        parked = count_parked(connection)
    workers = [
        view
        for key, data in zip(sorted(worker_keys), answers, strict=False)
        if (view := _to_worker(redis_keys.parse_worker_key(key), data)) is not None
    ]
    heads = answers[len(worker_keys) :]
    views = []
    for index, name in enumerate(queue_names.QUEUES):
        depth, started, scheduled, _, rate, paused = numbers[index * 6 : index * 6 + 6]
        parked_here = [each for each in parked if each.queue == name]  # those wait as well
        ages = [*([_age_seconds(heads[index])] if depth else []), *(each.oldest_seconds for each in parked_here)]
        if states is None:
            state = QueueState(name=name, paused_at=_to_time(paused.decode(errors="replace")) if paused else None)
        else:
            state = states.get(name) or QueueState(name=name)
        views.append(
            QueueView(
                name=name,
                depth=depth + sum(each.tasks for each in parked_here),
                started=started,
                scheduled=scheduled,
                oldest_wait_seconds=max(ages, default=None),
                ended_per_second=float(rate or 0),
                paused_at=state.paused_at,
                paused_by=state.paused_by,
                reason=state.reason,
                is_suspended=bool(suspended),
                is_redis_alone=states is None,
                workers=[worker for worker in workers if name in worker.queues],
            )
        )
    return views


def _read_states() -> dict[str, QueueState] | None:
    """Return the pauses by queue; None if the database does not answer, or has hung a moment ago."""
    try:
        with mapped_database_errors(), hung_database.noted_hangs(router.db_for_read(QueueState)):
            return {state.name: state for state in QueueState.objects.all()}
    except StoreUnavailable:
        return None


def _to_worker(name: str, data: dict[bytes, bytes]) -> WorkerView | None:
    if not data or b"death" in data or b"queues" not in data:
        return None
    text = {key.decode(errors="replace"): value.decode(errors="replace") for key, value in data.items()}
    return WorkerView(
        name=name,
        state=text.get("state", "?"),
        task_id=text.get("task", ""),
        queues=text["queues"].split(","),
        beaten_at=_to_time(text.get("last_heartbeat")),
        began_at=_to_time(text.get("birth")),
        rows=int(text.get("rows") or 0),
    )


def _to_time(text: str | None) -> datetime | None:
    moment: Any = str_to_date(text.encode()) if text else None
    return moment if isinstance(moment, datetime) else None


def _age_seconds(data: bytes | None) -> float:
    snapshot = task_snapshot.decode_if_valid(data)
    return max(0.0, (datetime.now(UTC) - snapshot.waits_since).total_seconds()) if snapshot is not None else 0.0
