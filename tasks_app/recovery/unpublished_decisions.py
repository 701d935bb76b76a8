"""Decisions in the database that Redis does not have: cancels and pauses during an outage of Redis.

Owns finding them. A service returns after the commit, and leaves publishing to recovery. Must not move tasks.
"""

from __future__ import annotations

import time
import uuid
from datetime import timedelta
from typing import Final

from django.db.models import DateTimeField, ExpressionWrapper, Value

from tasks_app.database.clock import Now
from tasks_app.domain import task_status
from tasks_app.models import QueueState, TaskCheckpoint, TaskRecord
from tasks_app.queues import pauses, queue_names

SETTLED_SECONDS: Final = 5.0  # a younger decision may be about to be published and mirrored
DAY_SECONDS: Final = 24 * 3600.0
PAGE: Final = 500


class UnpublishedCancels:
    """Canceled tasks whose rows are open. Each search begins at the previous one; the first goes back a day."""

    def __init__(self) -> None:
        self._searched_at: float | None = None

    def find(self) -> list[TaskCheckpoint]:
        """Return their checkpoints."""
        now = time.monotonic()
        seconds = DAY_SECONDS if self._searched_at is None else now - self._searched_at + 2 * SETTLED_SECONDS
        canceled = _list_canceled(newer_than_seconds=seconds)
        found: list[TaskCheckpoint] = []
        for start in range(0, len(canceled), PAGE):
            page = canceled[start : start + PAGE]
            open_ids = list(
                TaskRecord.objects.filter(pk__in=page).exclude(status__in=task_status.ENDED).values_list("pk")
            )
            found += TaskCheckpoint.objects.filter(pk__in=[pk for (pk,) in open_ids])
        self._searched_at = now
        return found


def publish_pauses() -> None:
    """Publish to Redis which queues are paused in the database."""
    in_redis = set(pauses.list_paused())  # read before the database, which a service writes first
    paused = set(
        QueueState.objects.filter(name__in=queue_names.QUEUES).exclude(paused_at=None).values_list("name", flat=True)
    )
    for name in in_redis ^ paused:
        pauses.write_pause(name, paused=name in paused)


def _list_canceled(*, newer_than_seconds: float) -> list[uuid.UUID]:
    rows = TaskCheckpoint.objects.filter(
        outcome=task_status.CANCELED, parent_id=None, updated_at__lt=_ago(SETTLED_SECONDS)
    )
    return list(rows.filter(updated_at__gt=_ago(newer_than_seconds)).values_list("task_id", flat=True))


def _ago(seconds: float) -> ExpressionWrapper:
    return ExpressionWrapper(Now() - Value(timedelta(seconds=seconds)), output_field=DateTimeField())
