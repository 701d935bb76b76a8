"""The plan of an import: the total, and parts that are read at the same time and together are the file."""

from __future__ import annotations

import gzip
import io

import pytest

from tasks_app.record_files import Columns, Position, ReadOptions, RecordFile
from tasks_app.task_types.imports.plans import plan_import

LINES = b"a\n" + b"".join(b'"%d\nx"\n' % number for number in range(95))


def open_bytes(data: bytes) -> RecordFile:
    return RecordFile(io.BytesIO(data), options=ReadOptions(), columns=Columns(("a",)))


@pytest.mark.parametrize("shard_records", [1, 10, 50, 94, 95])
def test_the_parts_together_are_the_file(shard_records: int) -> None:
    plan = plan_import(open_bytes(LINES), shard_records=shard_records)
    assert (plan.total, plan.is_estimate) == (95, False)
    assert bool(plan.parts) == (shard_records < 95)
    seen = []
    for number, part in enumerate(plan.parts):
        state, size = part.state, part.size
        end = state.get("end")
        assert (end is None) == (number == len(plan.parts) - 1)
        records = list(open_bytes(LINES).read(Position.from_state(state)))
        read = [each for each in records if end is None or each.next.offset <= end]
        assert len(read) == size <= shard_records
        seen += read
    if plan.parts:
        assert seen == list(open_bytes(LINES).read())


def test_there_are_at_most_256_parts() -> None:
    plan = plan_import(open_bytes(b"a\n" + b"1\n" * 1000), shard_records=1)
    assert len(plan.parts) == 250
    assert {part.size for part in plan.parts} == {4}


def test_without_shards_there_is_only_a_total() -> None:
    plan = plan_import(open_bytes(LINES), shard_records=0)
    assert (plan.total, plan.parts) == (95, ())


def test_a_big_file_has_an_estimate() -> None:
    plan = plan_import(open_bytes(b"a\n" + b"12345\n" * 10_000), shard_records=10, most_bytes=6000)
    assert (plan.is_estimate, plan.parts) == (True, ())
    assert 9_900 < plan.total < 10_100


def test_gzip_has_fewer_parts() -> None:
    data = gzip.compress(LINES)
    plan = plan_import(open_bytes(data), shard_records=1)
    assert (plan.total, len(plan.parts)) == (95, 16)
    whole = list(open_bytes(data).read())
    first = 0
    for part in plan.parts:
        records = open_bytes(data).read(Position.from_state(part.state))
        assert next(records) == whole[first]
        first += part.size
    assert first == 95
    bounded = plan_import(open_bytes(gzip.compress(LINES)), shard_records=10, most_bytes=100)
    assert bounded.is_estimate
    assert 10 < bounded.total < 95
