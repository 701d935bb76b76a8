"""One transaction for a batch: each small task from begin to end, with its checkpoint.

Owns the transaction. Raises every error and leaves the judgement to the runner. Must not know Redis.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

from django.db import transaction

from tasks_app.checkpoints import claims
from tasks_app.domain.callers import get_starting_scope
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.engine.chunk_guard import ChunkGuard
from tasks_app.engine.lease_keeper import LeaseKeeper
from tasks_app.resilience import failpoints
from tasks_app.task_types import Chunk, ChunkResult, TaskType, get_limit_seconds, get_task_type
from tasks_app.task_types.task_results import check_results


@dataclass(slots=True)
class BatchedTask:
    """A task that fits into one chunk, and its result."""

    snapshot: Snapshot
    task_id: uuid.UUID
    result: ChunkResult | None = None


def run_batch(tasks: Sequence[BatchedTask], *, worker: str, guard: ChunkGuard, keeper: LeaseKeeper) -> None:
    """Run small tasks from begin to end in one transaction, with their complete checkpoints; sets their results.

    Raises IntegrityError if one of them has a checkpoint already, TaskCodeFailed (whatever a task type raises;
    TaskNotFinished if one did not finish in its chunk), TransactionLost and other errors of the database. In all of
    these cases nothing is committed, for none of them.
    """
    groups = [
        (get_task_type(name), list(members)) for name, members in groupby(sorted(tasks, key=_name_of), key=_name_of)
    ]
    limit_seconds = max(get_limit_seconds(task_type) for task_type, _ in groups)
    results: list[tuple[BatchedTask, ChunkResult]] = []
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


def _name_of(task: BatchedTask) -> str:
    return task.snapshot.name


def _prepare_group(
    task_type: TaskType, members: Sequence[BatchedTask], *, guard: ChunkGuard
) -> tuple[list[Chunk], Any]:
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
    task_type: TaskType, members: Sequence[BatchedTask], chunks: Sequence[Chunk], prepared: Any
) -> list[tuple[BatchedTask, ChunkResult]]:
    results = check_results(task_type.run_chunks(chunks, prepared), task_type=task_type, chunks=chunks)
    if not all(finished for _, finished in results):
        raise TaskNotFinished
    return [(task, result) for task, (result, _) in zip(members, results, strict=True)]


class TaskNotFinished(Exception):
    """A small task did not finish in its one chunk."""
