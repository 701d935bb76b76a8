"""One serializer instance serves all threads: reading and writing leave no state in it."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import pytest
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from tasks_app.api.request_serializers import NewTaskSerializer, read_new_task
from tasks_app.api.response_serializers import ProgressSerializer, TaskSerializer, started_data, task_data
from tasks_app.api.strict_validation import StrictReader, get_reader
from tasks_app.domain.task_snapshot import Snapshot


@pytest.fixture(autouse=True)
def _switch_threads_often() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def _state(reader: StrictReader) -> dict[str, Any]:
    """Return the identity of every attribute of the shared serializer and its fields."""
    held = {f"serializer.{name}": id(value) for name, value in vars(reader.serializer).items()}
    for name, field in reader.serializer.fields.items():
        held |= {f"{name}.{key}": id(value) for key, value in vars(field).items()}
    return held


def test_threads_do_not_see_each_others_input() -> None:
    def read(number: int) -> bool:
        if number % 3 == 0:
            with pytest.raises(ValidationError) as caught:
                read_new_task({"name": "upload", f"field{number}": 1, "params": {"numRecords": -number}})
            return set(caught.value.detail) == {f"field{number}", "params"}
        task = read_new_task({"name": "upload", "description": f"d{number}", "params": {"numRecords": number}})
        return (task.description, task.params, task.priority) == (f"d{number}", {"numRecords": number}, "low")

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(1, 4001)))


def test_reading_leaves_no_state() -> None:
    reader = get_reader(NewTaskSerializer)
    read_new_task({"name": "upload"})
    before = _state(reader)
    read_new_task({"name": "upload", "description": "x", "priority": "high", "params": {"numRecords": 3}})
    with pytest.raises(ValidationError):
        read_new_task({"name": 1, "description": 2, "priority": 3, "params": 4})
    assert _state(reader) == before
    assert not hasattr(reader.serializer, "initial_data")
    assert get_reader(NewTaskSerializer) is reader


def test_input_is_not_changed_nor_kept() -> None:
    body = {"name": "upload", "params": {"numRecords": 3}}
    task = read_new_task(body)
    assert body == {"name": "upload", "params": {"numRecords": 3}}
    assert task.params is not body["params"]


def test_each_thread_writes_its_own_task() -> None:
    now = datetime.now(UTC)

    def write(number: int) -> bool:
        snapshot = Snapshot(id=str(number), name="upload", created_at=now, done=number, counts={"users": number})
        data = started_data(snapshot)
        return (data["id"], data["progress"]["done"], data["insertedRecords"]["users"]) == (str(number), number, number)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(write, range(4000)))


def test_the_direct_output_equals_drfs() -> None:
    snapshot = Snapshot(
        id="0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10",
        name="upload",
        created_at=datetime.now(UTC),
        params={"numRecords": 3},
        counts={"users": 2},
        done=2,
        total=3,
        error="Traceback\nValueError: x",
    )
    lean = task_data(snapshot)
    serializer = TaskSerializer()
    full = serializers.Serializer.to_representation(serializer, snapshot)
    full["progress"] = serializers.Serializer.to_representation(ProgressSerializer(), snapshot)
    times = ("createdAt", "startedAt", "endedAt", "nextAttemptAt")
    assert {k: v for k, v in lean.items() if k not in times} == {k: v for k, v in full.items() if k not in times}
    assert list(lean) == list(full)
    assert [lean[name] for name in times] == list(
        attrgetter("created_at", "started_at", "ended_at", "next_attempt_at")(snapshot)
    )
