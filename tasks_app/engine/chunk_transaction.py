"""One transaction of work: what task types write, together with the checkpoints, and how long a chunk should be.

Owns the transaction. Must not know Redis; raises what went wrong and leaves judging it to the runner.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

from django.conf import settings
from django.db import transaction

from tasks_app.checkpoints import claims, shards
from tasks_app.checkpoints.claims import Claim
from tasks_app.domain.callers import get_starting_scope
from tasks_app.engine.chunk_guard import ChunkGuard
from tasks_app.engine.lease_keeper import LeaseKeeper
from tasks_app.queues.snapshot_stream import Snapshot
from tasks_app.resilience import failpoints
from tasks_app.task_types import Chunk, ChunkResult, TaskType, get_limit_seconds, get_task_type
from tasks_app.task_types.task_results import check_results


class ChunkSize:
    """How many records the next chunk may have, so that it takes about CHUNK_SECONDS."""

    def __init__(self, task_type: TaskType, *, careful: bool) -> None:
        self._max = task_type.max_limit
        # A task whose worker died begins again with little, in case it was too much at once.
        self.limit = 1 if careful else min(task_type.first_limit, task_type.max_limit)

    def adapt(self, *, done: int, seconds: float) -> None:
        """Adapt to a chunk of `done` records that took `seconds`: at most twice or half as many the next time."""
        if done <= 0 or seconds <= 0:
            return
        aim = done * settings.LONGTASKS.chunk_seconds / seconds
        self.limit = int(max(1, min(self._max, self.limit * 2, max(self.limit / 2, aim))))

    def halve(self) -> None:
        """Ask for half as much the next time."""
        self.limit = max(1, self.limit // 2)


def run_chunk(
    held: Claim, snapshot: Snapshot, *, limit: int, guard: ChunkGuard, keeper: LeaseKeeper
) -> tuple[ChunkResult, bool]:
    """Run one chunk of a claimed task and commit it with its checkpoint. Returns its result, and whether it was
    the last one; `held` stands where the database stands afterwards.

    Raises Fenced, CancelRequested, ParentGone (of a shard), TaskCodeFailed (whatever the task type raises),
    TransactionLost and other errors of the database: nothing is committed then, except where the connection broke at
    the commit (`checkpoints.advance` tells on the next try).
    """
    task_type = get_task_type(snapshot.name)
    limit_seconds = get_limit_seconds(task_type)
    shard = snapshot if snapshot.parent else None
    with (
        keeper.watching(held, shard=shard, limit_seconds=limit_seconds) as is_canceled,
        guard.watching(limit_seconds=limit_seconds),
    ):
        chunk = _make_chunk(held, snapshot, limit=limit, is_canceled=is_canceled)
        prepared = guard.prepare(lambda: task_type.prepare_chunks([chunk]))

        def work() -> list[tuple[ChunkResult, bool]]:
            results = task_type.run_chunks([chunk], prepared)
            return check_results(results, task_type=task_type, chunks=[chunk], committed=[held.counts])

        with transaction.atomic(durable=True):
            [(result, finished)] = guard.run(work)
            claims.advance(held, done=result.done, counts=result.counts, state=result.state, finished=finished)
            if snapshot.parent:
                shards.advance_parent(snapshot, result)
            failpoints.reach(failpoints.BEFORE_CHUNK_COMMIT)
    failpoints.reach(failpoints.AFTER_CHUNK_COMMIT)
    held.done += result.done
    held.counts = claims.add_counts(held.counts, result.counts)
    held.state = dict(result.state)
    held.ended = finished
    return result, finished


def _make_chunk(held: Claim, snapshot: Snapshot, *, limit: int, is_canceled: Callable[[], bool]) -> Chunk:
    return Chunk(
        task_id=uuid.UUID(snapshot.parent) if snapshot.parent else held.task_id,
        params=snapshot.params,
        start=snapshot.first + held.done,
        limit=limit if snapshot.total is None else min(limit, max(0, snapshot.total - held.done)),
        total=None if snapshot.total is None else snapshot.first + snapshot.total,
        state=held.state,
        is_canceled=is_canceled,
        owner=snapshot.owner,
        scope=get_starting_scope(snapshot.scope),
    )


@dataclass(slots=True)
class SmallTask:
    """A task that fits into one chunk, and what became of it."""

    snapshot: Snapshot
    task_id: uuid.UUID
    result: ChunkResult | None = None


def run_shared_chunk(tasks: Sequence[SmallTask], *, worker: str, guard: ChunkGuard, keeper: LeaseKeeper) -> None:
    """Run small tasks from begin to end in one transaction, with their complete checkpoints; sets their results.

    Raises IntegrityError when one of them has a checkpoint already, NotWhole when one was not done at once,
    TaskCodeFailed (whatever a task type raises), TransactionLost and other errors of the database: nothing is
    committed then, for none of them.
    """
    groups = [
        (get_task_type(name), list(members)) for name, members in groupby(sorted(tasks, key=_name_of), key=_name_of)
    ]
    limit_seconds = max(get_limit_seconds(task_type) for task_type, _ in groups)
    results: list[tuple[SmallTask, ChunkResult]] = []
    with keeper.watching(limit_seconds=limit_seconds), guard.watching(limit_seconds=limit_seconds):
        ready = [(*group, *_prepare_group(*group, guard=guard)) for group in groups]
        with transaction.atomic(durable=True):
            for task_type, members, chunks, prepared in ready:
                results += guard.run(partial(_run_group, task_type, members, chunks, prepared))
            claims.insert_finished(
                ((task.task_id, result.done, result.counts) for task, result in results), worker=worker
            )
            failpoints.reach(failpoints.BEFORE_CHUNK_COMMIT)
    failpoints.reach(failpoints.AFTER_CHUNK_COMMIT)
    for task, result in results:
        task.result = result


def _name_of(task: SmallTask) -> str:
    return task.snapshot.name


def _prepare_group(task_type: TaskType, members: Sequence[SmallTask], *, guard: ChunkGuard) -> tuple[list[Chunk], Any]:
    chunks = [
        Chunk(
            task_id=task.task_id,
            params=task.snapshot.params,
            start=0,
            limit=task.snapshot.total or 0,
            total=task.snapshot.total,
            state={},
            owner=task.snapshot.owner,
            scope=get_starting_scope(task.snapshot.scope),
        )
        for task in members
    ]
    return chunks, guard.prepare(lambda: task_type.prepare_chunks(chunks))


def _run_group(
    task_type: TaskType, members: Sequence[SmallTask], chunks: Sequence[Chunk], prepared: Any
) -> list[tuple[SmallTask, ChunkResult]]:
    results = check_results(task_type.run_chunks(chunks, prepared), task_type=task_type, chunks=chunks)
    if not all(finished for _, finished in results):
        raise NotWhole
    return [(task, result) for task, (result, _) in zip(members, results, strict=True)]


class NotWhole(Exception):
    """A small task was not done in the one chunk that it was given."""
