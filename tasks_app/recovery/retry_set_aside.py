"""An operator's requests for set-aside items: apply one again by the code that refused it, or drop it.

Owns what these requests mean, and records them in the audit. Must not know HTTP.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from django.db import transaction
from django.db.models import F

from tasks_app.auth import audit_log
from tasks_app.errors import LongtasksError
from tasks_app.models import AuditEntry, SetAsideItem
from tasks_app.outbox.sweep import push_again
from tasks_app.queues import redis_connection
from tasks_app.read_model.mirror import Mirror
from tasks_app.read_model.task_totals import TotalsDelta
from tasks_app.recovery.rescuer import Rescuer
from tasks_app.resilience import set_aside_items
from tasks_app.resilience.batch_isolation import is_outage
from tasks_app.resilience.transient_errors import mapped_database_errors
from tasks_app.webhooks import deliveries

APPLIED: Final = "applied"
OUTDATED: Final = "outdated"
REFUSED: Final = "refused"


class UnknownItem(LongtasksError):
    """There is no such item (any more)."""

    def __init__(self, item_id: int) -> None:
        super().__init__(f"There is no set-aside item {item_id}.")


@dataclass(frozen=True, slots=True)
class RetryResult:
    """The outcome of a retry: applied, outdated (the task has a newer state) or refused, with the reason."""

    outcome: str
    reason: str = ""


def try_again(*, item_id: int, actor: str, source: str) -> RetryResult:
    """Apply an item again, and delete it unless it is refused again.

    Raises UnknownItem, StoreUnavailable, QueueUnavailable.
    """
    with mapped_database_errors(), redis_connection.mapped_redis_errors():
        item = _find(item_id)
        audit_log.record(action=AuditEntry.Action.TRY_AGAIN, source=source, actor=actor, detail=str(item))
        try:
            with transaction.atomic():
                item = _find(item_id, lock=True)  # a concurrent retry then finds no item
                is_current = _apply(item)
                item.delete()
        except UnknownItem:
            raise
        except Exception as error:
            if is_outage(error):
                raise
            reason = set_aside_items.describe(error)
            SetAsideItem.objects.filter(pk=item_id).update(
                tries=F("tries") + 1, last_at=datetime.now(UTC), reason=reason
            )
            return RetryResult(REFUSED, reason)
        return RetryResult(APPLIED if is_current else OUTDATED)


def drop(*, item_id: int, actor: str, source: str) -> None:
    """Delete an item for good. Raises UnknownItem, StoreUnavailable."""
    with mapped_database_errors(), transaction.atomic():
        item = _find(item_id)
        item.delete()
        detail = f"{item}: {item.reason}"
        audit_log.record(action=AuditEntry.Action.DROP, source=source, actor=actor, detail=detail)


def _find(item_id: int, *, lock: bool = False) -> SetAsideItem:
    items = SetAsideItem.objects.select_for_update() if lock else SetAsideItem.objects
    try:
        return items.get(pk=item_id)
    except (SetAsideItem.DoesNotExist, OverflowError):
        raise UnknownItem(item_id) from None


def _apply(item: SetAsideItem) -> bool:
    payload = bytes(item.payload)
    if item.size > len(payload):
        raise ValueError(f"only {len(payload)} of its {item.size} bytes were kept")
    connection = redis_connection.get_connection()
    if item.kind == set_aside_items.SNAPSHOT:
        return Mirror(connection=connection).apply_again((item.key, payload))
    if item.kind == set_aside_items.WEBHOOK:
        deliveries.reschedule(task_id=uuid.UUID(item.key), payload=payload)
    elif item.kind == set_aside_items.TASK:
        Rescuer(connection=connection).requeue(uuid.UUID(item.key))
    elif item.kind == set_aside_items.OUTBOX:
        push_again(task_id=uuid.UUID(item.key), data=payload)
    else:
        totals = TotalsDelta()
        name, _, number = payload.decode().rpartition(" ")
        totals.add_total(name, int(number))
        for _, _, error in totals.save(connection):
            raise error
    return True
