"""Inserts the failures of records, in the transaction that moves the checkpoint past them.

Owns the worker's writes to TaskFailure. Must not decide which record has failed (engine/record_isolation.py).
"""

from __future__ import annotations

import uuid

from tasks_app.checkpoints.claims import Claim
from tasks_app.database.clock import Now
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.models import TaskFailure
from tasks_app.task_types.failed_record import FailedRecord, bound_record, describe_failure


def insert_failure(
    claim: Claim, snapshot: Snapshot, *, position: int, record: FailedRecord, error: BaseException
) -> None:
    """Insert the failure of one record of a claimed task; one INSERT. `position` counts from the task's first record.

    Raises IntegrityError if this checkpoint already has a failure at that position.
    """
    code, message = describe_failure(error)
    key, line, values, is_exact = bound_record(record)
    TaskFailure.objects.create(
        task_id=uuid.UUID(snapshot.parent or snapshot.id),
        checkpoint_id=claim.task_id,
        position=position,
        line=line,
        key=key,
        code=code,
        message=message,
        values_json=values,
        values_are_exact=is_exact,
        failed_at=Now(),
    )
