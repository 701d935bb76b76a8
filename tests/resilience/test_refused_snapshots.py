"""A snapshot that cannot be stored is set aside whole, and its neighbours are mirrored in the same step."""

import json
from typing import Any

import pytest

from tasks_app.models import TaskRecord
from tasks_app.queues import redis_connection, snapshot_stream
from tasks_app.read_model.mirror import Mirror
from tasks_app.resilience import set_aside_items
from tests.support.engine import history, mirror, record, start
from tests.support.refused_items import append, changed, items

BIG = 2**64


BAD: dict[str, dict[str, Any]] = {
    "total is negative": {"total": -1},
    "total is too large": {"total": 2**63},
    "counts are too large": {"counts": {"users": BIG}},
    "counts are negative": {"counts": {"users": -1}},
    "counts are floats": {"counts": {"users": 2.0}},
    "counts are text": {"counts": {"users": "5"}},
    "counts are a list": {"counts": [1]},
    "attempts are too many": {"attempts": 2**40},
    "owner is too long": {"owner": "o" * 65},
    "callback URL is too long": {"callback_url": "http://example.com/" + "x" * 500},
    "name is too long": {"name": "n" * 65},
    "status is none": {"status": "done"},
    "priority is none": {"priority": "Middle"},
    "urgency is none": {"urgency": 11},
    "id is none": {"id": "1"},
    "id is a number": {"id": 5},
    "time is none": {"created_at": "yesterday"},
    "time has no zone": {"created_at": "2026-01-01T00:00:00"},
    "another time has no zone": {"started_at": "2026-01-01T00:00:00", "ended_at": "2026-01-01T00:00:00Z", "status": "failed"},
    "time is a number": {"created_at": 5},
    "params are text": {"params": "x"},
    "params are too deep": {"params": json.loads('{"a":' * 500 + "1" + "}" * 500)},
    "error is a number": {"error": 5},
    "epoch is a flag": {"epoch": True},
}  # fmt: skip


@pytest.mark.parametrize("how", BAD)
def test_a_bad_snapshot_is_set_aside_and_its_neighbours_are_mirrored_in_the_same_step(redis: Any, how: str) -> None:
    before, bad = start(), start()
    mirror()
    data = changed(bad, **BAD[how])
    entry_id = append(redis, data)
    after = start()

    reader = Mirror(connection=redis_connection.get_connection())
    assert reader.step() == 2

    assert TaskRecord.objects.filter(pk__in=[before, after]).count() == 2
    assert record(bad).status == "queued"
    [item] = items()
    assert (item.key, bytes(item.payload), item.size, item.tries) == (entry_id, data, len(data), 1)
    assert item.reason.isascii()
    assert item.reason
    assert redis.xlen(snapshot_stream.STREAM_KEY) == 0
    assert history(after) == [("queued", "start")]


@pytest.mark.parametrize(
    "data", [b"", b"no JSON", b"[]", b"null", b'{"id":"', b"\xff\xfe\x00", b'{"id":1}', b'{"a":' * 2000, b'"\\ud800"']
)
def test_an_entry_that_is_not_a_snapshot_is_set_aside_whole(redis: Any, data: bytes) -> None:
    append(redis, data)
    task_id = start()
    assert record(task_id).status == "queued"
    [item] = items()
    assert bytes(item.payload) == data


def test_an_entry_with_other_fields_is_set_aside(redis: Any) -> None:
    redis.xadd(snapshot_stream.STREAM_KEY, {"foreign": b"\xff"})
    reader = Mirror(connection=redis_connection.get_connection())
    assert reader.wait(block_ms=10)
    assert reader.step() == 1
    [item] = items()
    assert "foreign" in set_aside_items.show_payload(item, 100)


def test_long_descriptive_text_is_truncated(redis: Any) -> None:
    task_id = start()
    mirror()
    append(redis, changed(task_id, actor="a" * 94, worker="w" * 300, request_id="r" * 100, description="ñ" * 300))
    found = record(task_id)
    assert items() == []
    assert (len(found.worker), len(found.description)) == (120, 255)
