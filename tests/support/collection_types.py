"""A back-fill that shows a second visit: it adds one to each order item."""

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
