"""The limits of the columns: lengths of text and ranges of numbers, the same on SQLite and MySQL.

Owns the limits, which come from the models' fields. Descriptive text is cut; a value that has a meaning (an owner, a URL,
a number) is refused. Must not read or write a row.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any, Final

from django.db import models

from tasks_app.conf import queue_names
from tasks_app.domain import priorities, task_status
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.models import AuditEntry, QueueState, TaskEvent, TaskRecord

MOST: Final = 2**63 - 1
ATTEMPTS_MOST: Final = 2**31 - 1  # the maximum of the smallest integer type among the databases


def _length_of_column(model: type[models.Model], name: str) -> int:
    columns = {field.name: field for field in model._meta.concrete_fields}
    return columns[name].max_length or 0


def length_of(*columns: tuple[type[models.Model], str]) -> int:
    """Return the length of text that all these columns can hold."""
    return min(_length_of_column(model, name) for model, name in columns)


ACTOR: Final = length_of((TaskEvent, "actor"), (AuditEntry, "actor"), (QueueState, "paused_by"))
OWNER: Final = length_of((TaskRecord, "owner"), (AuditEntry, "actor"))
# The limits of a snapshot's fields: longer texts are cut (CUT) or refused (REFUSED).
CUT: Final = {
    "actor": ACTOR,
    "worker": length_of((TaskRecord, "worker"), (TaskEvent, "worker")),
    "cause": length_of((TaskEvent, "cause")),
    "description": length_of((TaskRecord, "description"), (AuditEntry, "detail")),
    "request_id": length_of((TaskRecord, "request_id")),
}
REFUSED: Final = {
    "name": length_of((TaskRecord, "name")),
    "owner": OWNER,
    "callback_url": length_of((TaskRecord, "callback_url")),
    "max_failures": length_of((TaskRecord, "max_failures")),
}
_NUMBERS: Final = {
    "done": MOST,
    "failed_records": MOST,
    "total": MOST,
    "attempts": ATTEMPTS_MOST,
    "epoch": ATTEMPTS_MOST,
}
_STATUSES: Final = frozenset(task_status.STATUSES)


def cut_actor(name: str) -> str:
    """Return the name of a person or client, cut to the length of its columns."""
    return name[:ACTOR]


def cut_texts(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with its descriptive texts cut to the length of their columns."""
    changes: dict[str, Any] = {
        name: text[:most] for name, most in CUT.items() if len(text := getattr(snapshot, name)) > most
    }
    return replace(snapshot, **changes) if changes else snapshot


def check(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with cut texts. Raises ValueError that names a value which the read side's columns cannot hold."""
    snapshot = cut_texts(snapshot)
    if str(uuid.UUID(snapshot.id)) != snapshot.id:
        raise ValueError(f"id is {snapshot.id[:80]!r}: a UUID in its form of 36 characters is needed")
    for name, most in REFUSED.items():
        if len(text := getattr(snapshot, name)) > most:
            raise ValueError(f"{name} has {len(text)} characters: {most} at most")
    for name, most in _NUMBERS.items():
        number = getattr(snapshot, name)
        if number is not None and not 0 <= number <= most:
            raise ValueError(f"{name} is {number}: 0 to {most} is needed")
    for table, rows in snapshot.counts.items():
        if not 0 <= rows <= MOST:
            raise ValueError(f"counts[{table[:80]!r}] is {rows}: 0 to {MOST} is needed")
    if snapshot.status not in _STATUSES:
        raise ValueError(f"status is {snapshot.status[:80]!r}: not a valid status")
    if not queue_names.NAME.match(snapshot.priority):  # a queue that QUEUES no longer names is valid
        raise ValueError(f"priority is {snapshot.priority[:80]!r}: not a valid queue name")
    if snapshot.urgency is not None and not priorities.is_urgency(snapshot.urgency):
        raise ValueError(f"urgency is {snapshot.urgency}: 1 to 10 is needed")
    return snapshot
