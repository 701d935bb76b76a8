"""On MariaDB the pages of the dashboard are ranges of an index: no full scan, no sort."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tasks_app.auth import audit_log
from tasks_app.models import TaskRecord
from tasks_app.read_model import minute_rollups
from tasks_app.read_model.task_search import TaskFilter, find_tasks
from tests.benchmarks.admin_pages import fill

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "mysql", reason="EXPLAIN is MariaDB's"),
]
TASKS = 20_000


def explain(call: Any) -> list[dict[str, Any]]:
    """Run a call; return the plans of all its queries, each row with its statement."""
    with CaptureQueriesContext(connection) as captured:
        call()
    plans = []
    with connection.cursor() as cursor:
        for query in captured:
            if not query["sql"].startswith("SELECT"):
                continue
            cursor.execute(f"EXPLAIN {query['sql']}")
            names = [column[0] for column in cursor.description]
            plans += [dict(zip(names, row, strict=True)) | {"sql": query["sql"]} for row in cursor.fetchall()]
    return plans


def test_no_page_scans_or_sorts() -> None:
    fill(TASKS)
    middle = TaskRecord.objects.order_by("pk")[TASKS // 2]
    calls = {
        "list": lambda: find_tasks(wanted=TaskFilter()),
        "older": lambda: find_tasks(wanted=TaskFilter(), cursor=middle.pk.hex),
        "status": lambda: find_tasks(wanted=TaskFilter(status="failed")),
        "type": lambda: find_tasks(wanted=TaskFilter(name="purge")),
        "owner": lambda: find_tasks(wanted=TaskFilter(owner="owner1")),
        "priority": lambda: find_tasks(wanted=TaskFilter(priority="high")),
        "id": lambda: find_tasks(wanted=TaskFilter(text=str(middle.pk))),
        "beginning of an id": lambda: find_tasks(wanted=TaskFilter(text=str(middle.pk)[:13])),
        "words": lambda: find_tasks(wanted=TaskFilter(text="shop 4711")),
        "time": lambda: find_tasks(wanted=TaskFilter(created_after=middle.created_at)),
        "audit": audit_log.list_page,
        "hour": lambda: minute_rollups.list_last(minutes=61),
    }
    for name, call in calls.items():
        plans = explain(call)
        assert plans, name
        for plan in plans:
            if plan["table"] is None:  # nothing to read at all
                continue
            assert plan["type"] != "ALL", (name, plan)
            assert "filesort" not in (plan["Extra"] or ""), (name, plan)


def test_a_search_finds_the_filled_rows() -> None:
    fill(TASKS)
    wanted = TaskFilter(text="shop 4711")
    found = find_tasks(wanted=wanted)
    records = found.records
    while found.next_cursor:
        found = find_tasks(wanted=wanted, cursor=found.next_cursor)
        records += found.records
    assert {record.description for record in records} == {"import of shop 4711"}
    assert len(records) == TASKS // 5000
    ids = list(TaskRecord.objects.order_by("created_at").values_list("pk", flat=True)[:100])
    assert ids == sorted(ids)  # the generated ids are ordered by time, as real ones are
