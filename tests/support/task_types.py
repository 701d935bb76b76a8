"""Task types that dawdle, fail, crash their process or do not know their size, as the catalog's never do.

Like the catalog's they write one row a record, so that a lost or duplicated chunk shows in the table.
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
    """Insert one row a record, from the chunk's start to `stop`."""
    at = datetime(2024, 1, 1, tzinfo=UTC)
    # Without a state: far above the ids of `reserve_ids`, and the same each time.
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
    chunkMs = serializers.IntegerField(default=0)  # duration of each chunk
    times = serializers.IntegerField(default=0)  # number of failures before it continues
    at = serializers.IntegerField(default=0)  # fails at this record


class RecordsTask(TaskType):
    """Base class: N records, one row each."""

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
    """Takes `chunkMs` for each chunk of one record."""

    name = "slow"


@register
class StatefulTask(RecordsTask):
    """Keeps its ids in its state, as `upload` does: a repeated chunk writes the same keys."""

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
    """Raises `times` times at record `at`."""

    name = "flaky"

    def before(self, chunk: Chunk) -> None:
        if chunk.start >= chunk.params.get("at", 0):
            failures = TaskCheckpoint.objects.values_list("failures", flat=True).get(task_id=chunk.task_id)
            if failures < chunk.params["times"]:
                raise RuntimeError(f"attempt {failures + 1} of a flaky task")


@register
class CrashTask(RecordsTask):
    """Kills its process, as a bug in a C extension does."""

    name = "crash"
    shareable = True

    def before(self, chunk: Chunk) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)


class ExitParams(RecordsParams):
    code = serializers.IntegerField(default=3)


@register
class ExitTask(RecordsTask):
    """Ends its process silently."""

    name = "exit"
    params_serializer = ExitParams

    def before(self, chunk: Chunk) -> None:
        os._exit(chunk.params["code"])


@register
class HangTask(RecordsTask):
    """Holds Python's GIL for years, so that no other thread of its process runs."""

    name = "hang"

    def before(self, chunk: Chunk) -> None:
        re.match(r"(a+)+$", "a" * 64 + "b")


@register
class BatchedTask(RecordsTask):
    """Runs in a batch with others."""

    name = "small"
    shareable = True
    max_limit = 1000


@register
class SmallErrorTask(BatchedTask):
    """Runs in a batch and never succeeds."""

    name = "small_error"

    def before(self, chunk: Chunk) -> None:
        raise RuntimeError("never")


@register
class UnknownTotalTask(RecordsTask):
    """Has an unknown total until its end; its last chunk is empty."""

    name = "unknown_total"

    def total(self, params: Mapping[str, Any]) -> int | None:
        return None

    def is_last(self, chunk: Chunk, stop: int) -> bool | None:
        return stop <= chunk.start


@register
class SmallClashTask(BatchedTask):
    """Runs in a batch and writes a key that exists already."""

    name = "small_clash"

    def before(self, chunk: Chunk) -> None:
        insert_users(chunk, stop=chunk.start + 1)


# These register their own types, and need those above.
from tests.support import collection_types, failing_types, litter_types, rude_types  # noqa: E402, F401
