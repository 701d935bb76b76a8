"""What EXPLAIN says of a page, on this stack's database and in the forms of the others."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks_app.models import TaskRecord
from tasks_app.task_types.collections import key_ranges
from tasks_app.task_types.page_explanation import explain_page, read_mysql, read_sqlite

MYSQL = {
    "query_block": {
        "select_id": 1,
        "ordering_operation": {"using_filesort": True, "table": {"table_name": "users", "access_type": "ALL"}},
    }
}


@pytest.mark.django_db
def test_the_database_of_this_stack() -> None:
    now = datetime.now(UTC)
    TaskRecord.objects.bulk_create(
        TaskRecord(name=f"a{number % 50}", status="queued", priority="low", updated_at=now,
                   created_at=now + timedelta(seconds=number), id=f"{number:032x}")
        for number in range(2000)
    )  # fmt: skip
    first = TaskRecord.objects.order_by("id")[1].pk
    served = explain_page(TaskRecord.objects.filter(id__gt=first).order_by("id")[:100])
    assert served.is_served, served
    assert "tasks_app_taskrecord" in served.text
    following = TaskRecord.objects.filter(key_ranges.after(("name", "id"), ("a7", first)))
    by_name = explain_page(following.order_by("name", "id")[:100])
    assert by_name.is_served, by_name
    bad = explain_page(TaskRecord.objects.filter(created_at__gt=now).order_by("created_at")[:100])
    assert bad.is_served is False, bad
    assert "add an index" in bad.text


@pytest.mark.parametrize(
    ("plan", "is_served", "words"),
    [
        (MYSQL, False, "users is read whole, and the rows of each page are sorted"),
        (
            {
                "query_block": {
                    "ordering_operation": {"using_filesort": False, "table": {"table_name": "u", "key": "k"}}
                }
            },
            True,
            "served by the index k of u",
        ),
        (
            {
                "query_block": {
                    "nested_loop": [{"table": {"table_name": "u", "access_type": "range", "key": "PRIMARY"}}]
                }
            },
            True,
            "served by the index PRIMARY of u",
        ),
        (
            {"query_block": {"nested_loop": [{"read_sorted_file": {"filesort": {"table": {"table_name": "u"}}}}]}},
            False,
            "sorted",
        ),
        ({"query_block": {"message": "Impossible WHERE"}}, None, "unknown"),
    ],
)
def test_plans_of_mysql_and_mariadb(plan: dict[str, Any], is_served: bool | None, words: str) -> None:
    for text in (json.dumps(plan), json.dumps(json.dumps(plan))):
        found = read_mysql(text)
        assert found.is_served is is_served
        assert words in found.text


@pytest.mark.parametrize(
    ("plan", "is_served", "words"),
    [
        ("3 0 0 SEARCH t USING INTEGER PRIMARY KEY (rowid>?)", True, "served by the index INTEGER PRIMARY KEY of t"),
        ("3 0 0 SEARCH t USING COVERING INDEX by_name (a=? AND b>?)", True, "served by the index by_name of t"),
        ("3 0 0 SCAN t USING INDEX by_name", True, "by_name"),
        ("3 0 0 SCAN t", True, "in the order of its rows"),
        ("3 0 0 SCAN t\n9 0 0 USE TEMP B-TREE FOR ORDER BY", False, "t is read whole"),
        ("", None, "unknown"),
    ],
)
def test_plans_of_sqlite(plan: str, is_served: bool | None, words: str) -> None:
    found = read_sqlite(plan)
    assert found.is_served is is_served
    assert words in found.text
