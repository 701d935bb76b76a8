"""The condition of a range selects the rows between two keys, and MariaDB reads it from the index without a sort."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.db import connection

from tasks_app.task_types.collections.cursor_keys import find_key
from tasks_app.task_types.collections.key_splits import select_range
from tests.task_types.collections.models import Number, Tenant

AT = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
ROWS = 4_000


def fill() -> None:
    Tenant.objects.bulk_create(
        [
            Tenant(tenant=number // 100, number=f"{number % 100:03}", created=AT, weight=number, loose=number % 3)
            for number in range(ROWS)
        ]
    )
    Number.objects.bulk_create([Number(id=number * 7) for number in range(ROWS)])


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
def test_pages_of_a_composite_key_are_all_rows_in_order(size: int) -> None:
    fill()
    key = find_key(Tenant, ("tenant", "number"))
    bound = (29, "050")
    found: list[Any] = []
    cursor = None
    while page := list(select_range(Tenant.objects.all(), key, after=cursor, up_to=bound)[: size * 10]):
        found += [key.read(row) for row in page]
        cursor = found[-1]
    assert found == [(number // 100, f"{number % 100:03}") for number in range(2951)]


def explain(rows: Any) -> dict[str, Any]:
    sql, params = rows.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}", params)
        names = [column[0] for column in cursor.description]
        [row] = cursor.fetchall()
    return dict(zip(names, row, strict=True))


@pytest.mark.skipif(connection.vendor != "mysql", reason="EXPLAIN is MariaDB's")
@pytest.mark.parametrize(
    ("model", "fields", "after", "bound", "index"),
    [
        (Number, (), (14_000,), (28_000,), "PRIMARY"),
        (Tenant, ("tenant", "number"), (20, "050"), (39, "099"), "tenant_number"),
        (Tenant, ("tenant", "number", "id"), (20, "050"), (39, "099"), "tenant_number"),
    ],
)
@pytest.mark.parametrize("filtered", [False, True])
def test_a_page_is_a_range_of_the_index(
    model: Any, fields: Any, after: Any, bound: Any, index: str, filtered: bool
) -> None:
    fill()
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE TABLE {model._meta.db_table}")
    rows = model.objects.filter(note="") if filtered else model.objects.all()
    plan = explain(select_range(rows, find_key(model, fields), after=after, up_to=bound)[:100])
    assert plan["type"] == "range", plan
    assert plan["key"] == index, plan
    assert "filesort" not in (plan["Extra"] or ""), plan


@pytest.mark.skipif(connection.vendor != "mysql", reason="the counters are MariaDB's")
def test_a_page_deep_inside_one_first_value_reads_its_own_rows_only() -> None:
    """A condition that only bounded the first field would read all rows of the tenant before the cursor."""
    Tenant.objects.bulk_create(
        [Tenant(tenant=1, number=f"{number:05}", created=AT, weight=number) for number in range(ROWS)]
    )
    key = find_key(Tenant, ("tenant", "number"))
    page = select_range(Tenant.objects.all(), key, after=(1, "03500"), up_to=(1, "03999"))
    with connection.cursor() as cursor:
        cursor.execute("FLUSH STATUS")
        assert len(page[:50]) == 50
        cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%%'")
        reads = sum(int(number) for _, number in cursor.fetchall())
    assert reads <= 60
