"""The outstanding webhooks: recorded by the mirror, claimed by a sender, and their history.

Owns WebhookDelivery. A delivery is recorded in the transaction that mirrors the task's end, and closed in the one that
writes its history. Between two attempts its row has a due time, so a sender that dies loses nothing. A receiver gets an
end at least once. Must not speak HTTP.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import orjson
from django.db import transaction
from django.db.models import F

from tasks_app.conf import settings
from tasks_app.domain import task_snapshot
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.models import MirrorCursor, TaskEvent, WebhookDelivery
from tasks_app.resilience import set_aside_items
from tasks_app.resilience.retry_delay import get_delay_seconds

CAUSE = "webhook"


def note_ends(snapshots: Sequence[Snapshot]) -> None:
    """Record a delivery for each of these ended tasks. Called in the mirror's transaction."""
    now = datetime.now(UTC)
    WebhookDelivery.objects.bulk_create(
        [
            WebhookDelivery(
                task_id=uuid.UUID(snapshot.id),
                url=snapshot.callback_url,
                snapshot=task_snapshot.encode(snapshot).decode(),
                due_at=now,
            )
            for snapshot in snapshots
        ]
    )


def claim_due(*, limit: int) -> list[WebhookDelivery]:
    """Claim due deliveries and count an attempt for each. No other sender gets them during the attempt."""
    now = datetime.now(UTC)
    due = WebhookDelivery.objects.filter(due_at__lte=now)
    if limit < 1 or not due.exists():  # checks without a lock, because SQLite has a single write lock
        return []
    lease = timedelta(seconds=settings.LONGTASKS.webhook_timeout_seconds * 2 + 30)
    with transaction.atomic():
        claimed = list(due.select_for_update(skip_locked=True).order_by("due_at")[:limit])
        WebhookDelivery.objects.filter(pk__in=[delivery.pk for delivery in claimed]).update(
            due_at=now + lease, attempts=F("attempts") + 1
        )
    for delivery in claimed:
        delivery.attempts += 1
    return claimed


def close(delivery: WebhookDelivery, *, error: str | None, is_final: bool) -> None:
    """Record an attempt in the task's history; delete the delivery, or schedule the next attempt."""
    snapshot = task_snapshot.decode(delivery.snapshot)
    ends = error is None or is_final or delivery.attempts >= settings.LONGTASKS.webhook_attempts
    with transaction.atomic():
        # One writer at a time: streams resume by event id, so ids must grow in commit order.
        list(MirrorCursor.objects.select_for_update())
        TaskEvent.objects.create(
            task_id=delivery.task_id,
            status=snapshot.status,
            cause=CAUSE,
            at=datetime.now(UTC),
            attempt=delivery.attempts,
            done=snapshot.done,
            error=f"{error}; given up" if error is not None and ends else error,
        )
        rows = WebhookDelivery.objects.filter(pk=delivery.pk, attempts=delivery.attempts)
        if ends:
            rows.delete()
        else:
            rows.update(due_at=datetime.now(UTC) + timedelta(seconds=get_retry_delay_seconds(delivery.attempts)))


def set_aside(delivery: WebhookDelivery, error: BaseException) -> None:
    """Set a delivery aside that cannot be sent or recorded."""
    payload = orjson.dumps({"url": delivery.url, "snapshot": delivery.snapshot})
    with transaction.atomic():
        set_aside_items.note(kind=set_aside_items.WEBHOOK, key=str(delivery.task_id), payload=payload, error=error)
        WebhookDelivery.objects.filter(pk=delivery.pk).delete()


def reschedule(*, task_id: uuid.UUID, payload: bytes) -> None:
    """Schedule a set-aside delivery again. Raises ValueError if it still cannot be sent."""
    values = orjson.loads(payload)
    task_snapshot.decode(values["snapshot"])
    WebhookDelivery.objects.create(
        task_id=task_id, url=values["url"], snapshot=values["snapshot"], due_at=datetime.now(UTC)
    )


def get_retry_delay_seconds(attempts: int) -> float:
    """Return the delay before a webhook's next attempt: from WEBHOOK_FIRST_SECONDS to WEBHOOK_MAX_SECONDS, ±20 %."""
    longtasks = settings.LONGTASKS
    return get_delay_seconds(
        attempts, first_seconds=longtasks.webhook_first_seconds, max_seconds=longtasks.webhook_max_seconds
    )


def delivery_id_of(delivery: WebhookDelivery) -> str:
    """Return the id of a delivery for its receiver: the same for each attempt, a new one after a retry of the task."""
    return f"{delivery.task_id}.{task_snapshot.decode(delivery.snapshot).epoch}"
