"""The task type `prune_order_items`: moves old order items to the archive."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_noop

from catalog.models import ArchivedOrderItem, OrderItem
from tasks_app.task_types import Caller, NotAllowed, register
from tasks_app.task_types.collections import Cleanup


@dataclass
class PruneOrderItemsParams:
    orderedBefore: datetime.datetime


@register
class PruneOrderItems(Cleanup):
    """Deletes order items, and keeps a copy of each in the same transaction."""

    description = gettext_noop("Moves order items that are older than a time to the archive.")
    params_class = PruneOrderItemsParams
    archive_to = ArchivedOrderItem
    count_names = ("archived_order_items", "deleted_order_items")

    def authorize(self, params: Any, caller: Caller) -> None:
        """Only an admin may delete the order items of all owners."""
        if not caller.sees_all:
            raise NotAllowed("Only an admin may delete the order items of all owners.")

    def collection(self, params: PruneOrderItemsParams) -> QuerySet[OrderItem]:
        return OrderItem.objects.filter(ordered_at__lt=params.orderedBefore)
