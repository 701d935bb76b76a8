"""The task type `purge`: deletes all rows that an upload made."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_noop
from rest_framework import serializers

from catalog.models import OrderItem, Product, User
from tasks_app.task_types import Chunk, ChunkResult, TaskIdField, TaskType, register


class PurgeParams(serializers.Serializer[Any]):
    taskId = TaskIdField()


@register
class PurgeTask(TaskType):
    """Deletes order items first, because they refer to the other rows. Deleting is idempotent: a chunk can run twice.

    The start checks that the caller may delete the upload's rows. An owner never changes, so no chunk checks it again.
    """

    name = "purge"
    description = gettext_noop("Deletes the rows that an upload has inserted.")
    params_serializer = PurgeParams
    undoes = "taskId"
    count_names = ("deleted_order_items", "deleted_products", "deleted_users")

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        counts = dict.fromkeys(self.count_names, 0)
        remaining = chunk.limit
        for name, model in zip(self.count_names, (OrderItem, Product, User), strict=True):
            rows = model.objects.filter(task_id=chunk.params["taskId"]).order_by("position")
            first_kept = rows.values_list("position", flat=True)[remaining:].first()
            if first_kept is not None:
                rows = rows.filter(position__lt=first_kept)
            counts[name], _ = rows.order_by().delete()
            remaining -= counts[name]
        done = sum(counts.values())
        return ChunkResult(done, counts, finished=done < chunk.limit)
