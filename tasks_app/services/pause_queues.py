"""Pauses and resumes queues, durably.

Owns what such a request means. The database decides first, then Redis is told.
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
from tasks_app.resilience.transient_errors import mapped_errors

logger = logging.getLogger(__name__)


def pause_queue(*, queue: str, actor: str, reason: str = "", source: str = audit_log.API) -> None:
    """Pause a queue, durably: workers take nothing from it and leave its tasks at their next chunk.

    Once the database has it, it holds: where Redis can't be told then, rescue tells the workers.
    Raises UnknownQueue, StoreUnavailable.
    """
    who = {"source": source, "actor": actor}
    _set_pause(queue, who, paused_at=clock.now(), paused_by=actor[:64], reason=reason[:255])


def resume_queue(*, queue: str, actor: str, source: str = audit_log.API) -> None:
    """Let workers take tasks from a paused queue again. Raises as `pause_queue` does."""
    _set_pause(queue, {"source": source, "actor": actor}, paused_at=None, paused_by="", reason="")


def _set_pause(name: str, who: dict[str, str], **values: Any) -> None:
    queue_names.check_queue(name)
    action = AuditEntry.Action.PAUSE if values["paused_at"] else AuditEntry.Action.RESUME

    def store() -> None:
        with transaction.atomic():
            QueueState.objects.update_or_create(name=name, defaults=values)
            audit_log.record(action=action, queue=name, detail=values["reason"], **who)

    with mapped_errors():
        repeat_after_deadlock(store)  # two first pauses of a queue at once make one for each other
        try:
            pauses.write_pause(name, paused=values["paused_at"] is not None)
        except QueueUnavailable as error:
            logger.warning("%s of queue %s is in the database; rescue will tell Redis: %s", action, name, error)
