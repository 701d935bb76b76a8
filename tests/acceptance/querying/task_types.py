"""A task type whose parameters query the database when a task is started: the event loop cannot do that."""

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from django.db import connection
from rest_framework import serializers

from tasks_app.task_types import Chunk, ChunkResult, TaskType, register

WAITS_VARIABLE: Final = "QUERYING_WAITS_WHILE"  # path of a file: as long as it exists, a start does not continue


class QueryingParams(serializers.Serializer[Any]):
    number = serializers.IntegerField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s + 1", [attrs["number"]])
            (number,) = cursor.fetchone()
        while Path(os.environ[WAITS_VARIABLE]).exists():
            threading.Event().wait(0.01)
        return {"number": number}


@register
class QueryingTask(TaskType):
    name = "querying"
    params_serializer = QueryingParams
    count_names = ("users",)

    def total(self, params: Mapping[str, Any]) -> int | None:
        return 1

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        return ChunkResult(1, {"users": 0}, {}, True)
