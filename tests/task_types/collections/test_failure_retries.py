"""A task of the failed rows alone: found by their keys, in the collection still, and each once."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

import pytest
from django.db import transaction

from tasks_app.errors import FailuresNotRetried, HopelessError
from tasks_app.models import TaskCheckpoint, TaskFailure
from tasks_app.services import change_tasks, start_tasks
from tasks_app.services.retry_failures import retry_failures
from tasks_app.task_types import Chunk
from tasks_app.task_types.collections import Backfill, Cleanup, Run, listed_rows
from tasks_app.task_types.failure_lists import RETRIED, FailureRange
from tests.support.engine import checkpoint, mirror
from tests.task_types.collections.conftest import Registered, run_all
from tests.task_types.collections.keyed_rows import KEYS
from tests.task_types.collections.models import Number

pytestmark = pytest.mark.django_db(transaction=True)
ROWS = 60
BAD = [1, 30, 31, 32, 60]


@dataclasses.dataclass
class Notes:
    prefix: str = "n"


class VisitGood(Backfill):
    """Counts a visit of each row, and fails for the bad ones."""

    params_class = Notes
    bad: frozenset[Any] = frozenset(BAD)

    def collection(self, params: Any) -> Any:
        assert isinstance(params, Notes)
        return Number.objects.filter(note__startswith=params.prefix)

    def process(self, rows: list[Any], run: Run) -> dict[str, int]:
        for row in rows:
            row.visits += 1
        type(rows[0]).objects.bulk_update(rows, ["visits"])
        if bad := [row.pk for row in rows if row.pk in self.bad]:
            raise ValueError(f"row {bad[0]} is bad")
        return {"visited": len(rows)}


@pytest.fixture
def numbers() -> None:
    Number.objects.bulk_create(Number(id=key, note=f"n{key}") for key in range(1, ROWS + 1))


def run(name: str) -> str:
    task = start_tasks.NewTask(name=name, params={}, max_failures="100%")
    task_id = start_tasks.start_task(task=task).snapshot.id
    run_all(workers=2)
    mirror()
    return task_id


def retry(task_id: str) -> str:
    new = retry_failures(task_id=task_id).snapshot.id
    run_all(workers=2)
    mirror()
    return new


def list_keys(task_id: str) -> list[str]:
    failures = TaskFailure.objects.filter(task_id=task_id).order_by("position", "id")
    return list(failures.values_list("key", flat=True))


def read_visits() -> dict[int, int]:
    return dict(Number.objects.values_list("id", "visits"))


@pytest.mark.parametrize("shard_records", [0, 2])
def test_the_failed_rows_are_processed_alone_and_once(
    numbers: None, registered: Registered, longtasks: Any, monkeypatch: pytest.MonkeyPatch, shard_records: int
) -> None:
    longtasks(shard_records=shard_records)
    registered(VisitGood)
    first = run("visit_good")
    monkeypatch.setattr(VisitGood, "bad", frozenset([32]))
    Number.objects.filter(pk=30).update(note="repaired")
    Number.objects.filter(pk=31).delete()
    Number.objects.create(id=100, note="n100")

    second = retry(first)

    row = checkpoint(second)
    assert (row.outcome, row.done, row.failed_records, row.counts) == ("finished", 5, 1, {"visited": 2})
    assert bool(row.shards) == bool(shard_records)
    never = {30, 32, 100}
    assert read_visits() == {key: int(key not in never) for key in [*range(1, ROWS + 1), 100] if key != 31}
    assert list_keys(second) == ["32"]

    monkeypatch.setattr(VisitGood, "bad", frozenset())
    third = retry(second)
    assert (checkpoint(third).counts, list_keys(third)) == ({"visited": 1}, [])
    assert read_visits()[32] == 1


def test_a_list_is_retried_once(numbers: None, registered: Registered) -> None:
    registered(VisitGood)
    first = run("visit_good")
    second = retry_failures(task_id=first).snapshot.id
    with pytest.raises(FailuresNotRetried, match=f"task {second} was started for them and is queued"):
        retry_failures(task_id=first)
    change_tasks.cancel_task(task_id=second)
    mirror()
    with pytest.raises(FailuresNotRetried, match=f"is canceled. It continues with POST /tasks/{second}/retry"):
        retry_failures(task_id=first)
    change_tasks.retry_task(task_id=second)
    run_all()
    mirror()
    assert checkpoint(second).failed_records == len(BAD)
    with pytest.raises(FailuresNotRetried, match=f"in its own list: POST /tasks/{second}/failures/retry"):
        retry_failures(task_id=first)


def test_what_fails_when_the_task_itself_is_retried_is_given_to_another_task(
    numbers: None, registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered(VisitGood)
    task = start_tasks.NewTask(name="visit_good", params={}, max_failures="3")
    first = start_tasks.start_task(task=task).snapshot.id
    run_all()
    mirror()
    assert (checkpoint(first).outcome, list_keys(first)) == ("failed", ["1", "30", "31"])
    second = retry(first)
    assert list_keys(second) == ["1", "30", "31"]
    monkeypatch.setattr(VisitGood, "bad", frozenset([60]))
    TaskCheckpoint.objects.filter(task_id=first).update(failed_records=0)  # so that one more may fail
    change_tasks.retry_task(task_id=first)
    run_all()
    mirror()
    monkeypatch.setattr(VisitGood, "bad", frozenset())
    third = retry(first)
    assert (checkpoint(third).done, checkpoint(third).counts) == (1, {"visited": 1})
    assert read_visits()[60] == 1


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("statement_keys", [1, 500])
def test_rows_are_found_by_keys_of_every_kind(
    registered: Registered, monkeypatch: pytest.MonkeyPatch, kind: str, statement_keys: int
) -> None:
    model, key_fields, fill = KEYS[kind]
    fill()
    monkeypatch.setattr(listed_rows, "STATEMENT_KEYS", statement_keys)

    class VisitAny(VisitGood):
        name = "visit_any"
        params_class = None
        cursor_fields = key_fields
        bad = frozenset(model.objects.values_list("pk", flat=True))

        def collection(self, params: Any) -> Any:
            assert params == {}
            return model.objects.all()

    registered(VisitAny)
    first = run("visit_any")
    assert checkpoint(first).failed_records == model.objects.count() > 0
    monkeypatch.setattr(VisitAny, "bad", frozenset())
    second = retry(first)
    assert (checkpoint(second).outcome, checkpoint(second).failed_records) == ("finished", 0), checkpoint(second).error
    assert set(model.objects.values_list("visits", flat=True)) == {1}


def test_a_clean_up_deletes_the_rows_that_it_left(numbers: None, registered: Registered) -> None:
    class PruneGood(Cleanup):
        bad = frozenset(BAD)

        def collection(self, params: Any) -> Any:
            return Number.objects.all()

        def archive(self, rows: list[Any], run: Run) -> None:
            if any(row.pk in self.bad for row in rows):
                raise ValueError("the archive refuses a row")

    registered(PruneGood)
    first = run("prune_good")
    assert sorted(read_visits()) == BAD
    PruneGood.bad = frozenset()
    second = retry(first)
    assert (read_visits(), checkpoint(second).counts) == ({}, {f"deleted_{Number._meta.db_table}": len(BAD)})


@pytest.mark.parametrize("when", ["before the plan", "between two chunks"])
def test_entries_that_were_pruned_are_an_error_and_not_an_end(
    numbers: None, registered: Registered, longtasks: Any, when: str
) -> None:
    registered(VisitGood)
    first = run("visit_good")
    second = retry_failures(task_id=first).snapshot.id
    failures = TaskFailure.objects.filter(task_id=first).order_by("position")
    if when == "before the plan":
        failures.delete()
        run_all()
        assert "The failed records of task" in checkpoint(second).error
        assert "Nothing was run" in checkpoint(second).error
        assert checkpoint(second).outcome == "failed"
        return
    task_type = VisitGood()
    task_type.bad = frozenset()
    params = FailureRange(uuid.UUID(first), 0, 2**60).add_to({})
    plan = task_type.make_plan(task_id=uuid.uuid4(), params=params, shard_records=0)
    chunk = Chunk(uuid.uuid4(), params, 0, 2, None, plan.state)
    with transaction.atomic():
        begun = task_type.run_chunk(chunk)
    assert (begun.done, begun.finished, begun.counts) == (2, False, {"visited": 2})
    TaskFailure.objects.filter(pk=failures[3].pk).delete()
    with transaction.atomic():
        more = task_type.run_chunk(dataclasses.replace(chunk, start=2, limit=10, state=begun.state))
    assert (more.done, more.finished) == (2, False)
    gone = "1 of the failed records of task .* are no longer in its list"
    with pytest.raises(HopelessError, match=gone), transaction.atomic():
        task_type.run_chunk(dataclasses.replace(chunk, start=4, state=more.state))


def test_a_key_that_was_cut_is_hopeless(numbers: None, registered: Registered) -> None:
    registered(VisitGood)
    first = run("visit_good")
    TaskFailure.objects.filter(task_id=first, key="31").update(key="9" * 255)
    second = retry(first)
    assert checkpoint(second).outcome == "failed"
    assert "cannot be used to find its row: it may have been cut" in checkpoint(second).error


def test_a_request_cannot_name_a_list(client: Any, numbers: None, registered: Registered) -> None:
    registered(VisitGood)
    body = {"name": "visit_good", "params": {RETRIED: {"task": str(uuid.uuid4()), "after": 0, "upTo": 9}}}
    answer = client.post("/tasks", body, content_type="application/json")
    assert answer.status_code == 400, answer.content
    assert f"params.{RETRIED}" in answer.content.decode()
