"""The checkpoint of a task in the database: claiming it, advancing it with a chunk, letting go, ending.

Owns every write of TaskCheckpoint. Each is one short statement or transaction, judged by the database's clock,
and changes nothing for a worker whose epoch has passed. Must not know Redis.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

import orjson
from django.conf import settings
from django.db import IntegrityError, connections, models, router, transaction
from django.db.models import DateTimeField, ExpressionWrapper, F, Value
from django.db.models.functions import Now

from tasks_app.database.bulk_insert import insert_columns
from tasks_app.models import TaskCheckpoint
from tasks_app.queues import snapshot_stream
from tasks_app.queues.snapshot_stream import Snapshot

# What an end's undoing writes, for one row and for sets.
REOPENED: Final[Mapping[str, Any]] = {
    "outcome": "",
    "failures": 0,
    "cancel_requested": False,
    "error": "",
    "ended_at": None,
    "lease_until": None,
}
RETRYABLE: Final = (snapshot_stream.FAILED, snapshot_stream.STOPPED, snapshot_stream.CANCELED)
SILENT_WORKER: Final = (
    "The worker that ran this task died or fell silent before it could commit a chunk ({cause}): "
    "attempt {failures} of {attempts}."
)
UNKNOWN_CAUSE: Final = "killed, out of memory, a crash of the interpreter"


class Fenced(Exception):
    """Another worker holds the task, or it has ended: this one's work must not count."""


class CancelRequested(Exception):
    """The task shall be canceled: its running chunk is rolled back."""


@dataclass(slots=True)
class Claim:
    """A worker's right to go on with a task, and how far the task has come."""

    task_id: uuid.UUID
    epoch: int
    worker: str
    done: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    failures: int = 0
    ended: bool = False

    def stands_at(self, row: TaskCheckpoint) -> bool:
        """Tell whether the claim holds, or held until its own last chunk."""
        return row.epoch == self.epoch and row.worker == self.worker and row.outcome in ("", snapshot_stream.FINISHED)

    def catch_up(self, row: TaskCheckpoint) -> bool:
        """Take over how far the row has come. Returns whether the task is finished."""
        self.done, self.counts, self.state = row.done, row.counts, row.state
        self.ended = bool(row.outcome)
        return self.ended


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a task can't be claimed: it has ended (`checkpoint.outcome`), or a live claim of another holds it."""

    checkpoint: TaskCheckpoint


def claim(*, task_id: uuid.UUID, worker: str, above: int = 0) -> Claim | Refusal:
    """Claim a task for `worker` for LEASE_SECONDS; its epoch rises, so whoever held it before is fenced.

    Also over `above`, the epoch that Redis knows: a database that was restored from a backup may be behind it.

    A claim that ran out without a committed chunk is counted as a failed attempt here (or by `expire`); the one
    that reaches RETRY_ATTEMPTS ends the task as failed. A live claim of `worker` itself is one whose answer was
    lost. Ends a task whose cancel no worker has obeyed. Raises errors of the database only.
    """
    while True:
        with transaction.atomic():
            row = _lock(task_id)
            if row is None:
                try:
                    with transaction.atomic():
                        TaskCheckpoint.objects.create(
                            task_id=task_id,
                            epoch=above + 1,
                            worker=worker,
                            lease_until=_lease_end(),
                            started_at=Now(),
                            updated_at=Now(),
                        )
                except IntegrityError:
                    continue  # somebody else came first: look again
                return Claim(task_id=task_id, epoch=above + 1, worker=worker)
            _reopen_as_redis_says(row, above)
            if row.outcome:
                return Refusal(row)
            if row.lease_until is not None and row.worker != worker:
                if not row.has_run_out:  # type: ignore[attr-defined]
                    return Refusal(row)
                if not row.cancel_requested and _count_silence(row):
                    return Refusal(row)
            if row.cancel_requested:
                _end_canceled(row)
                return Refusal(row)
            row.epoch = max(row.epoch, above) + 1
            TaskCheckpoint.objects.filter(task_id=task_id).update(
                epoch=row.epoch,
                worker=worker,
                lease_until=_lease_end(),
                claimed_done=F("done"),
                started_at=row.started_at or Now(),
                updated_at=Now(),
            )
            return Claim(
                task_id=task_id,
                epoch=row.epoch,
                worker=worker,
                done=row.done,
                counts=row.counts,
                state=row.state,
                failures=row.failures,
            )


