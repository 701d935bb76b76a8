"""Task types of which the params say what they do wrong: what they return, raise, leave behind.

Owns the types. How to do each kind of damage stands in the modules beside it. All write rows first, so that what stays
of a failed attempt shows.
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

ROWS = 3  # that each chunk writes before it does what it should not


class OddParams(serializers.Serializer[Any]):
    recipe = serializers.CharField(max_length=60_000, trim_whitespace=False)  # JSON


class OddTask(TaskType):
    """Base: one record, some rows, and what the recipe says."""

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
    """Returns what the recipe says: {"done", "counts", "state", "finished"}, {"whole"} or {"list"}."""

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
    """Has the total that the recipe says."""

    name = "odd_total"

    def total(self, params: Mapping[str, Any]) -> Any:
        recipe = json.loads(params["recipe"])
        if recipe[0] == "raise":
            raising.raise_it(recipe[1])
        return recipes.build(recipe)


@register
class OddErrorTask(OddTask):
    """Raises what the recipe says."""

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
    """Raises it in a chunk that it shares with others."""

    name = "odd_small_error"
    shareable = True


@register
class OddActTask(OddTask):
    """Does to its connection or its process what the recipe names, and returns as if nothing had been."""

    name = "odd_act"

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        insert_users(chunk, stop=ROWS - 1)
        damage.do(json.loads(chunk.params["recipe"]), chunk)
        insert_users(_after(chunk, ROWS - 1), stop=ROWS)
        return ChunkResult(1, {"users": ROWS}, {}, True)


@register
class ImpatientTask(OddTask):
    """Has less time for a chunk than it takes."""

    name = "odd_impatient"
    chunk_timeout_seconds = 1

    def act(self, recipe: Any, chunk: Chunk) -> None:
        time.sleep(recipe)


@register
class CanaryTask(OddTask):
    """Fails where an earlier task has left something behind in this process."""

    name = "odd_canary"

    def act(self, recipe: Any, chunk: Chunk) -> None:
        found = canary.find_leftovers()
        if found:
            raise RuntimeError("left behind by an earlier task: " + "; ".join(found))


class RowsParams(serializers.Serializer[Any]):
    base = serializers.IntegerField(min_value=0)  # the first of the rows that are its own
    rows = serializers.IntegerField(min_value=1, max_value=1000)
    way = serializers.ChoiceField(("bare", "atomic", "everything"))
    rowMs = serializers.IntegerField(min_value=0, max_value=1000, default=2)
    backwards = serializers.BooleanField(default=False)  # takes its rows' locks in the other order


@register
class SkipBadRowsTask(TaskType):
    """Writes row by row and skips what the database refuses, as importers do; counts what it believes to have written."""

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
