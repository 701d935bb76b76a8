"""Counts a collection: exactly up to a bound of rows and time, an estimate of the database beyond it.

Owns the bounds and how an estimate is read. Must not know tasks.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from django.db import connections
from django.db.models import QuerySet

from tasks_app.task_types.collections.time_limits import OutOfTime, read_in_time

EXACT_ROWS: Final = 100_000
COUNT_SECONDS: Final = 10.0  # a filter that no index serves reads the whole table to find few rows
MOST_ROWS: Final = 2**62


def count_rows(
    queryset: QuerySet[Any], *, exact_rows: int = EXACT_ROWS, seconds: float = COUNT_SECONDS
) -> tuple[int, bool]:
    """Return the number of rows, and whether it is an estimate.

    Counts at most `exact_rows` + 1 rows for at most `seconds` on MySQL and MariaDB, then asks their optimizer, which reads
    none. Other databases count exactly.
    """
    plain, found = queryset.order_by(), 0
    try:
        found = read_in_time(plain[: exact_rows + 1].count, alias=queryset.db, seconds=seconds)
        if found <= exact_rows:
            return found, False
    except OutOfTime:
        pass
    if connections[queryset.db].vendor != "mysql":
        return plain.count(), False
    return max(found, estimate_rows(plain.explain(format="JSON"))), True


def estimate_rows(explained: str) -> int:
    """Return the number of rows that EXPLAIN FORMAT=JSON of MySQL or MariaDB expects; 0 if it names no table."""
    plan = json.loads(explained)
    if isinstance(plan, str):  # Django encodes the server's JSON once more
        plan = json.loads(plan)
    rows = 1.0
    tables = list(_list_tables(plan))
    for table in tables:
        scanned = table.get("rows", table.get("rows_examined_per_scan", 1))
        rows *= float(scanned) * float(table.get("filtered", 100)) / 100
    return min(MOST_ROWS, math.ceil(rows)) if tables and math.isfinite(rows) else 0


def _list_tables(node: object) -> Iterator[Mapping[str, Any]]:
    """Yield the tables of a plan, those of subqueries excepted."""
    if isinstance(node, list):
        for item in node:
            yield from _list_tables(item)
    elif isinstance(node, dict):
        for name, value in node.items():
            if name == "table" and isinstance(value, dict):
                yield value
            elif "subqueries" not in name:
                yield from _list_tables(value)
