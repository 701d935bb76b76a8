"""The walk over a list of failures reads the list's index, whatever else the table holds."""

from __future__ import annotations

import uuid

import pytest
from django.db import connection
from django.db.models.functions import Now

from tasks_app.models import TaskFailure
from tasks_app.task_types.collections import failure_walk
from tasks_app.task_types.failure_lists import FailureRange
from tests.admin.test_query_plans import explain

pytestmark = pytest.mark.django_db(transaction=True)
TASK, OTHER = uuid.uuid4(), uuid.uuid4()
ENTRIES = 3_000


@pytest.fixture
def failures() -> FailureRange:
    """The list of one task, whose second half alone is to be walked over, among the entries of another one."""
    TaskFailure.objects.bulk_create(
        TaskFailure(task_id=task_id, checkpoint_id=task_id, position=position, code="x", message="", failed_at=Now())
        for position in range(ENTRIES)
        for task_id in (TASK, OTHER)
    )
    ids = list(TaskFailure.objects.filter(task_id=TASK).order_by("id").values_list("id", flat=True))
    return FailureRange(TASK, ids[ENTRIES // 2 - 1], ids[-1])


@pytest.mark.parametrize("shard_records", [0, 400])
def test_parts_and_pages_hold_each_entry_once(failures: FailureRange, shard_records: int) -> None:
    plan = failure_walk.plan_walk(failures, shard_records=shard_records)
    assert (plan.total, plan.is_estimate, len(plan.parts)) == (ENTRIES // 2, False, 4 if shard_records else 0)
    seen = []
    for state in [part.state for part in plan.parts] or [plan.state]:
        while True:
            page = failure_walk.read_page(failures, state, limit=70)
            passed = min(len(page.failures), 60)
            seen += [failure.position for failure in page.failures[:passed]]
            state = page.get_state(passed)
            if page.is_end(passed):
                break
    assert seen == list(range(ENTRIES // 2, ENTRIES))


@pytest.mark.skipif(connection.vendor != "mysql", reason="EXPLAIN is MariaDB's")
def test_plan_and_pages_are_ranges_of_the_index(failures: FailureRange) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE TABLE tasks_app_taskfailure")
    state = failure_walk.plan_walk(failures, shard_records=0).state
    middle = failure_walk.read_page(failures, state, limit=500).get_state(500)
    calls = [
        lambda: failure_walk.plan_walk(failures, shard_records=400),
        lambda: failure_walk.read_page(failures, state, limit=100),
        lambda: failure_walk.read_page(failures, middle, limit=100),
    ]
    for call in calls:
        for plan in explain(call):
            assert plan["key"] == "failure_of_task", plan
            assert "filesort" not in (plan["Extra"] or ""), plan
