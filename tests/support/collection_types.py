"""Back-fills of order items: one that shows a second visit, because it adds one, and two for the benchmark."""

from __future__ import annotations

from typing import Any

from django.db.models import F

from catalog.models import OrderItem
from tasks_app.task_types import register
from tasks_app.task_types.collections import Backfill, Run


@register
class AddOne(Backfill):
    """Adds one to the quantity of each order item."""

    name = "add_one"

    def collection(self, params: Any) -> Any:
        return OrderItem.objects.all()

    def process(self, rows: list[Any], run: Run) -> dict[str, int]:
        return {"changed": OrderItem.objects.filter(pk__in=[row.pk for row in rows]).update(quantity=F("quantity") + 1)}


@register
class RotateQuantities(Backfill):
    """Gives each order item its next quantity, by bulk_update, as docs/your-own-tasks.md shows it."""

    name = "rotate_quantities"

    def collection(self, params: Any) -> Any:
        return OrderItem.objects.all()

    def process(self, items: list[Any], run: Run) -> None:
        for item in items:
            item.quantity = item.quantity % 9 + 1
        OrderItem.objects.bulk_update(items, ["quantity"])


@register
class RotateQuantitiesAlone(RotateQuantities):
    """The same on one worker."""

    name = "rotate_quantities_alone"
    splittable = False


@register
class AddOneIfSmall(AddOne):
    """The same, and fails for quantities of more than 100."""

    name = "add_one_if_small"
    first_limit = 10
    max_limit = 20

    def process(self, rows: list[Any], run: Run) -> dict[str, int]:
        changed = super().process(rows, run)
        if great := [row.pk for row in rows if row.quantity > 100]:
            raise ValueError(f"the quantity of {great[0]} is too great")
        return changed
