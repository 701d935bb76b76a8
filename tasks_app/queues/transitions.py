"""Transitions: atomic changes of a task's place in Redis, as when it is dequeued, requeued, scheduled or ended.

Owns the two scripts that make them; each also writes the task's status and snapshot. Must not know SQL: whether a
change is allowed was decided before, by the database or, for a priority, by the source that the script checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal

import redis
from rq.utils import utcformat

from tasks_app.conf import settings
from tasks_app.domain import task_snapshot, task_status
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.models import column_limits
from tasks_app.queues import lua_script, redis_keys, snapshot_stream

_dequeue: Final = lua_script.Script("dequeue")
_transition: Final = lua_script.Script("transition")

MAX_PER_SCRIPT: Final = 20  # source "any" searches the queues, and a script blocks all other commands

# Where a task must be for the transition to happen; lua/transition.lua explains each. unchanged: its place is not checked.
Source = Literal["started", "scheduled", "missing", "any", "ended", "unchanged", "waiting", "delayed"]
Target = Literal["front", "back", "urgent", "yield", "split", "parked", "ended", "stay"]


@dataclass(slots=True, kw_only=True)
class DequeuedJob:
    """A queue entry that a worker has dequeued. Unless it is a DequeuedTask: another function's job, or a lost snapshot."""

    queue: str
    task_id: str
    failures: int  # failed attempts before this one
    isolated: bool  # its last worker died or released it before its start: it must not run in a batch
    has_ended: bool = False  # RQ's own requeue has enqueued it after its end: it is retried instead of started

    def as_task(self, snapshot: Snapshot) -> DequeuedTask:
        """Return the task of this entry, with a snapshot that was found elsewhere."""
        return DequeuedTask(
            queue=self.queue,
            task_id=self.task_id,
            failures=self.failures,
            isolated=self.isolated,
            has_ended=self.has_ended,
            snapshot=snapshot,
        )


@dataclass(slots=True, kw_only=True)
class DequeuedTask(DequeuedJob):
    """A task that a worker has dequeued."""

    snapshot: Snapshot


@dataclass(slots=True)
class Transition:
    """The change of one task's place in Redis; `snapshot` is its state afterwards."""

    snapshot: Snapshot
    source: Source
    target: Target | datetime  # a time: scheduled, due then (by this machine's clock; a requested start by Redis's)
    worker: str = ""  # for source "started": the worker under which it is registered
    failures: int | None = None  # None: unchanged
    isolated: bool = False


def dequeue_tasks(
    connection: redis.Redis[Any],
    *,
    worker: str,
    types: Sequence[str],
    queues: Sequence[str],
    max_tasks: int,
    max_records: int,
    is_partial: bool = False,
) -> tuple[list[DequeuedJob], str]:
    """Dequeue one task, or a batch of small ones, from the first queue that is neither empty nor paused.

    Each is then `started`: registered under `worker` in RQ's registry of started jobs, with a new snapshot. Tasks of
    other types than `types` are parked, which costs no attempt. With `is_partial` (the worker deliberately serves only
    some of the types that it knows) parking is not recorded in their history.
    Returns the jobs and, if there are none, the stream's last id: an entry after it may be a new task.
    """
    args = (worker, max_tasks, max_records, int(is_partial), len(types), *types, *queues)
    last_id, *rows = _dequeue(connection, (snapshot_stream.STREAM_KEY,), args)
    while not last_id:  # the script has reached its limit of parked tasks
        last_id, *rows = _dequeue(connection, (snapshot_stream.STREAM_KEY,), args)
    return [_read_entry(*row) for row in rows], last_id.decode(errors="replace")


def _read_entry(
    name: bytes, task_id: bytes, data: bytes, failures: bytes, isolated: bytes, ended: bytes
) -> DequeuedJob:
    job = DequeuedJob(
        queue=name.decode(errors="replace"),
        task_id=task_id.decode(errors="backslashreplace"),
        failures=int(failures),
        isolated=bool(isolated),
        has_ended=bool(ended),
    )
    snapshot = task_snapshot.decode_if_valid(data)
    return job if snapshot is None else job.as_task(snapshot)


def apply_transitions(connection: redis.Redis[Any], batch: Sequence[Transition]) -> list[bool]:
    """Apply transitions in one round trip. False for a task that was not at its source, or that has a newer epoch."""
    if not batch:
        return []
    args: list[Any] = []
    for transition in batch:
        snapshot = column_limits.cut_texts(transition.snapshot)
        ttl_seconds = 0 if snapshot.parent else _ttl_seconds(snapshot.status)  # a finished shard is not read again
        args += (
            snapshot.id,
            snapshot.priority,
            transition.source,
            transition.worker,
            snapshot.epoch,
            transition.target if isinstance(transition.target, str) else "scheduled",
            _time_argument(transition),
            ttl_seconds,
            task_snapshot.encode(_in_order(snapshot)),
            snapshot.status,
            "" if transition.failures is None else transition.failures,
            "1" if transition.isolated else "",
            redis_keys.JOB_DATA,
            utcformat(snapshot.created_at),
            settings.LONGTASKS.job_timeout_seconds,
            snapshot.description,
            snapshot.weight,
        )
    return [bool(applied) for applied in _transition(connection, (snapshot_stream.STREAM_KEY,), args)]


def apply_many_transitions(connection: redis.Redis[Any], batch: Sequence[Transition]) -> list[bool]:
    """Apply any number of transitions, MAX_PER_SCRIPT in each round trip."""
    applied: list[bool] = []
    for start in range(0, len(batch), MAX_PER_SCRIPT):
        applied += apply_transitions(connection, batch[start : start + MAX_PER_SCRIPT])
    return applied


def _time_argument(transition: Transition) -> float | str:
    """Return the script's time argument: when or in how many seconds a task is due, or the start of a task that ends."""
    if not isinstance(transition.target, str):
        if transition.snapshot.waits_for_start:
            return f"at{transition.target.timestamp()}"
        return (transition.target - datetime.now(UTC)).total_seconds()  # exact even if this clock is off
    started_at = transition.snapshot.started_at
    return utcformat(started_at) if started_at is not None else ""


def _in_order(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with an end that is not before its start: they may come from different clocks."""
    if snapshot.ended_at is None or snapshot.started_at is None or snapshot.started_at <= snapshot.ended_at:
        return snapshot
    return replace(snapshot, ended_at=snapshot.started_at)


def _ttl_seconds(status: str) -> int:
    longtasks = settings.LONGTASKS
    return (
        longtasks.failure_ttl_seconds
        if status in (task_status.FAILED, task_status.STOPPED)
        else longtasks.result_ttl_seconds
    )
