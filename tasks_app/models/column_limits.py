"""What the columns hold: lengths of text and ranges of numbers, on SQLite as on MySQL.

Owns the limits, which it takes from the models' fields. Text that only describes is cut; a value that means something
(an owner, a URL, a number) is refused. Must not read or write a row.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any, Final

from django.db import models

from settings import queues
from tasks_app.domain import priorities, task_status
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.models import AuditEntry, QueueState, TaskEvent, TaskRecord

MOST: Final = 2**63 - 1
ATTEMPTS_MOST: Final = 2**31 - 1  # the smallest of what the databases' integers hold


def _field(model: type[models.Model], name: str) -> models.Field[Any, Any]:
    field = model._meta.get_field(name)
    assert isinstance(field, models.Field)
    return field


def length_of(*columns: tuple[type[models.Model], str]) -> int:
    """Return the length of text that each of these columns holds."""
    return min(_field(model, name).max_length or 0 for model, name in columns)


ACTOR: Final = length_of((TaskEvent, "actor"), (AuditEntry, "actor"), (QueueState, "paused_by"))
OWNER: Final = length_of((TaskRecord, "owner"), (AuditEntry, "actor"))
# Of a snapshot: what is cut, and what is refused.
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
}
_NUMBERS: Final = {"done": MOST, "total": MOST, "attempts": ATTEMPTS_MOST, "epoch": ATTEMPTS_MOST}
_STATUSES: Final = frozenset(task_status.STATUSES)


def cut_actor(name: str) -> str:
    """Return the name of a person or client as the columns for it hold it."""
    return name[:ACTOR]


def cut_texts(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with its describing texts cut to what the columns hold."""
    changes: dict[str, Any] = {
        name: text[:most] for name, most in CUT.items() if len(text := getattr(snapshot, name)) > most
    }
    return replace(snapshot, **changes) if changes else snapshot


def check(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot as the read side's columns hold it. Raises ValueError that names what they do not hold."""
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
        raise ValueError(f"status is {snapshot.status[:80]!r}: no status of tasks")
    if not queues.NAME.match(snapshot.priority):  # also a queue that QUEUES names no longer
        raise ValueError(f"priority is {snapshot.priority[:80]!r}: no queue")
    if snapshot.urgency is not None and not priorities.is_urgency(snapshot.urgency):
        raise ValueError(f"urgency is {snapshot.urgency}: 1 to 10 is needed")
    return snapshot
