"""Task types of which some records fail: one row each for the good ones, and a description of the bad ones.

A record fails as its position says, so that a test knows which records are to be in the list, whatever dies when.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from django.db import connection
from rest_framework import serializers

from catalog.models import User
from tasks_app.task_types import Chunk, ChunkResult, FailedRecord, ListedFailure, RecordRefused, TaskType, register
from tests.support.task_types import insert_users

HOWS = ("value", "validation", "integrity", "swallowed", "signal", "prepare", "named")


class FailingParams(serializers.Serializer[Any]):
    records = serializers.IntegerField(default=10)
    every = serializers.IntegerField(default=0)  # each record fails whose position modulo this is `rest`
    rest = serializers.IntegerField(default=0)
    bad = serializers.ListField(child=serializers.IntegerField(), default=list)  # positions that fail as well
    only = serializers.ListField(child=serializers.IntegerField(), default=list)  # positions to run; empty: all
    how = serializers.ChoiceField(choices=HOWS, default="value")


def fails(params: Mapping[str, Any], position: int) -> bool:
    return position in params["bad"] or (params["every"] > 0 and position % params["every"] == params["rest"])


class FailingTask(TaskType):
    """N records, one row each; the bad ones raise as `how` says."""

    params_serializer = FailingParams
    count_names = ("users",)
    first_limit = 500
    max_limit = 2_000
    isolates_failures = True

    def total(self, params: Mapping[str, Any]) -> int | None:
        return len(params["only"]) or int(params["records"])

    def prepare_chunks(self, chunks: Any) -> Any:
        [chunk] = chunks
        for position in self.positions(chunk):
            if chunk.params["how"] == "prepare" and fails(chunk.params, position):
                raise ValueError(f"record {position} cannot be prepared")

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        positions = self.positions(chunk)
        self.insert(chunk, positions)
        for position in positions:
            if fails(chunk.params, position):
                self.fail(chunk, position)
        return ChunkResult(len(positions), {"users": len(positions)}, {"last": positions[-1]})

    def skip_record(self, chunk: Chunk) -> tuple[ChunkResult, FailedRecord | None]:
        [position] = self.positions(chunk)
        record = FailedRecord(key=position, line=position + 2, values=self.values(position))
        return ChunkResult(1, {}, {"last": position}), record

    def retry_params(self, *, task_id: Any, params: Mapping[str, Any], failures: Iterable[ListedFailure]) -> Any:
        return {**params, "only": [int(failure.key) for failure in failures], "every": 0, "bad": []}

    def positions(self, chunk: Chunk) -> list[int]:
        return chunk.params["only"][chunk.start :][: chunk.limit] or list(range(chunk.start, chunk.start + chunk.limit))

    def values(self, position: int) -> dict[str, Any]:
        return {"position": position, "phone": f"=+{position}"}

    def insert(self, chunk: Chunk, positions: list[int]) -> None:
        if chunk.params["only"]:
            insert_some(chunk, positions)
        else:
            insert_users(chunk, stop=positions[-1] + 1)

    def fail(self, chunk: Chunk, position: int) -> None:
        how = chunk.params["how"]
        if how == "value":
            raise ValueError(f"record {position} is bad")
        if how == "validation":
            raise serializers.ValidationError({"phone": [f"{position} is no number"]})
        if how == "named":
            raise RecordRefused(f"record {position} is bad", position=position)
        if how == "integrity":
            insert_some(chunk, [position])  # the same primary key again, which breaks the transaction
        if how == "swallowed":
            try:
                insert_some(chunk, [position])
            except Exception:  # as a library does that reports errors of rows
                return
        if how == "signal":
            with connection.cursor() as cursor:  # an OperationalError whose cause is the statement
                cursor.execute("SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'refused by a trigger'")


def insert_some(chunk: Chunk, positions: list[int]) -> None:
    """Insert rows at these positions, with the ids that `insert_users` gives."""
    first_id = ((chunk.task_id.int & 0xFFFF_FFFF_FFFF) | 1 << 48) << 12
    User.objects.bulk_create(
        User(
            id=first_id + position, task_id=chunk.task_id, position=position, first_name="a", last_name="b",
            email="a@example.com", phone="1", city="c", birth_date=date(2000, 1, 1),
            created_at=datetime(2024, 1, 1, tzinfo=UTC),
        )
        for position in positions
    )  # fmt: skip


@register
class Failing(FailingTask):
    name = "failing"


@register
class FailingInShards(FailingTask):
    """The same, in shards."""

    name = "failing_shards"
    splittable = True


@register
class FailingUntold(FailingTask):
    """Does not know how many records it has."""

    name = "failing_untold"

    def total(self, params: Mapping[str, Any]) -> int | None:
        return None

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        left = chunk.params["records"] - chunk.start
        result = super().run_chunk(replace(chunk, limit=min(chunk.limit, left)))
        return replace(result, finished=left <= chunk.limit)

    def skip_record(self, chunk: Chunk) -> tuple[ChunkResult, FailedRecord | None]:
        result, record = super().skip_record(chunk)
        return replace(result, finished=chunk.params["records"] - chunk.start == 1), record


@register
class FailingOnce(FailingTask):
    """Has attempts and pauses of its own, and cannot be limited to some records."""

    name = "failing_once"
    attempts = 2
    retry_first_seconds = 0.0
    retry_max_seconds = 0.0
    retry_params = TaskType.retry_params


@register
class FailingWithOddValues(FailingTask):
    """Describes its bad records by values that no table and no CSV likes."""

    name = "failing_oddly"

    def values(self, position: int) -> dict[str, Any]:
        return {
            "nul": "a\x00b",
            "surrogate": "a\udce9b",
            "emoji": "\N{GRINNING FACE}",
            "long": "x" * 1_000_000,
            "formula": "=1+1",
            "na\udce9me": float("nan"),
            "bytes": b"\xff\x00",
            "number": -5,
        }

    def fail(self, chunk: Chunk, position: int) -> None:
        raise ValueError("NUL \x00, surrogate \udce9, emoji \N{GRINNING FACE}, long " + "y" * 1_000_000)
