"""The read side: a task, its history, the queues. Reads TaskRecord, and Redis where the mirror has not come by.

Must not write anything, nor use RQ's registries' `count`, which runs clean-ups.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

from django.db import router
from rq.utils import str_to_date

from tasks_app.database import hung_database
from tasks_app.database.replica_router import has_replica, read_lagging
from tasks_app.errors import QueueUnavailable, StoreUnavailable, UnknownTask
from tasks_app.models import QueueState, TaskEvent
from tasks_app.queues import enqueue, snapshot_stream
from tasks_app.queues.parked_tasks import list_parked
from tasks_app.queues.snapshot_stream import Snapshot
from tasks_app.read_model.task_rows import read_snapshot
from tasks_app.resilience.transient_errors import mapped_errors

HISTORY_EVENTS: Final = 1000


@dataclass(frozen=True, slots=True)
class FoundTask:
    """A task, and the one store that was asked while the other one does not answer; "" where nothing was missing."""

    snapshot: Snapshot
    only_source: Literal["", "redis", "database"] = ""


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker as it last told of itself."""

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
    oldest_wait_seconds: float | None  # None: nobody waits
    ended_per_second: float  # over the last seconds
    paused_at: datetime | None
    paused_by: str
    reason: str
    is_suspended: bool = False  # by `rq suspend`, which holds all queues
    is_redis_alone: bool = False  # the database does not answer: Redis knows that a queue is paused, not who and why
    workers: list[WorkerView] = field(default_factory=list)


def get_task(*, task_id: str, owner: str | None = None) -> Snapshot:
    """Return a task as the newest of what Redis, the replica and the primary know of it. Raises as `find_task` does."""
    return find_task(task_id=task_id, owner=owner).snapshot


def find_task(*, task_id: str, owner: str | None = None) -> FoundTask:
    """Return a task, and which store alone has told of it while the other one does not answer.

    Whoever has started, canceled or retried it never sees it missing or going backwards, however far the mirror or
    the replica lags. With `owner` only a task of theirs. Raises UnknownTask (a malformed id is one), StoreUnavailable
    where the database does not answer and Redis does not know the task, QueueUnavailable where it is the reverse.
    """
    key = _parse_id(task_id)
    in_redis, redis_error = _read_job(str(key))
    if in_redis is not None and (in_redis.parent or not _is_of(in_redis, owner)):
        # A shard is no task to anybody outside. The same steps, and the same answers, as for a task that does not exist.
        in_redis = None
    if in_redis is not None and in_redis.status == snapshot_stream.FINISHED:
        found: FoundTask | None = FoundTask(in_redis)  # nothing can follow: no need to ask the database
    else:
        found = _find_in_both(key, in_redis, redis_error=redis_error, owner=owner)
    if found is None:
        raise UnknownTask(task_id)
    return found


def _find_in_both(
    key: uuid.UUID, in_redis: Snapshot | None, *, redis_error: QueueUnavailable | None, owner: str | None
) -> FoundTask | None:
    try:
        snapshot = _read_newest(key, in_redis)
    except StoreUnavailable:
        if in_redis is None:
            raise
        return FoundTask(in_redis, only_source="redis")
    if snapshot is None or not _is_of(snapshot, owner):
        if redis_error is not None:
            raise redis_error
        return None
    return FoundTask(snapshot, only_source="database" if redis_error is not None else "")


def _is_of(snapshot: Snapshot, owner: str | None) -> bool:
    return owner is None or snapshot.owner == owner


def _read_newest(key: uuid.UUID, in_redis: Snapshot | None) -> Snapshot | None:
    with mapped_errors():
        snapshot = read_lagging(lambda: read_snapshot(key))
        # Redis keeps a task's job until minutes after its end. Without one, a lagging row is believed only where
        # nothing can have followed.
        if has_replica() and in_redis is None and (snapshot is None or snapshot.status != snapshot_stream.FINISHED):
            snapshot = read_snapshot(key)
    if in_redis is not None and (snapshot is None or snapshot_stream.supersedes(in_redis, snapshot)):
        return in_redis
    return snapshot


def list_events(*, task_id: str, owner: str | None = None) -> list[TaskEvent]:
    """Return the history of a task, oldest first, HISTORY_EVENTS at most. Raises as `get_task` does."""
    task = get_task(task_id=task_id, owner=owner)
    with mapped_errors():
        return list(TaskEvent.objects.filter(task_id=task.id).order_by("pk")[:HISTORY_EVENTS])


def list_queues() -> list[QueueView]:
    """Return the queues, each with its workers. One query and a few round trips to Redis.

    While the database does not answer, as Redis knows them. Raises QueueUnavailable.
    """
    states = _read_states()
    with enqueue.mapped_errors():
        connection = enqueue.get_connection()
        pipeline = connection.pipeline(transaction=False)
        for name in enqueue.QUEUES:
            pipeline.llen(enqueue.queue_key(name))
            pipeline.zcard(f"rq:wip:{name}")
            pipeline.zcard(f"rq:scheduled:{name}")
            pipeline.lindex(enqueue.queue_key(name), 0)
            pipeline.get(enqueue.drain_key(name))
            pipeline.get(enqueue.paused_key(name))
        pipeline.exists(enqueue.SUSPENDED_KEY)
        pipeline.smembers("rq:workers")
        *numbers, suspended, worker_keys = pipeline.execute()
        for key in sorted(worker_keys):
            pipeline.hgetall(key)
        for oldest in numbers[3::6]:
            pipeline.hget(enqueue.job_key(oldest.decode(errors="replace") if oldest else "-"), "s")
        answers = pipeline.execute()
        parked = list_parked(connection)
    workers = [
        view
        for key, data in zip(sorted(worker_keys), answers, strict=False)
        if (view := _to_worker(key.decode(errors="replace").removeprefix("rq:worker:"), data)) is not None
    ]
    heads = answers[len(worker_keys) :]
    views = []
    for index, name in enumerate(enqueue.QUEUES):
        depth, started, scheduled, _, rate, paused = numbers[index * 6 : index * 6 + 6]
        aside = [place for place in parked if place.queue == name]  # those wait as well
        ages = [*([_age_seconds(heads[index])] if depth else []), *(place.oldest_seconds for place in aside)]
        if states is None:
            state = QueueState(name=name, paused_at=_to_time(paused.decode(errors="replace")) if paused else None)
        else:
            state = states.get(name) or QueueState(name=name)
        views.append(
            QueueView(
                name=name,
                depth=depth + sum(place.tasks for place in aside),
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
    """Return the pauses by queue; None where the database does not answer, or has hung a moment ago."""
    try:
        with mapped_errors(), hung_database.noted_hangs(router.db_for_read(QueueState)):
            return {state.name: state for state in QueueState.objects.all()}
    except StoreUnavailable:
        return None


def _read_job(task_id: str) -> tuple[Snapshot | None, QueueUnavailable | None]:
    """Return what the task's job says, and why Redis could not be asked: its row still can."""
    try:
        return enqueue.get_snapshot(task_id), None
    except QueueUnavailable as error:
        return None, error


def _parse_id(task_id: str) -> uuid.UUID:
    try:
        return uuid.UUID(task_id)
    except (ValueError, AttributeError, TypeError):
        raise UnknownTask(task_id) from None


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
    snapshot = snapshot_stream.decode_if_valid(data)
    return max(0.0, (datetime.now(UTC) - snapshot.created_at).total_seconds()) if snapshot is not None else 0.0
