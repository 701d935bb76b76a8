"""The rows of the outbox: which tasks transactions have started and the read model does not know yet.

Owns OutboxTask: adding a row in the caller's transaction, and how many there are. `sweep` deletes them. Must not know Redis.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.db import router, transaction

from tasks_app.domain import task_snapshot
from tasks_app.domain.task_ids import get_time_of_id
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.models import OutboxTask
from tasks_app.queues.redis_clock import clock


@dataclass(frozen=True, slots=True)
class OutboxState:
    """How many tasks are in the outbox, and the age of the oldest one."""

    tasks: int
    oldest_seconds: float


def get_alias() -> str:
    """Return the alias of the outbox's database."""
    return router.db_for_write(OutboxTask)


def is_in_transaction() -> bool:
    """Return whether the caller is inside `atomic()` of the outbox's database."""
    return transaction.get_connection(get_alias()).in_atomic_block


def add(snapshot: Snapshot) -> None:
    """Insert a task's row in the caller's transaction."""
    OutboxTask.objects.bulk_create([OutboxTask(id=uuid.UUID(snapshot.id), snapshot=task_snapshot.encode(snapshot))])


def get_state() -> OutboxState:
    """Return what is in the outbox."""
    tasks = OutboxTask.objects.count()
    oldest = OutboxTask.objects.order_by("pk").values_list("pk", flat=True).first() if tasks else None
    if oldest is None:
        return OutboxState(0, 0.0)
    return OutboxState(tasks, max(0.0, (clock.now() - get_time_of_id(oldest)).total_seconds()))
