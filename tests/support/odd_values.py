"""A task type that writes one row and then returns or raises what its params name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from rest_framework import serializers

from tasks_app.task_types import Chunk, ChunkResult, HopelessError, TaskType, register
from tests.support.task_types import insert_users

DAY = datetime(2024, 1, 1, tzinfo=UTC)


def _raise(error: BaseException) -> Any:
    raise error


RESULTS: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "negative": lambda: ChunkResult(-1, {}),
    "huge count": lambda: ChunkResult(1, {"users": 2**64}),
    "real count": lambda: ChunkResult(1, {"users": 2.0}),  # type: ignore[dict-item]
    "int key": lambda: ChunkResult(1, {2024: 5}),  # type: ignore[dict-item]
    "nan": lambda: ChunkResult(math.nan, {}),  # type: ignore[arg-type]
    "datetime": lambda: ChunkResult(1, {}, {"at": DAY}),
    "bytes": lambda: ChunkResult(1, {}, {"at": b"x"}),
    "silent": lambda: ChunkResult(0, {}),
    "surrogate": lambda: _raise(RuntimeError("caf\udce9 could not be read")),
    "long": lambda: _raise(ValueError("x" * 5_000_000)),
    "hopeless": lambda: _raise(HopelessError("the file is gone")),
}
TOTALS: dict[str, Any] = {"huge total": 2**70, "negative total": -1, "text total": "5"}


class OddParams(serializers.Serializer[Any]):
    which = serializers.CharField()


@register
class OddValues(TaskType):
    """Declares two counts and returns neither in the valid case."""

    name = "odd_values"
    params_serializer = OddParams
    count_names = ("users", "others")

    def total(self, params: Mapping[str, Any]) -> int | None:
        return TOTALS.get(params["which"], None if params["which"] == "no total" else 1)  # type: ignore[no-any-return]

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        insert_users(chunk, stop=chunk.start + 1)
        which = chunk.params["which"]
        return RESULTS[which]() if which in RESULTS else ChunkResult(1, {"users": 1}, finished=True)
