"""Exports of users that the tests run: with few rows in each chunk, and in other formats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers

from catalog.models import User
from tasks_app.models import TaskRecord
from tasks_app.task_types import Chunk, ChunkResult, TaskFileField, TaskType, open_file, register, write_artifact
from tasks_app.task_types.exports import Export
from tasks_app.task_types.exports.row_formats import JSON_LINES


class ManyChunks(Export):
    columns = ("id", "first_name", "created_at")
    first_limit = 3
    max_limit = 3

    def collection(self, params: Mapping[str, Any]) -> QuerySet[Any]:
        return User.objects.all()


@register
class ExportUsers(ManyChunks):
    name = "export_users"


@register
class ExportUsersJson(ManyChunks):
    name = "export_users_json"
    file_format = JSON_LINES
    is_compressed = True


@register
class ExportRecords(ManyChunks):
    """A table whose key is a UUID, with all of its columns."""

    name = "export_records"
    columns = ()

    def collection(self, params: Mapping[str, Any]) -> QuerySet[Any]:
        return TaskRecord.objects.all()


class FileParams(serializers.Serializer[Any]):
    file = TaskFileField()
    others = serializers.ListField(child=TaskFileField(), required=False)


@register
class CountLines(TaskType):
    """Reads a file, and leaves a result and an artifact."""

    name = "count_lines"
    params_serializer = FileParams
    count_names = ("lines",)
    leaves_results = True

    def prepare_chunks(self, chunks: Any) -> Any:
        with open_file(chunks[0].params["file"]) as file:
            lines = file.read().splitlines()
        return len(lines), write_artifact(
            chunks[0], "reversed.txt", [b"\n".join(reversed(lines))], content_type="text/x"
        )

    def run_chunks(self, chunks: Any, prepared: Any) -> list[ChunkResult]:
        lines, artifact = prepared
        return [ChunkResult(lines, {"lines": lines}, finished=True, result={"lines": lines}, artifacts=[artifact])]


@register
class LeavesUndeclared(TaskType):
    """Returns a result without `leaves_results`."""

    name = "leaves_undeclared"
    params_serializer = serializers.Serializer

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        return ChunkResult(1, {}, finished=True, result={"a": 1})
