"""One chunk of one task: the task type's rows and the task's checkpoint in one transaction.

Of a dry run, the rows are rolled back first, and the checkpoint has a transaction of its own. Owns both transactions. Raises
every error and leaves the judgement to the runner. Must not know Redis.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial

from django.db import transaction

from tasks_app.checkpoints import as_snapshot, claims, failed_records, row_changes, shards
from tasks_app.checkpoints.claims import Claim
from tasks_app.domain.callers import get_starting_scope
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.engine import record_isolation
from tasks_app.engine.chunk_errors import TaskCodeFailed
from tasks_app.engine.chunk_guard import ChunkGuard
from tasks_app.engine.lease_keeper import LeaseKeeper
from tasks_app.engine.record_isolation import LeftOut, Outcome
from tasks_app.files.task_files import keep_files
from tasks_app.models import TaskCheckpoint
from tasks_app.resilience import failpoints
from tasks_app.task_types import Chunk, ChunkResult, HopelessError, TaskProgress, get_limit_seconds, get_task_type
from tasks_app.task_types.task_results import check_results


def run_chunk(
    claim: Claim, snapshot: Snapshot, *, limit: int, guard: ChunkGuard, keeper: LeaseKeeper, is_alone: bool = False
) -> tuple[ChunkResult, bool]:
    """Run one chunk of a claimed task and commit it with its checkpoint. Returns its result, and whether it was
    the last one; `claim` then equals the checkpoint in the database.

    Of a dry run, only the checkpoint commits, with the failed record and the changes that the result lists.
    With `is_alone` the limit is 1; if that record fails, its failure is committed instead of its effects.
    Raises Fenced, CancelRequested, ParentChanged (of a shard), TooManyFailedRecords, TaskCodeFailed (whatever the task
    type raises), TransactionLost and other errors of the database. In all of these cases nothing is committed, unless the
    connection broke at the commit: the checkpoint shows it on the next try.
    """
    task_type = get_task_type(snapshot.name)
    limit_seconds = get_limit_seconds(task_type)
    shard = snapshot if snapshot.parent else None
    with (
        keeper.watching(claim, shard=shard, limit_seconds=limit_seconds) as is_canceled,
        guard.watching(limit_seconds=limit_seconds),
    ):
        chunk = _make_chunk(claim, snapshot, limit=limit, is_canceled=is_canceled)
        prepare = partial(task_type.prepare_chunks, [chunk])
        error: BaseException | None = None
        if is_alone:
            prepared, error = record_isolation.prepare_alone(prepare, guard=guard)
        else:
            prepared = guard.prepare(prepare)

        def work() -> list[tuple[ChunkResult, bool]]:
            results = task_type.run_chunks([chunk], prepared)
            return check_results(results, task_type=task_type, chunks=[chunk], committed=[claim.counts])

        def attempt() -> tuple[Outcome, LeftOut | None]:
            if is_alone:
                return record_isolation.run_alone(
                    work, task_type=task_type, chunk=chunk, claim=claim, guard=guard, error=error
                )
            [outcome] = guard.run(work)
            return outcome, None

        tried: tuple[Outcome, LeftOut | None] | None = None
        if snapshot.dry_run:
            with transaction.atomic(durable=True):
                tried = attempt()
                transaction.set_rollback(True)
            failpoints.reach(failpoints.AFTER_DRY_CHUNK)
        with transaction.atomic(durable=True):
            outcome, left_out = tried or attempt()
            parent: TaskCheckpoint | None = None
            result, finished = outcome
            failed = int(left_out is not None)
            keep_files(result.artifacts, task_id=chunk.task_id)
            claims.advance(
                claim,
                done=result.done,
                counts=result.counts,
                state=result.state,
                finished=finished,
                result=result.result,
                failed_records=failed,
            )
            if left_out is not None:
                failed_records.insert_failure(
                    claim, snapshot, position=left_out.position, record=left_out.record, error=left_out.error
                )
            row_changes.insert_changes(claim, snapshot, result.changes, start=chunk.start)
            if snapshot.parent:
                parent = shards.advance_parent(snapshot, result, finished=finished, failed_records=failed)
            record_isolation.check_bound(snapshot, claim=claim, outcome=outcome, left_out=left_out, parent=parent)
            failpoints.reach(failpoints.BEFORE_CHUNK_COMMIT)
    failpoints.reach(failpoints.AFTER_CHUNK_COMMIT)
    claim.done += result.done
    claim.failed_records += failed
    claim.counts = as_snapshot.add_counts(claim.counts, result.counts)
    claim.state = dict(result.state)
    claim.ended = finished
    return result, finished


def check_dry_run(snapshot: Snapshot) -> None:
    """Raise TaskCodeFailed if the task is a dry run and its type has none: another version of the type has accepted it."""
    if snapshot.dry_run and not get_task_type(snapshot.name).supports_dry_run:
        raise TaskCodeFailed(HopelessError(f"The task type {snapshot.name!r} has no dry run. Nothing was run."))


def _make_chunk(claim: Claim, snapshot: Snapshot, *, limit: int, is_canceled: Callable[[], bool]) -> Chunk:
    # A planned task is finished when its type says so: its total may be an estimate.
    total = None if get_task_type(snapshot.name).is_planned else snapshot.total
    task_id = uuid.UUID(snapshot.parent) if snapshot.parent else claim.task_id
    return Chunk(
        task_id=task_id,
        params=snapshot.params,
        start=snapshot.first + claim.done,
        limit=limit if total is None else min(limit, max(0, total - claim.done)),
        total=None if total is None else snapshot.first + total,
        state=claim.state,
        is_canceled=is_canceled,
        owner=snapshot.owner,
        scope=get_starting_scope(snapshot.scope),
        is_dry_run=snapshot.dry_run,
        attempt=max(1, snapshot.attempts),
        worker=claim.worker,
        created_at=snapshot.created_at,
        changes_wanted=row_changes.count_wanted(claim, snapshot),
        read_progress=partial(shards.read_progress, task_id)
        if snapshot.parent
        else partial(TaskProgress, done=claim.done),
    )
