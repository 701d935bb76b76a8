"""TaskRecord and Snapshot: the same state of a task, as a row and as an entry of the stream."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Final

from tasks_app.events import Snapshot
from tasks_app.models import TaskRecord

# The columns that carry over as they are.
_SAME: Final = (
    "name",
    "description",
    "params",
    "owner",
    "request_id",
    "callback_url",
    "created_at",
    "priority",
    "status",
    "done",
    "total",
    "counts",
    "attempts",
    "error",
    "worker",
    "epoch",
    "started_at",
    "ended_at",
    "next_attempt_at",
    "cancel_requested",
)
COLUMNS: Final = (*_SAME, "updated_at")


def to_record(snapshot: Snapshot, *, updated_at: datetime) -> TaskRecord:
    """Return the row of a snapshot, unsaved."""
    return TaskRecord(
        id=uuid.UUID(snapshot.id), updated_at=updated_at, **{name: getattr(snapshot, name) for name in _SAME}
    )


def to_snapshot(record: TaskRecord) -> Snapshot:
    """Return the snapshot of a row."""
    return Snapshot(id=str(record.id), **{name: getattr(record, name) for name in _SAME})
