"""A collection is counted exactly up to a bound, and estimated beyond it without reading all its rows."""

from __future__ import annotations

import json

import pytest
from django.db import connection
from django.db.models.expressions import RawSQL
from django.test.utils import CaptureQueriesContext

from tasks_app.task_types.collections.totals import count_rows, estimate_rows
from tests.task_types.collections.models import Child, Number, Parent

mysql_only = pytest.mark.skipif(connection.vendor != "mysql", reason="other databases count exactly")


def fill(rows: int) -> None:
    Number.objects.bulk_create([Number(id=number, note="x" * (number % 2)) for number in range(rows)])
    if connection.vendor == "mysql":
        with connection.cursor() as cursor:
            cursor.execute(f"ANALYZE TABLE {Number._meta.db_table}")


@pytest.mark.parametrize("rows", [0, 1, 99, 100])
def test_up_to_the_bound_the_count_is_exact(rows: int) -> None:
    fill(rows)
    assert count_rows(Number.objects.all(), exact_rows=100) == (rows, False)
    assert count_rows(Number.objects.filter(note="x").order_by("note"), exact_rows=100) == (rows // 2, False)


@mysql_only
def test_beyond_the_bound_it_is_an_estimate_of_the_right_size() -> None:
    fill(2_000)
    with CaptureQueriesContext(connection) as captured:
        number, is_estimate = count_rows(Number.objects.filter(pk__gte=0), exact_rows=100)
    assert is_estimate
    assert 1_000 <= number <= 4_000
    assert "LIMIT 101" in captured[0]["sql"]
    assert captured[1]["sql"].startswith("EXPLAIN")
    assert len(captured) == 2


@mysql_only
def test_a_count_that_takes_too_long_becomes_an_estimate() -> None:
    fill(200)
    slow = Number.objects.annotate(pause=RawSQL("SLEEP(0.01)", ())).filter(pause=0)
    number, is_estimate = count_rows(slow, seconds=0.1)
    assert is_estimate
    assert number > 0


@pytest.mark.skipif(connection.vendor == "mysql", reason="MySQL estimates")
def test_other_databases_count_exactly_beyond_the_bound() -> None:
    fill(300)
    assert count_rows(Number.objects.all(), exact_rows=100) == (300, False)


@mysql_only
def test_a_join_can_be_estimated() -> None:
    parent = Parent.objects.create(id=1)
    Child.objects.bulk_create([Child(id=number, parent=parent) for number in range(300)])
    number, is_estimate = count_rows(Child.objects.filter(parent__visits=0), exact_rows=100)
    assert is_estimate
    assert number > 100


@pytest.mark.parametrize(
    ("plan", "rows"),
    [
        ({"query_block": {"table": {"rows": 1000, "filtered": 100}}}, 1000),
        ({"query_block": {"nested_loop": [{"table": {"rows": 1000, "filtered": 5.5}}, {"table": {"rows": 2}}]}}, 110),
        ({"query_block": {"table": {"rows_examined_per_scan": 500, "filtered": "10.00"}}}, 50),
        ({"query_block": {"table": {"rows": 10, "filtered": 100}, "subqueries": [{"table": {"rows": 9}}]}}, 10),
        ({"query_block": {"table": {"message": "Impossible WHERE"}}}, 1),
        ({"query_block": {}}, 0),
        ({"query_block": {"table": {"rows": 1e300, "filtered": 100}}}, 2**62),
    ],
)
def test_plans_of_mariadb_and_mysql_are_read(plan: object, rows: int) -> None:
    assert estimate_rows(json.dumps(plan)) == rows
    assert estimate_rows(json.dumps(json.dumps(plan))) == rows
