"""The oracle finds each kind of damage that is done on purpose."""

import json
import time
import uuid
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection

from catalog.models import OrderItem, User
from catalog.row_writer import Slice, write_with_orm
from catalog.task_types import UploadTask
from tasks_app.models import TaskCheckpoint, TaskRecord
from tests.chaos.clients import Accepted
from tests.chaos.odd_mix import DEATH_WORDS, KINDS
from tests.chaos.oracle import Oracle
from tests.chaos.report import Report, percentile, summary


class StoresOfThisProcess:
    """Replaces the stack, of which the oracle uses only SQL and Redis."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis

    def sql(self, statement: str, *parameters: Any) -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return list(cursor.fetchall())

    @contextmanager
    def redis(self) -> Any:
        yield self._redis


@pytest.fixture
def world(transactional_db: None, redis: Any) -> Any:
    """A correctly finished upload of ten records, and its oracle."""
    task_id = uuid.uuid4()
    write_with_orm(slices=[Slice(task_id, 5000, 0, 10)])
    same = {"done": 10, "counts": dict.fromkeys(UploadTask.count_names, 10), "epoch": 1}
    now = "2024-01-01T00:00:00Z"
    TaskCheckpoint.objects.create(task_id=task_id, outcome="finished", updated_at=now, **same)
    TaskRecord.objects.create(
        id=task_id, name="upload", priority="low", status="finished", created_at=now, updated_at=now, **same
    )
    return SimpleNamespace(
        oracle=Oracle(StoresOfThisProcess(redis)),  # type: ignore[arg-type]
        tasks=[Accepted(str(task_id), "upload", 10, time.time())],
        id=task_id,
    )


def test_a_correct_task_has_no_finding(world: Any) -> None:
    assert world.oracle.list_open(world.tasks) == []
    assert world.oracle.judge(world.tasks).is_well
    assert world.oracle.statuses == {"finished": 1}


def test_a_missing_row_is_lost(world: Any) -> None:
    OrderItem.objects.filter(task_id=world.id, position=3).delete()
    assert len(world.oracle.judge(world.tasks).lost) == 1


def test_a_duplicated_row_is_found(world: Any) -> None:
    row = User.objects.get(task_id=world.id, position=3)
    row.pk = 9999
    row.save(force_insert=True)
    verdict = world.oracle.judge(world.tasks)
    assert len(verdict.duplicated) == 1
    assert not verdict.is_well


def test_a_task_that_never_ended_is_lost(world: Any) -> None:
    TaskRecord.objects.update(status="started")
    assert world.oracle.list_open(world.tasks) == world.tasks
    assert len(world.oracle.judge(world.tasks).lost) == 1


def test_an_unknown_task_is_lost(world: Any) -> None:
    TaskRecord.objects.all().delete()
    assert world.oracle.list_unknown(world.tasks) == world.tasks
    assert len(world.oracle.judge(world.tasks).lost) == 1


@pytest.mark.parametrize("changes", [{"status": "failed"}, {"done": 9}, {"counts": {"users": 1}}])
def test_a_contradicting_task_row_disagrees(world: Any, changes: dict[str, Any]) -> None:
    TaskRecord.objects.update(**changes)
    assert world.oracle.judge(world.tasks).disagreeing


def test_unreported_rows_of_a_canceled_task_are_found(world: Any) -> None:
    TaskRecord.objects.update(status="canceled", done=9)
    TaskCheckpoint.objects.update(outcome="canceled", done=9)
    assert not world.oracle.judge(world.tasks).is_well


def test_leftovers_in_redis_are_found(world: Any, redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert world.oracle._list_leftovers() == []
    redis.hset("rq:job:x", "status", "queued")
    redis.zadd("rq:wip:low", {"x:w": 1})
    redis.xadd("longtasks:events", {"s": "{}"})
    assert len(world.oracle._list_leftovers()) == 3


def test_the_report_lists_the_findings(world: Any) -> None:
    OrderItem.objects.filter(task_id=world.id).delete()
    report = Report(verdict=world.oracle.judge(world.tasks), recovery_seconds=[0.5, 1.0])
    data = json.loads(json.dumps(report.to_json()))
    assert data["lost"] == 1
    assert str(world.id) in report.to_markdown()


def test_figures_are_formatted() -> None:
    assert percentile([float(number) for number in range(1, 101)], 99) == 99
    assert summary([1.0, 3.0]) == {"n": 2, "p50": 2.0, "p99": 3.0, "max": 3.0}
    assert summary([]) == {"n": 0}


@pytest.mark.parametrize(
    ("status", "error", "is_well"),
    [
        ("failed", "SystemExit: 0", True),
        ("failed", DEATH_WORDS[0], True),
        ("failed", "something else", False),
        ("finished", "", False),
    ],
)
def test_an_odd_task_must_end_with_its_error(world: Any, status: str, error: str, is_well: bool) -> None:
    odd = next(kind for kind in KINDS if kind.kind == "raises SystemExit")
    task = replace(world.tasks[0], name=odd.name, records=1, odd=odd)
    OrderItem.objects.all().delete()
    User.objects.all().delete()
    same: dict[str, Any] = {"done": 0, "counts": {}}
    if status == "finished":
        write_with_orm(slices=[Slice(world.id, 6000, 0, 1)])
        same = {"done": 1, "counts": {"users": 1}}
    TaskRecord.objects.update(name=odd.name, status=status, error=error, **same)
    TaskCheckpoint.objects.update(outcome=status, **same)
    verdict = world.oracle.judge([task])
    assert verdict.is_well == is_well, verdict
    assert world.oracle.odd == {"raises SystemExit": 1}
