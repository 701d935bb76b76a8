"""Pauses and resumes queues durably: in the database first, then in Redis.

Owns both requests. Must not know HTTP, nor stop a worker: workers read the pause from Redis.
"""

from __future__ import annotations

import logging
from typing import Any

from django.db import transaction

from tasks_app.auth import audit_log
from tasks_app.errors import (
    QueueUnavailable,
)
from tasks_app.models import AuditEntry, QueueState
from tasks_app.queues import pauses, queue_names
from tasks_app.queues.redis_clock import clock
from tasks_app.resilience.deadlocks import repeat_after_deadlock
from tasks_app.resilience.transient_errors import mapped_database_errors

logger = logging.getLogger(__name__)


def pause_queue(*, queue: str, actor: str, reason: str = "", source: str = audit_log.API) -> None:
    """Pause a queue durably: workers dequeue none of its tasks, and running ones return to it at their next chunk.

    The commit in the database decides: if Redis is unavailable then, rescue applies the pause later.
    Raises UnknownQueue, StoreUnavailable.
    """
    origin = {"source": source, "actor": actor}
    _set_pause(queue, origin, paused_at=clock.now(), paused_by=actor[:64], reason=reason[:255])


def resume_queue(*, queue: str, actor: str, source: str = audit_log.API) -> None:
    """Resume a paused queue. Raises UnknownQueue, StoreUnavailable."""
    _set_pause(queue, {"source": source, "actor": actor}, paused_at=None, paused_by="", reason="")


def _set_pause(name: str, origin: dict[str, str], **values: Any) -> None:
    queue_names.check_queue(name)
    action = AuditEntry.Action.PAUSE if values["paused_at"] else AuditEntry.Action.RESUME

    def store() -> None:
        with transaction.atomic():
            QueueState.objects.update_or_create(name=name, defaults=values)
            audit_log.record(action=action, queue=name, detail=values["reason"], **origin)

    with mapped_database_errors():
        repeat_after_deadlock(store)  # two concurrent first pauses of a queue can deadlock
        try:
            pauses.write_pause(name, paused=values["paused_at"] is not None)
        except QueueUnavailable as error:
            logger.warning("%s of queue %s is in the database; rescue will apply it to Redis: %s", action, name, error)
