"""The task type `upload`: inserts N records of fake data, each a user, a product and an order item."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext_noop
from rest_framework import serializers

from catalog.id_blocks import reserve_ids
from catalog.models import MODELS
from catalog.row_writer import Slice, write_records
from tasks_app.task_types import Chunk, ChunkResult, TaskType, register


class UploadParams(serializers.Serializer[Any]):
    numRecords = serializers.IntegerField(min_value=1, max_value=10_000_000, default=100)


@register
class UploadTask(TaskType):
    """Reserves ids once per task and keeps them in its state, so that a chunk that runs twice writes the same keys."""

    name = "upload"
    description = gettext_noop("Inserts users, products and order items.")
    params_serializer = UploadParams
    count_names = ("users", "products", "order_items")
    shareable = True
    splittable = True

    def total(self, params: Mapping[str, Any]) -> int:
        return params["numRecords"]

    def prepare_split(self, *, task_id: uuid.UUID, params: Mapping[str, Any]) -> dict[str, int]:
        return {"firstId": reserve_ids(count=params["numRecords"])}

    def prepare_chunks(self, chunks: Sequence[Chunk]) -> list[int]:
        """Return the id of record 0 of each chunk's task: from its state, or from one block for all new tasks."""
        wanted = [0 if "firstId" in chunk.state else chunk.params["numRecords"] for chunk in chunks]
        next_id = reserve_ids(count=sum(wanted)) if any(wanted) else 0
        first_ids = []
        for chunk, count in zip(chunks, wanted, strict=True):
            first_ids.append(next_id if count else chunk.state["firstId"])
            next_id += count
        return first_ids

    def run_chunks(self, chunks: Sequence[Chunk], prepared: list[int]) -> list[ChunkResult]:
        slices, results = [], []
        for chunk, first_id in zip(chunks, prepared, strict=True):
            stop = min(chunk.start + chunk.limit, chunk.params["numRecords"])
            slices.append(Slice(chunk.task_id, first_id, chunk.start, stop))
            done = stop - chunk.start
            results.append(ChunkResult(done, dict.fromkeys(self.count_names, done), {"firstId": first_id}))
        write_records(slices=slices)
        return results

    def count_rows(self, task_id: uuid.UUID) -> dict[str, int]:
        """Count the rows of a task; each table has an index for it."""
        return {
            name: model.objects.filter(task_id=task_id).count()
            for name, model in zip(self.count_names, MODELS, strict=True)
        }
