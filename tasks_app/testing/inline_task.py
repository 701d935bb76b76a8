"""Runs a task in this process, by the engine's own steps, but without Redis, queue and retries.

Owns the order: claim, plan, split, chunks. The chunks and their transactions are those of the engine. Must not know pytest.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import Final

from django.db import transaction
from django.test import override_settings

from tasks_app.checkpoints import claims, shards
from tasks_app.checkpoints.claims import Claim, Refusal
from tasks_app.conf.project import changed
from tasks_app.domain import task_status
from tasks_app.domain.error_text import describe_error
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.engine import chunk_transaction
from tasks_app.engine.chunk_errors import TaskCodeFailed
from tasks_app.engine.chunk_guard import ChunkGuard
from tasks_app.engine.lease_keeper import LeaseKeeper
from tasks_app.engine.record_isolation import RecordIsolation
from tasks_app.engine.task_planning import find_total, make_plan, needs_plan, prepare_split
from tasks_app.task_types import Plan, get_attempts, get_task_type

_WORKER: Final = "test"  # also after a crash: a valid claim of the same worker is replaced


class NoRealTransactions(Exception):
    """The test runs inside a transaction, so no chunk can commit."""


@dataclasses.dataclass(slots=True)
class _Claimed:
    claim: Claim
    snapshot: Snapshot


class InlineTask:
    """One process's work on a task. After a crash make another one, as another process would continue."""

    def __init__(self, snapshot: Snapshot, *, chunk_records: int | None, shard_records: int) -> None:
        self._snapshot = dataclasses.replace(snapshot)
        task_type = get_task_type(snapshot.name)
        self._limit = chunk_records or min(task_type.first_limit, task_type.max_limit)
        self._shard_records = shard_records
        self._guard = ChunkGuard()
        self._keeper = LeaseKeeper()

    def run(self) -> None:
        """Run the task to its end. Raises the error of the task type's code, after the task has ended as failed."""
        check_transactions()
        with _splitting_above(self._shard_records):
            claimed = self._claim(self._snapshot)
            if claimed is None:
                return
            try:
                parts = self._plan_and_split(claimed)
            except TaskCodeFailed as failed:
                self._fail(claimed, failed.error)
                raise failed.error from failed.error.__cause__
            if parts is None:
                self._run_chunks(claimed)
                return
            for part in parts:
                shard = self._claim(part)
                if shard is not None:
                    self._run_chunks(shard)

    def _claim(self, snapshot: Snapshot) -> _Claimed | None:
        """Return the claim of a task; None if it has ended."""
        attempts = get_attempts(snapshot.name)
        task_id = uuid.UUID(snapshot.id)
        claim = claims.claim(task_id=task_id, worker=_WORKER, above=snapshot.epoch, attempts=attempts)
        if isinstance(claim, Refusal):
            return None
        snapshot.epoch = claim.epoch
        if claim.total is not None:
            snapshot.total, snapshot.total_is_estimate = claim.total, claim.total_is_estimate
        return _Claimed(claim, snapshot)

    def _plan_and_split(self, claimed: _Claimed) -> list[Snapshot] | None:
        """Return the shards of a task that is split; None if it is not."""
        claim, snapshot = claimed.claim, claimed.snapshot
        plan: Plan | None = None
        if needs_plan(claimed):
            plan = make_plan(claimed, guard=self._guard)
        elif snapshot.total is None:
            find_total(claimed, guard=self._guard)
        total = plan.total if plan is not None and plan.parts else shards.get_split_total(claim, snapshot)
        if total is None:
            return None
        prepare = partial(prepare_split, claimed, guard=self._guard) if plan is None else lambda: plan
        parts, _ = shards.split(claim, snapshot, total=total, prepare=prepare)
        return parts

    def _run_chunks(self, claimed: _Claimed) -> None:
        claim, snapshot = claimed.claim, claimed.snapshot
        isolation = RecordIsolation(snapshot)
        size = self._limit
        while not claim.ended:
            limit = isolation.get_limit(size, done=claim.done)
            try:
                chunk_transaction.run_chunk(
                    claim,
                    snapshot,
                    limit=limit,
                    guard=self._guard,
                    keeper=self._keeper,
                    is_alone=isolation.is_on and limit == 1,
                )
            except TaskCodeFailed as failed:
                self._guard.renew_session()
                if isolation.narrow(failed.error, done=claim.done, limit=limit):
                    size = size if isolation.is_named else limit // 2
                    continue
                self._fail(claimed, failed.error)
                raise failed.error from failed.error.__cause__
            except Exception as error:
                self._fail(claimed, error)
                raise
            size = min(self._limit, 2 * size)

    def _fail(self, claimed: _Claimed, error: BaseException) -> None:
        text = describe_error(error)
        claims.fail_attempt(claimed.claim, error=text, final=True)
        if claimed.snapshot.parent:
            shards.end_parent_of(claimed.snapshot, outcome=task_status.FAILED, error=text)


def check_transactions() -> None:
    """Raise NoRealTransactions if this test runs inside a transaction."""
    if transaction.get_connection().in_atomic_block:
        raise NoRealTransactions(
            "A task commits chunk by chunk, and this test runs inside a transaction. Use the fixture `run_task` or "
            "`assert_survives_crashes` of tasks_app.testing.plugin, or mark the test with django_db(transaction=True)."
        )


@contextmanager
def _splitting_above(shard_records: int) -> Generator[None, None, None]:
    """Let tasks of more records be split; 0: none."""
    with override_settings(LONGTASKS=changed(shard_records=shard_records)):
        yield
