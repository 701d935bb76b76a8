"""Rows that fail are left out of a back-fill or a clean-up, and listed with their key, if the start allows it."""

from __future__ import annotations

from typing import Any

import pytest

from tasks_app.models import TaskFailure
from tasks_app.services import start_tasks
from tasks_app.task_types.collections import Backfill, Cleanup, Run
from tests.support.engine import checkpoint
from tests.task_types.collections.conftest import Registered, run_all
from tests.task_types.collections.models import Number

pytestmark = pytest.mark.django_db(transaction=True)
ROWS = 60
BAD = [1, 30, 31, 60]


class VisitGood(Backfill):
    """Counts a visit of each row, and fails for some."""

    def collection(self, params: Any) -> Any:
        return Number.objects.all()

    def process(self, rows: list[Any], run: Run) -> dict[str, int]:
        for row in rows:
            row.visits += 1
        Number.objects.bulk_update(rows, ["visits"])
        if bad := [row.pk for row in rows if row.pk in BAD]:
            raise ValueError(f"row {bad[0]} is bad")
        return {"visited": len(rows)}


def start(name: str, *, allowed: str) -> str:
    task = start_tasks.NewTask(name=name, params={}, max_failures=allowed)
    return start_tasks.start_task(task=task).snapshot.id


@pytest.fixture
def numbers() -> None:
    Number.objects.bulk_create(Number(id=key, note=f"n{key}") for key in range(1, ROWS + 1))


@pytest.mark.parametrize("shard_records", [0, 20])
def test_rows_that_fail_are_left_out_and_listed(
    numbers: None, registered: Registered, longtasks: Any, shard_records: int
) -> None:
    longtasks(shard_records=shard_records)
    registered(VisitGood)
    task_id = start("visit_good", allowed="10")
    run_all(workers=2)
    row = checkpoint(task_id)
    assert (row.outcome, row.done, row.failed_records) == ("finished", ROWS, len(BAD))
    assert row.counts == {"visited": ROWS - len(BAD)}
    assert dict(Number.objects.values_list("id", "visits")) == {key: int(key not in BAD) for key in range(1, ROWS + 1)}
    failures = TaskFailure.objects.filter(task_id=task_id).order_by("position", "id")
    assert sorted(int(failure.key) for failure in failures) == BAD
    assert all(f'"note":"n{failure.key}"' in failure.values_json for failure in failures)


def test_one_row_too_many_fails_the_task(numbers: None, registered: Registered) -> None:
    registered(VisitGood)
    task_id = start("visit_good", allowed="3")
    run_all()
    row = checkpoint(task_id)
    assert (row.outcome, row.failed_records) == ("failed", 3)
    assert TaskFailure.objects.filter(task_id=task_id).count() == 3


def test_a_clean_up_leaves_out_what_its_archive_refuses(numbers: None, registered: Registered) -> None:
    class PruneGood(Cleanup):
        def collection(self, params: Any) -> Any:
            return Number.objects.all()

        def archive(self, rows: list[Any], run: Run) -> None:
            if any(row.pk in BAD for row in rows):
                raise ValueError("the archive refuses a row")

        def describe_row(self, row: Any) -> dict[str, Any]:
            return {"note": row.note}

    registered(PruneGood)
    task_id = start("prune_good", allowed="100%")
    run_all()
    assert sorted(Number.objects.values_list("id", flat=True)) == BAD
    [first, *_] = TaskFailure.objects.filter(task_id=task_id).order_by("position")
    assert (first.key, first.values_json) == ("1", '{"note":"n1"}')
