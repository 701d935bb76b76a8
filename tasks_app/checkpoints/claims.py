"""The checkpoint of a task in the database: claiming it, advancing it with a chunk, letting go, ending.

Owns every write of TaskCheckpoint. Each is one short statement or transaction, judged by the database's clock,
and changes nothing for a worker whose epoch has passed. Must not know Redis.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.db import IntegrityError, models, transaction
from django.db.models import F
from django.db.models.functions import Now

from tasks_app.checkpoints.as_snapshot import add_counts
from tasks_app.checkpoints.cancel_and_reopen import end_canceled, reopen_as_redis_says
from tasks_app.checkpoints.checkpoint_rows import lease_end, lock_row, read_clock
from tasks_app.checkpoints.expired_claims import count_missed_heartbeat
from tasks_app.database.bulk_insert import insert_columns
from tasks_app.domain import task_status
from tasks_app.models import TaskCheckpoint


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

    def is_valid_for(self, row: TaskCheckpoint) -> bool:
        """Tell whether the claim holds, or held until its own last chunk."""
        return row.epoch == self.epoch and row.worker == self.worker and row.outcome in ("", task_status.FINISHED)

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
            row = lock_row(task_id)
            if row is None:
                try:
                    with transaction.atomic():
                        TaskCheckpoint.objects.create(
                            task_id=task_id,
                            epoch=above + 1,
                            worker=worker,
                            lease_until=lease_end(),
                            started_at=Now(),
                            updated_at=Now(),
                        )
                except IntegrityError:
                    continue  # somebody else came first: look again
                return Claim(task_id=task_id, epoch=above + 1, worker=worker)
            reopen_as_redis_says(row, above)
            if row.outcome:
                return Refusal(row)
            if row.lease_until is not None and row.worker != worker:
                if not row.has_expired:  # type: ignore[attr-defined]
                    return Refusal(row)
                if not row.cancel_requested and count_missed_heartbeat(row):
                    return Refusal(row)
            if row.cancel_requested:
                end_canceled(row)
                return Refusal(row)
            row.epoch = max(row.epoch, above) + 1
            TaskCheckpoint.objects.filter(task_id=task_id).update(
                epoch=row.epoch,
                worker=worker,
                lease_until=lease_end(),
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
        "lease_until": None if finished else lease_end(),
        "updated_at": Now(),
    }
    if finished:
        changes |= {"outcome": task_status.FINISHED, "ended_at": Now()}
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
    same |= {"epoch": 1, "worker": worker, "outcome": task_status.FINISHED}
    same |= dict.fromkeys(("started_at", "ended_at", "updated_at"), read_clock())
    columns: dict[str, Sequence[Any]] = {name: [value] * len(task_ids) for name, value in same.items()}
    columns |= {"task_id": task_ids, "done": done, "counts": [orjson.dumps(count).decode() for count in counts]}
    insert_columns(TaskCheckpoint, columns)


def renew(held: Claim) -> bool:
    """Renew the lease of a claim that still holds. False: fenced, or let go of meanwhile, and nothing was changed."""
    return bool(_held(held).filter(lease_until__isnull=False).update(lease_until=lease_end()))


def may_continue(held: Claim) -> bool:
    """Tell whether a claim still holds and its task shall not be canceled. Takes no lock."""
    return _held(held).filter(cancel_requested=False).exists()


def read(held: Claim) -> TaskCheckpoint | None:
    """Return the checkpoint as it is once every transaction that had changed it has ended.

    Takes the row's lock for that: the server may still be at a commit whose connection has broken.
    """
    with transaction.atomic():
        return lock_row(held.task_id)


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
        changes |= {"outcome": task_status.FAILED, "ended_at": Now()}
    return bool(_held(held).filter(cancel_requested=False).update(**changes))


def end(held: Claim, *, outcome: str) -> bool:
    """End a task that this worker holds as canceled or stopped. False: fenced, nothing was changed."""
    return bool(_held(held).update(outcome=outcome, ended_at=Now(), lease_until=None, updated_at=Now()))


def _held(held: Claim) -> models.QuerySet[TaskCheckpoint]:
    return TaskCheckpoint.objects.filter(task_id=held.task_id, epoch=held.epoch, outcome="")