def advance(held: Claim, *, done: int, counts: Mapping[str, int], state: Mapping[str, Any], finished: bool) -> None:
    """Move the checkpoint on by a chunk, inside the chunk's transaction; renews the lease, or ends the task.

    Only where the checkpoint still is where this worker left it: a chunk whose commit was answered by a broken
    connection can be tried again without counting twice. The caller changes `held`, after the commit.
    Raises Fenced or CancelRequested, and the transaction must be rolled back then.
    """
    changes: dict[str, Any] = {
        "done": held.done + done,
        "counts": add_counts(held.counts, counts),
        "state": dict(state),
        "lease_until": None if finished else _lease_end(),
        "updated_at": Now(),
    }
    if finished:
        changes |= {"outcome": snapshot_stream.FINISHED, "ended_at": Now()}
    changed = _held(held).filter(done=held.done, cancel_requested=False).update(**changes)
    if not changed:
        row = TaskCheckpoint.objects.filter(task_id=held.task_id).first()
        if row is not None and row.epoch == held.epoch and not row.outcome and row.cancel_requested:
            raise CancelRequested
        raise Fenced


def insert_finished(rows: Iterable[tuple[uuid.UUID, int, Mapping[str, int]]], *, worker: str) -> None:
    """Insert the checkpoints of small tasks that one shared chunk does from begin to end: (task, done, counts).

    The primary key is the fence: raises IntegrityError when any of the tasks has a checkpoint already.
    """
    task_ids, done, counts = zip(*rows, strict=True)
    same: dict[str, Any] = {
        field.attname: field.get_default() for field in TaskCheckpoint._meta.concrete_fields if not field.primary_key
    }
    same |= {"epoch": 1, "worker": worker, "outcome": snapshot_stream.FINISHED}
    same |= dict.fromkeys(("started_at", "ended_at", "updated_at"), _read_clock())
    columns: dict[str, Sequence[Any]] = {name: [value] * len(task_ids) for name, value in same.items()}
    columns |= {"task_id": task_ids, "done": done, "counts": [orjson.dumps(count).decode() for count in counts]}
    insert_columns(TaskCheckpoint, columns)


def renew(held: Claim) -> bool:
    """Renew the lease of a claim that still holds. False: fenced, or let go of meanwhile, and nothing was changed."""
    return bool(_held(held).filter(lease_until__isnull=False).update(lease_until=_lease_end()))


def may_go_on(held: Claim) -> bool:
    """Tell whether a claim still holds and its task shall not be canceled. Takes no lock."""
    return _held(held).filter(cancel_requested=False).exists()


def read(held: Claim) -> TaskCheckpoint | None:
    """Return the checkpoint as it is once every transaction that had changed it has ended.

    Takes the row's lock for that: the server may still be at a commit whose connection has broken.
    """
    with transaction.atomic():
        return _lock(held.task_id)


def release(held: Claim) -> bool:
    """Let go of a task that is not done, without an attempt. False: fenced or to be canceled, nothing was changed."""
    return bool(_held(held).filter(cancel_requested=False).update(lease_until=None, updated_at=Now()))


def fail_attempt(held: Claim, *, error: str, final: bool) -> bool:
    """Note a failed attempt; `final` ends the task as failed. False: fenced or to be canceled, nothing was changed."""
    changes: dict[str, Any] = {
        "failures": held.failures + 1,  # not F() + 1: the statement is idempotent
        "error": error,
        "lease_until": None,
        "updated_at": Now(),
    }
    if final:
        changes |= {"outcome": snapshot_stream.FAILED, "ended_at": Now()}
    return bool(_held(held).filter(cancel_requested=False).update(**changes))


def end(held: Claim, *, outcome: str) -> bool:
    """End a task that this worker holds as canceled or stopped. False: fenced, nothing was changed."""
    return bool(_held(held).update(outcome=outcome, ended_at=Now(), lease_until=None, updated_at=Now()))


