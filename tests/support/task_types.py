"""Task types that do what the catalog's never do: dawdle, fail, crash their process, not know their size.

Like the catalog's they write one row a record, so that a lost or doubled chunk shows in the table.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from rest_framework import serializers

from catalog.id_blocks import reserve_ids
from catalog.models import User
from tasks_app.models import TaskCheckpoint
from tasks_app.task_types import Chunk, ChunkResult, TaskType, register


def insert_users(chunk: Chunk, *, stop: int) -> None:
    """One row a record, from where the chunk starts to `stop`."""
    at = datetime(2024, 1, 1, tzinfo=UTC)
    # Without a state: far above what `reserve_ids` gives out, and the same each time.
    first_id = chunk.state.get("firstId") or ((chunk.task_id.int & 0xFFFF_FFFF_FFFF) | 1 << 48) << 12
    User.objects.bulk_create(
        [
            User(
                id=first_id + position,
                task_id=chunk.task_id,
                position=position,
                first_name="a",
                last_name="b",
                email="a@example.com",
                phone="1",
                city="c",
                birth_date=date(2000, 1, 1),
                created_at=at,
            )
            for position in range(chunk.start, stop)
        ]
    )


class RecordsParams(serializers.Serializer[Any]):
    records = serializers.IntegerField(default=10)
    chunkMs = serializers.IntegerField(default=0)  # every chunk takes so long
    times = serializers.IntegerField(default=0)  # fails so many times before it goes on
    at = serializers.IntegerField(default=0)  # … when it comes to this record


class RecordsTask(TaskType):
    """Base: N records, one row each."""

    params_serializer = RecordsParams
    count_names = ("users",)
    first_limit = 1
    max_limit = 1

    def total(self, params: Mapping[str, Any]) -> int | None:
        return int(params.get("records", 10))

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        self.before(chunk)
        stop = min(chunk.start + chunk.limit, chunk.params.get("records", 10))
        insert_users(chunk, stop=stop)
        time.sleep(chunk.params.get("chunkMs", 0) / 1000)
        done = stop - chunk.start
        return ChunkResult(done, {"users": done}, self.state_after(chunk), self.is_last(chunk, stop))

    def before(self, chunk: Chunk) -> None: ...

    def state_after(self, chunk: Chunk) -> dict[str, Any]:
        return dict(chunk.state)

    def is_last(self, chunk: Chunk, stop: int) -> bool | None:
        return None


@register
class SlowTask(RecordsTask):
    """As slow as `chunkMs` says: one record a chunk."""

    name = "slow"


@register
class StatefulTask(RecordsTask):
    """As `upload` does, it keeps its ids in its state: a chunk that is run again writes the same keys."""

    name = "stateful"

    def prepare_chunks(self, chunks: Any) -> Any:
        [chunk] = chunks
        return chunk.state.get("firstId") or reserve_ids(count=chunk.params["records"])

    def run_chunks(self, chunks: Any, prepared: Any) -> list[ChunkResult]:
        [chunk] = chunks
        state = {"firstId": prepared}
        return [self.run_chunk(Chunk(chunk.task_id, chunk.params, chunk.start, chunk.limit, chunk.total, state))]


@register
class FlakyTask(RecordsTask):
    """Raises `times` times when it comes to record `at`."""

    name = "flaky"

    def before(self, chunk: Chunk) -> None:
        if chunk.start >= chunk.params.get("at", 0):
            failures = TaskCheckpoint.objects.values_list("failures", flat=True).get(task_id=chunk.task_id)
            if failures < chunk.params["times"]:
                raise RuntimeError(f"attempt {failures + 1} of a flaky task")


@register
class CrashTask(RecordsTask):
    """Takes its process with it, as a bug in a C extension does."""

    name = "crash"
    shareable = True

    def before(self, chunk: Chunk) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)


class ExitParams(RecordsParams):
    code = serializers.IntegerField(default=3)


@register
class ExitTask(RecordsTask):
    """Ends its process without a word to anybody."""

    name = "exit"
    params_serializer = ExitParams

    def before(self, chunk: Chunk) -> None:
        os._exit(chunk.params["code"])


@register
class HangTask(RecordsTask):
    """Holds Python's lock for years: no other thread of its process runs any more."""

    name = "hang"

    def before(self, chunk: Chunk) -> None:
        re.match(r"(a+)+$", "a" * 64 + "b")


@register
class BatchedTask(RecordsTask):
    """Shares a chunk with others."""

    name = "small"
    shareable = True
    max_limit = 1000


@register
class SmallErrorTask(BatchedTask):
    """Shares a chunk, and never succeeds."""

    name = "small_error"

    def before(self, chunk: Chunk) -> None:
        raise RuntimeError("never")


@register
class UnknownTotalTask(RecordsTask):
    """Tells only at its end how many records it had; its last chunk is empty."""

    name = "unknown_total"

    def total(self, params: Mapping[str, Any]) -> int | None:
        return None

    def is_last(self, chunk: Chunk, stop: int) -> bool | None:
        return stop <= chunk.start


@register
class SmallClashTask(BatchedTask):
    """Shares a chunk, and writes a key that is there already."""

    name = "small_clash"

    def before(self, chunk: Chunk) -> None:
        insert_users(chunk, stop=chunk.start + 1)


from tests.support import litter_types, rude_types  # noqa: E402, F401 (register theirs; they need those above)
