"""Task types whose params name what they do wrong: what they return, raise or leave behind.

Owns the types. Each kind of damage is in its own module. All write rows first, so that the remains of a failed attempt
are visible.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from django.db import DatabaseError, transaction
from rest_framework import serializers

from tasks_app.task_types import Chunk, ChunkResult, TaskType, register
from tests.hostile import canary, damage, raising, recipes
from tests.support.task_types import insert_users

ROWS = 3  # that each chunk writes before its forbidden act


class OddParams(serializers.Serializer[Any]):
    recipe = serializers.CharField(max_length=60_000, trim_whitespace=False)  # JSON


class OddTask(TaskType):
    """Base class: one record, some rows, and the recipe's act."""

    params_serializer = OddParams
    count_names = ("users",)

    def total(self, params: Mapping[str, Any]) -> int | None:
        return 1

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        insert_users(chunk, stop=chunk.start + 1)
        self.act(json.loads(chunk.params["recipe"]), chunk)
        return ChunkResult(1, {"users": 1}, {}, True)

    def act(self, recipe: Any, chunk: Chunk) -> None: ...


@register
class OddResultTask(OddTask):
    """Returns the result of the recipe: {"done", "counts", "state", "finished"}, {"whole"} or {"list"}."""

    name = "odd_result"

    def run_chunks(self, chunks: Any, prepared: Any) -> Any:
        [chunk] = chunks
        insert_users(chunk, stop=chunk.start + 1)
        recipe = json.loads(chunk.params["recipe"])
        if "list" in recipe:
            return recipes.build(recipe["list"])
        if "whole" in recipe:
            return [recipes.build(recipe["whole"])]
        fields = {"done": ["int", "1"], "counts": ["dict", [[["text", "users"], ["int", "1"]]]], "state": ["dict", []]}
        fields |= {"finished": ["bool", True]} | recipe
        return [ChunkResult(**{name: recipes.build(value) for name, value in fields.items()})]


@register
class OddTotalTask(OddTask):
    """Has the total of the recipe."""

    name = "odd_total"

    def total(self, params: Mapping[str, Any]) -> Any:
        recipe = json.loads(params["recipe"])
        if recipe[0] == "raise":
            raising.raise_it(recipe[1])
        return recipes.build(recipe)


@register
class OddErrorTask(OddTask):
    """Raises the recipe's exception."""

    name = "odd_error"

    def act(self, recipe: Any, chunk: Chunk) -> None:
        raising.raise_it(recipe)


@register
class OddPreparationTask(OddErrorTask):
    """Raises it before the transaction."""

    name = "odd_preparation"

    def prepare_chunks(self, chunks: Any) -> Any:
        raising.raise_it(json.loads(chunks[0].params["recipe"]))

    def act(self, recipe: Any, chunk: Chunk) -> None: ...


@register
class OddSmallErrorTask(OddErrorTask):
    """Raises it in a batch."""

    name = "odd_small_error"
    shareable = True


@register
class OddActTask(OddTask):
    """Does the recipe's damage to its connection or process, and returns a valid result."""

    name = "odd_act"

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        insert_users(chunk, stop=ROWS - 1)
        damage.do(json.loads(chunk.params["recipe"]), chunk)
        insert_users(_after(chunk, ROWS - 1), stop=ROWS)
        return ChunkResult(1, {"users": ROWS}, {}, True)


@register
class ImpatientTask(OddTask):
    """Has a shorter time limit than its chunk needs."""

    name = "odd_impatient"
    chunk_timeout_seconds = 1

    def act(self, recipe: Any, chunk: Chunk) -> None:
        time.sleep(recipe)


@register
class CanaryTask(OddTask):
    """Fails if an earlier task has left a trace in this process."""

    name = "odd_canary"

    def act(self, recipe: Any, chunk: Chunk) -> None:
        found = canary.find_leftovers()
        if found:
            raise RuntimeError("left behind by an earlier task: " + "; ".join(found))


class RowsParams(serializers.Serializer[Any]):
    base = serializers.IntegerField(min_value=0)  # the first of its own rows
    rows = serializers.IntegerField(min_value=1, max_value=1000)
    way = serializers.ChoiceField(("bare", "atomic", "everything"))
    rowMs = serializers.IntegerField(min_value=0, max_value=1000, default=2)
    backwards = serializers.BooleanField(default=False)  # locks its rows in reverse order


@register
class SkipBadRowsTask(TaskType):
    """Writes row by row and skips refused rows, as importers do; counts the rows that it believes written."""

    name = "odd_skip_bad_rows"
    params_serializer = RowsParams
    count_names = ("users",)
    first_limit = max_limit = 1000

    def total(self, params: Mapping[str, Any]) -> int | None:
        return params["rows"]

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        written = 0
        for position in range(chunk.start, chunk.start + chunk.limit):
            written += self._write(chunk, position)
            time.sleep(chunk.params["rowMs"] / 1000)
        return ChunkResult(chunk.limit, {"users": written})

    def _write(self, chunk: Chunk, position: int) -> int:
        place = chunk.params["rows"] - 1 - position if chunk.params["backwards"] else position
        row = chunk.params["base"] + place
        way = chunk.params["way"]
        caught = BaseException if way == "everything" else DatabaseError
        try:
            if way == "atomic":
                with transaction.atomic():
                    damage.touch(row)
                    insert_users(_after(chunk, position), stop=position + 1)
            else:
                damage.touch(row)
                insert_users(_after(chunk, position), stop=position + 1)
        except caught:
            return 0
        return 1


def _after(chunk: Chunk, start: int) -> Chunk:
    return Chunk(chunk.task_id, chunk.params, start, chunk.limit, chunk.total, chunk.state)