def expire(
    *, task_id: uuid.UUID, dead_worker: str = "", is_attempt: bool = True, cause: str = ""
) -> TaskCheckpoint | None:
    """Take a claim back that has run out, so that the task can be enqueued again. None: there is none (any more).

    A claim of `dead_worker`, whose death is certain, is taken back before its lease is over. Without `is_attempt` it
    costs the task none. `cause` says in the task's error what ended the worker, where that is known. Returns the row
    as it is then: with an outcome where that was the last attempt, or where a cancel waited for that worker.
    """
    with transaction.atomic():
        row = _lock(task_id, skip_locked=True)
        if row is None or row.outcome or row.lease_until is None:
            return None
        if not row.has_run_out and (not dead_worker or row.worker != dead_worker):  # type: ignore[attr-defined]
            return None
        if row.cancel_requested:
            _end_canceled(row)
        elif not (is_attempt and _count_silence(row, cause=cause)):
            row.epoch += 1
            row.lease_until = None
            TaskCheckpoint.objects.filter(task_id=task_id).update(epoch=row.epoch, lease_until=None, updated_at=Now())
        return row


def request_cancel(*, task_id: uuid.UUID) -> TaskCheckpoint:
    """Cancel a task: at once where nobody holds it, else by asking its worker. Returns the row as it is then.

    A task that has no checkpoint yet gets one that is canceled, so that it can never be claimed.
    A row that had ended before is returned as it was.
    """
    while True:
        with transaction.atomic():
            row = _lock(task_id)
            if row is None:
                try:
                    with transaction.atomic():
                        return TaskCheckpoint.objects.create(
                            task_id=task_id, epoch=1, outcome=snapshot_stream.CANCELED, ended_at=Now(), updated_at=Now()
                        )
                except IntegrityError:
                    continue
            if row.outcome:
                return row
            if row.lease_until is not None and not row.has_run_out:  # type: ignore[attr-defined]
                row.cancel_requested = True
                TaskCheckpoint.objects.filter(task_id=task_id).update(cancel_requested=True, updated_at=Now())
                return row
            _end_canceled(row)
            return row


def reopen(*, task_id: uuid.UUID) -> tuple[TaskCheckpoint | None, bool]:
    """Undo the end of a failed, stopped or canceled task, for an explicit retry: attempts begin anew, rows stay.

    Returns the row as it is then, and whether it was reopened now.
    """
    with transaction.atomic():
        row = _lock(task_id)
        if row is None or row.outcome not in RETRYABLE:
            return row, False
        _reopen(row)
        return row, True


def lift_epoch(*, task_id: uuid.UUID, above: int) -> TaskCheckpoint:
    """Raise the epoch of a task that nobody claims over `above`, the one that Redis knows; makes the checkpoint if need be.

    For a database that is older than Redis: with a lower epoch every move in Redis would be refused. Returns the row as
    it is then; one that is claimed is left as it is, and so is an end that no retry has undone.
    """
    while True:
        with transaction.atomic():
            row = _lock(task_id)
            if row is None:
                try:
                    with transaction.atomic():
                        return TaskCheckpoint.objects.create(task_id=task_id, epoch=above + 1, updated_at=Now())
                except IntegrityError:
                    continue
            _reopen_as_redis_says(row, above)
            if not row.outcome and row.lease_until is None and row.epoch <= above:
                row.epoch = above + 1
                TaskCheckpoint.objects.filter(task_id=task_id).update(epoch=row.epoch, updated_at=Now())
            return row


def get_checkpoints(task_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, TaskCheckpoint]:
    """Return the checkpoints of these tasks, each with `has_run_out`: whether its lease is over."""
    return {row.task_id: row for row in _with_clock().filter(task_id__in=list(task_ids))}


def list_run_out(*, limit: int) -> list[uuid.UUID]:
    """Return tasks whose claim has run out, longest ago first."""
    return list(
        TaskCheckpoint.objects.filter(outcome="", lease_until__lt=Now())
        .order_by("lease_until")
        .values_list("task_id", flat=True)[:limit]
    )


def list_left_open(*, older_than_seconds: float, limit: int) -> list[TaskCheckpoint]:
    """Return checkpoints that nobody claims and that have not ended, unchanged for a while."""
    age = ExpressionWrapper(Now() - Value(timedelta(seconds=older_than_seconds)), output_field=DateTimeField())
    rows = TaskCheckpoint.objects.filter(outcome="", lease_until=None, updated_at__lt=age)
    return list(rows.order_by("-updated_at")[:limit])


