"""How a task changes its place in Redis: taken by a worker, moved on, put back, ended.

Owns the two scripts that do it, each atomic with the task's status and snapshot. Must not know SQL; whether a move
is right has been decided in the database before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal

import redis
from django.conf import settings
from rq.utils import utcformat

from tasks_app.domain import task_snapshot, task_status
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.models import column_limits
from tasks_app.queues import lua_script, redis_keys, snapshot_stream

_dequeue: Final = lua_script.Script("dequeue")
_transition: Final = lua_script.Script("transition")

AT_ONCE: Final = 20

Source = Literal["started", "scheduled", "missing", "any", "ended", "unchanged", "waiting", "delayed"]
Target = Literal["front", "back", "urgent", "yield", "split", "parked", "scheduled", "ended", "stay"]


@dataclass(slots=True, kw_only=True)
class DequeuedJob:
    """A queue entry that a worker has dequeued: another function's job, or a task whose snapshot Redis has lost."""

    queue: str
    task_id: str
    failures: int  # failed attempts before this one
    isolated: bool  # it was in a worker that died: it shares no chunk until it has run
    has_ended: bool = False  # RQ's own requeue has enqueued it: it is not started, but retried

    def as_task(self, snapshot: Snapshot) -> DequeuedTask:
        """Return the task that this entry is, with the snapshot that was found elsewhere."""
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
    """One task's move; `snapshot` is its state afterwards."""

    snapshot: Snapshot
    source: Source
    target: Target
    worker: str = ""  # the one under whom it is started; for source "started"
    run_at: datetime | None = None  # for target "scheduled"
    failures: int | None = None  # None: leave as it is
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
    """Take one task, or many small ones, from the first queue that has any and is not paused.

    Each is `started` from then on, noted under `worker` in RQ's registry of started jobs, its snapshot written. Tasks
    of other types than `types` are parked on the way: they wait for a worker that serves theirs, and cost no attempt.
    With `is_partial` (the worker leaves types to others on purpose) their history does not say so.
    Returns what was taken and, when nothing was, the last id of the stream: what comes after it may be a new task.
    """
    args = (worker, max_tasks, max_records, int(is_partial), len(types), *types, *queues)
    last_id, *rows = _dequeue(connection, (snapshot_stream.STREAM_KEY,), args)
    while not last_id:  # it has parked as many as one script may
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


def apply_transitions(connection: redis.Redis[Any], moves: Sequence[Transition]) -> list[bool]:
    """Move tasks, in one round trip. False for one that was not where it should be, or that a newer epoch holds."""
    if not moves:
        return []
    args: list[Any] = []
    for move in moves:
        snapshot = column_limits.cut_texts(move.snapshot)
        ttl_seconds = 0 if snapshot.parent else _ttl_seconds(snapshot.status)  # nobody asks for a shard that is done
        args += (
            snapshot.id,
            snapshot.priority,
            move.source,
            move.worker,
            snapshot.epoch,
            move.target,
            _time_of(move),
            ttl_seconds,
            task_snapshot.encode(_in_order(snapshot)),
            snapshot.status,
            "" if move.failures is None else move.failures,
            "1" if move.isolated else "",
            redis_keys.JOB_DATA,
            utcformat(snapshot.created_at),
            settings.LONGTASKS.job_timeout_seconds,
            snapshot.description,
            snapshot.weight,
        )
    return [bool(moved) for moved in _transition(connection, (snapshot_stream.STREAM_KEY,), args)]


def apply_many_transitions(connection: redis.Redis[Any], moves: Sequence[Transition]) -> list[bool]:
    """Move any number of tasks, some at once: moves from anywhere search the queues, and a script holds up all others."""
    moved: list[bool] = []
    for start in range(0, len(moves), AT_ONCE):
        moved += apply_transitions(connection, moves[start : start + AT_ONCE])
    return moved


def _time_of(move: Transition) -> float | str:
    """Return what the script must know of the time: how long until a task is due, or when one that ends began."""
    if move.target == "scheduled":
        assert move.run_at is not None
        return (move.run_at - datetime.now(UTC)).total_seconds()  # the machine's clock may be off; a span of it is not
    began = move.snapshot.started_at
    return utcformat(began) if began is not None else ""


def _in_order(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with an end that is not before its beginning, whichever clocks have told them."""
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
