"""The task type `export_order_items`: order items as a CSV file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_noop
from rest_framework import serializers

from catalog.models import OrderItem
from tasks_app.task_types import Caller, NotAllowed, TaskIdField, register
from tasks_app.task_types.exports import Export


class ExportOrderItemsParams(serializers.Serializer[Any]):
    taskId = TaskIdField(required=False, help_text="Only the order items of this upload. Required without scope admin.")


@register
class ExportOrderItems(Export):
    """Without `taskId`, the rows of all owners are in the file: a caller needs the scope that sees them all."""

    name = "export_order_items"
    description = gettext_noop("Writes order items to a CSV file.")
    params_serializer = ExportOrderItemsParams
    file_name = "order_items.csv"
    columns = ("id", "user_id", "user__email", "product__sku", "quantity", "unit_price", "total", "ordered_at")

    def authorize(self, params: Mapping[str, Any], caller: Caller) -> None:
        if "taskId" not in params and not caller.sees_all:
            raise NotAllowed("Name one of your uploads, or use a token of scope admin.", field="taskId")

    def collection(self, params: Mapping[str, Any]) -> QuerySet[OrderItem]:
        items = OrderItem.objects.all()
        return items.filter(task_id=params["taskId"]) if "taskId" in params else items