def as_row_says(snapshot: Snapshot, row: TaskCheckpoint, **changes: Any) -> Snapshot:
    """Return the snapshot of a task as far as its checkpoint has come, and with `changes`.

    Names that no chunk has counted yet keep their 0. A finished task whose total was unknown has it now.
    """
    if snapshot.total is None and row.outcome == snapshot_stream.FINISHED:
        changes["total"] = row.done
    counts = snapshot_stream.with_all_counts(snapshot.counts, row.counts)
    return replace(snapshot, epoch=row.epoch, done=row.done, counts=counts, **changes)


def add_counts(counts: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    """Return the sum of two mappings of counts."""
    total = dict(counts)
    for name, number in more.items():
        total[name] = total.get(name, 0) + number
    return total


def _held(held: Claim) -> models.QuerySet[TaskCheckpoint]:
    return TaskCheckpoint.objects.filter(task_id=held.task_id, epoch=held.epoch, outcome="")


def _with_clock() -> models.QuerySet[TaskCheckpoint]:
    return TaskCheckpoint.objects.annotate(
        has_run_out=models.Case(
            models.When(lease_until__lt=Now(), then=Value(True)),
            default=Value(False),
            output_field=models.BooleanField(),
        )
    )


def _lock(task_id: uuid.UUID, *, skip_locked: bool = False) -> TaskCheckpoint | None:
    rows = _with_clock().filter(task_id=task_id)
    skip = skip_locked and transaction.get_connection().features.has_select_for_update_skip_locked
    return rows.select_for_update(skip_locked=skip).first()


def _reopen(row: TaskCheckpoint) -> None:
    """Undo a task's end; its attempts begin anew. The caller holds the row's lock."""
    row.epoch += 1
    for name, value in REOPENED.items():
        setattr(row, name, value)
    TaskCheckpoint.objects.filter(task_id=row.task_id).update(epoch=row.epoch, updated_at=Now(), **REOPENED)


def _reopen_as_redis_says(row: TaskCheckpoint, above: int) -> None:
    """Undo an end that is older than what Redis knows: a restored database has lost the retry that followed."""
    if row.outcome in RETRYABLE and row.epoch < above:
        _reopen(row)


def _end_canceled(row: TaskCheckpoint) -> None:
    """End a task as canceled that no living worker holds. The caller holds the row's lock."""
    row.outcome = snapshot_stream.CANCELED
    row.epoch += 1
    TaskCheckpoint.objects.filter(task_id=row.task_id).update(
        outcome=row.outcome,
        epoch=row.epoch,
        cancel_requested=True,
        lease_until=None,
        ended_at=Now(),
        updated_at=Now(),
    )


def _count_silence(row: TaskCheckpoint, *, cause: str = "") -> bool:
    """Count a claim that ran out; True when that ended the task. The caller holds the row's lock."""
    if row.done > row.claimed_done:
        return False  # it got somewhere: whatever killed the worker was not this task's first step
    row.failures += 1
    row.error = SILENT_WORKER.format(
        cause=cause or UNKNOWN_CAUSE, failures=row.failures, attempts=settings.LONGTASKS.retry_attempts
    )
    changes: dict[str, Any] = {"failures": row.failures, "error": row.error}
    if row.failures >= settings.LONGTASKS.retry_attempts:
        row.outcome = snapshot_stream.FAILED
        row.epoch += 1
        changes |= {
            "outcome": row.outcome,
            "epoch": row.epoch,
            "lease_until": None,
            "ended_at": Now(),
            "updated_at": Now(),
        }
    TaskCheckpoint.objects.filter(task_id=row.task_id).update(**changes)
    return bool(row.outcome)


def _read_clock() -> str:
    """Return the database's time, in the form in which it takes times as text."""
    connection = connections[router.db_for_write(TaskCheckpoint)]
    now = "strftime('%Y-%m-%d %H:%M:%f', 'now')" if connection.vendor == "sqlite" else "UTC_TIMESTAMP(6)"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {now}")
        return str(cursor.fetchone()[0])


def _lease_end() -> ExpressionWrapper:
    lease = timedelta(seconds=settings.LONGTASKS.lease_seconds)
    return ExpressionWrapper(Now() + Value(lease), output_field=DateTimeField())
