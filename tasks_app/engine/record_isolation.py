"""Isolates failing records: a chunk that raises a data error is halved until one record is alone, and that one is left out.

Owns which errors concern a record, the order of the halves, and the run of a record alone. What it remembers may be lost
with the process: the next worker begins at the checkpoint and halves again. Must not know Redis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from django.db import NotSupportedError, ProgrammingError, transaction
from django.db.transaction import TransactionManagementError

from tasks_app.checkpoints.claims import Claim
from tasks_app.domain.error_text import error_line
from tasks_app.domain.max_failures import get_excess
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.engine.chunk_errors import TaskCodeFailed, TransactionBroken, TransactionMisused
from tasks_app.engine.chunk_guard import ChunkGuard
from tasks_app.models import TaskCheckpoint
from tasks_app.resilience.transient_errors import is_transient_error
from tasks_app.task_types import (
    Chunk,
    ChunkResult,
    FailedRecord,
    HopelessError,
    RecordRefused,
    TaskType,
    get_task_type,
)
from tasks_app.task_types.task_results import InvalidTaskResult, check_result

# The record is not to blame for these: a service that does not answer, the machine, the code or its use of the engine.
_NOT_OF_A_RECORD: Final = (
    HopelessError,
    InvalidTaskResult,
    TransactionMisused,
    TransactionManagementError,
    OSError,
    MemoryError,
    ImportError,
    NameError,
    NotImplementedError,
    ProgrammingError,
    NotSupportedError,
)
Outcome = tuple[ChunkResult, bool]  # what a chunk has done, and whether it was the last one


class TooManyFailedRecords(HopelessError):
    """More records have failed than the task allows."""


class LeftOut:
    """A record that failed alone and is left out, and why."""

    def __init__(self, *, position: int, record: FailedRecord, error: BaseException) -> None:
        self.position, self.record, self.error = position, record, error


def is_data_error(error: BaseException) -> bool:
    """Return whether an error of a task type's code concerns its records, so that one of them may be left out."""
    if isinstance(error, TransactionBroken):
        return True
    if not isinstance(error, Exception) or isinstance(error, _NOT_OF_A_RECORD):
        return False
    return not is_transient_error(error)


def isolates(snapshot: Snapshot) -> bool:
    """Return whether failing records of a task are left out."""
    return bool(snapshot.max_failures) and get_task_type(snapshot.name).isolates_failures


class RecordIsolation:
    """The search for the failing record in a chunk of one task."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.is_on = isolates(snapshot)
        self._end = 0  # a failing record lies before this one
        self._named = -1  # the record that an error has named

    def get_limit(self, limit: int, *, done: int) -> int:
        """Return the limit of the next chunk: half of the records among which one fails; up to one that is known to fail."""
        if done <= self._named:
            return max(1, min(limit, self._named - done))
        suspects = self._end - done
        return max(1, min(limit, suspects // 2)) if suspects > 0 else limit

    def narrow(self, error: BaseException, *, done: int, limit: int) -> bool:
        """Note that a chunk from `done` on has failed. Return whether to try a smaller one instead of failing."""
        if not self.is_on or limit <= 1 or not is_data_error(error):
            return False
        # The total of a planned task may be an estimate: there may be more records than it says.
        total = None if get_task_type(self._snapshot.name).is_planned else self._snapshot.total
        left = limit if total is None else min(limit, total - done)
        self._end, self._named = done + max(1, left), -1
        if isinstance(error, RecordRefused) and type(error.position) is int:
            place = error.position - self._snapshot.first
            if done <= place < self._end:
                self._named = place
        return True

    @property
    def is_named(self) -> bool:
        """Whether the last error has named its record, so that the size of chunks is not to blame."""
        return self._named >= 0


def prepare_alone(code: Callable[[], Any], *, guard: ChunkGuard) -> tuple[Any, BaseException | None]:
    """Prepare a chunk of one record. Return what was prepared, or the data error that the record causes already here."""
    try:
        return guard.prepare(code), None
    except TaskCodeFailed as failed:
        if not is_data_error(failed.error):
            raise
        return None, failed.error


def run_alone(
    work: Callable[[], list[Outcome]],
    *,
    task_type: TaskType,
    chunk: Chunk,
    claim: Claim,
    guard: ChunkGuard,
    error: BaseException | None,
) -> tuple[Outcome, LeftOut | None]:
    """Run a chunk of one record in the caller's transaction; if it fails, roll it back alone and skip the record.

    With `error` the record has failed already. Both run in one transaction, so that the record that is skipped is the
    one that has failed. Raises what `guard.run` raises.
    """
    if error is None:
        try:
            with transaction.atomic():
                [outcome] = guard.run(work)
            return outcome, None
        except TaskCodeFailed as failed:
            if not is_data_error(failed.error):
                raise
            error = _find_cause(failed)
    outcome, record = guard.run(lambda: _skip(task_type, chunk, claim))
    return outcome, LeftOut(position=chunk.start, record=record, error=error) if record is not None else None


def check_bound(
    snapshot: Snapshot, *, claim: Claim, outcome: Outcome, left_out: LeftOut | None, parent: TaskCheckpoint | None
) -> None:
    """Raise TooManyFailedRecords if the task has more failed records, with this chunk, than it allows.

    `parent` is the locked row of a shard's task, which counts for all shards.
    """
    if not isolates(snapshot):
        return
    result, is_finished = outcome
    is_estimate: bool
    total: int | None
    if parent is not None:
        failed, done, is_end = parent.failed_records, parent.done, bool(parent.outcome)
        total, is_estimate = parent.total, parent.total_is_estimate
        total = snapshot.parent_total if total is None else total
    else:
        failed, is_end = claim.failed_records + (left_out is not None), is_finished
        done = claim.done + result.done
        total, is_estimate = claim.total, claim.total_is_estimate
        total = snapshot.total if total is None else total
    total = None if is_estimate else total
    excess = get_excess(snapshot.max_failures, failed=failed, done=done, total=total, is_end=is_end)
    if not excess:
        return
    last = ""
    if left_out is not None:
        last = f" The last one, record {left_out.position:,}, is not in the list: {error_line(left_out.error)}."
    raise TooManyFailedRecords(
        f"{excess}. The list: GET /tasks/{snapshot.parent or snapshot.id}/failures.{last}"
    ) from (left_out.error if left_out else None)


def _find_cause(failed: TaskCodeFailed) -> BaseException:
    """Return the error of a record; of a transaction that the code left broken the error that broke it, if it is known."""
    cause = failed.__cause__ if isinstance(failed.error, TransactionBroken) else None
    if isinstance(cause, TransactionManagementError):
        cause = cause.__cause__
    return cause or failed.error


def _skip(task_type: TaskType, chunk: Chunk, claim: Claim) -> tuple[Outcome, FailedRecord | None]:
    answer: object = task_type.skip_record(chunk)
    if type(answer) is not tuple or len(answer) != 2 or not isinstance(answer[1], (FailedRecord, type(None))):
        accepted = "a tuple of a ChunkResult and a FailedRecord, or of a ChunkResult and None"
        raise InvalidTaskResult(task_type=task_type, field="the result of skip_record", value=answer, accepted=accepted)
    result, record = answer
    outcome = check_result(result, task_type=task_type, chunk=chunk, committed=claim.counts)
    if record is not None and outcome[0].done != 1:
        accepted = "1: the record that was skipped"
        raise InvalidTaskResult(
            task_type=task_type, field="done of skip_record", value=outcome[0].done, accepted=accepted
        )
    return outcome, record
