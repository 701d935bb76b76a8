"""Task types with and without a dry run, that write one row for each record."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from rest_framework import serializers

from catalog.models import User
from tasks_app.task_types import Chunk, ChunkResult, RowChange, TaskType, register
from tests.support.failing_types import FailingTask
from tests.support.task_types import insert_users


@register
class FailingDry(FailingTask):
    """Some records fail, as their params say."""

    name = "failing_dry"
    supports_dry_run = True

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        result = super().run_chunk(chunk)
        changes = [
            RowChange(None, {"position": position}, model="catalog.User", key=position, offset=offset)
            for offset, position in enumerate(self.positions(chunk))
        ]
        return ChunkResult(result.done, result.counts, result.state, changes=changes)


@register
class FailingDryInShards(FailingDry):
    name = "failing_dry_shards"
    splittable = True


class DryParams(serializers.Serializer[Any]):
    records = serializers.IntegerField(default=10)


@register
class Batchable(TaskType):
    """Small tasks of it share a transaction, and dry runs do not. Notes the hooks that run after a commit."""

    name = "dry_batchable"
    params_serializer = DryParams
    count_names = ("users",)
    shareable = True
    supports_dry_run = True
    committed: list[str] = []

    def total(self, params: Any) -> int:
        return int(params["records"])

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        stop = min(chunk.start + chunk.limit, chunk.params["records"])
        insert_users(chunk, stop=stop)
        transaction.on_commit(lambda: self.committed.append(str(chunk.task_id)))
        assert User.objects.filter(task_id=chunk.task_id).count() == stop - (chunk.start if chunk.is_dry_run else 0)
        return ChunkResult(stop - chunk.start, {"users": stop - chunk.start})
