"""The task type `import_products`: inserts the products of a CSV or JSON lines file."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_noop
from rest_framework import serializers

from catalog.id_blocks import reserve_ids
from catalog.models import Product
from tasks_app.task_types import Chunk, register
from tasks_app.task_types.imports import Import, ImportRow, ImportRun


class ProductRow(serializers.Serializer[Any]):
    """A record of the file; its fields are the columns."""

    sku = serializers.CharField(max_length=40)
    name = serializers.CharField(max_length=120)
    category = serializers.CharField(max_length=40, allow_blank=True, default="")
    price = serializers.DecimalField(max_digits=10, decimal_places=2, min_value=0)
    stock = serializers.IntegerField(min_value=0, max_value=2**31 - 1, default=0)


@register
class ImportProductsTask(Import):
    """Reserves the ids of a chunk's rows before its transaction, as the catalog's tables need it."""

    name = "import_products"
    description = gettext_noop("Inserts the products of a CSV or JSON lines file.")
    row_serializer = ProductRow
    count_names = ("products",)

    def prepare_rows(self, rows: Sequence[ImportRow], run: Chunk) -> int:
        return reserve_ids(count=len(rows))

    def process(self, rows: Sequence[ImportRow], run: ImportRun) -> dict[str, int]:
        now = timezone.now()
        Product.objects.bulk_create(
            [
                Product(id=id_, task_id=run.task_id, position=row.position, created_at=now, **row.values)
                for id_, row in enumerate(rows, start=run.prepared)
            ]
        )
        return {"products": len(rows)}

    def count_rows(self, task_id: uuid.UUID) -> dict[str, int]:
        """Count the rows of a task; the table has an index for it."""
        return {"products": Product.objects.filter(task_id=task_id).count()}
