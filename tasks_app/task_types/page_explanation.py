"""Asks the database how it would read a page of rows in the order of a key: by an index, or by a sort.

Owns the reading of EXPLAIN (MySQL and MariaDB) and of EXPLAIN QUERY PLAN (SQLite). Must not run the query itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from django.db import connections
from django.db.models import QuerySet

from tasks_app.task_types.cursor_use import CursorUse

# SEARCH t USING INDEX name (…); SCAN t USING COVERING INDEX name; SEARCH t USING INTEGER PRIMARY KEY (rowid>?); SCAN t
_SQLITE: Final = re.compile(
    r"(SEARCH|SCAN) (\S+)(?: USING (?:COVERING )?(?:INDEX (\S+)|(INTEGER PRIMARY KEY|PRIMARY KEY)))?"
)
_SORT: Final = "and the rows of each page are sorted: add an index, or choose other cursor_fields"


def explain_page(page: QuerySet[Any]) -> CursorUse:
    """Return whether an index serves a page, a QuerySet with its order and its limit."""
    vendor = connections[page.db].vendor
    if vendor == "mysql":
        return read_mysql(page.explain(format="JSON"))
    if vendor == "sqlite":
        return read_sqlite(page.explain())
    return CursorUse(f"unknown: the plans of {vendor} are not read")


def read_mysql(explained: str) -> CursorUse:
    """Return what EXPLAIN FORMAT=JSON of MySQL or MariaDB says."""
    plan = json.loads(explained)
    if isinstance(plan, str):  # Django encodes the server's JSON once more
        plan = json.loads(plan)
    nodes = list(_walk(plan))
    tables = [value for name, value in nodes if name == "table" and isinstance(value, dict)]
    if not tables:
        return CursorUse("unknown: the database names no table")
    # The first table of a join is the one that is read in order.
    table = tables[0]
    is_sorted = any(name == "filesort" or (name == "using_filesort" and value is True) for name, value in nodes)
    return _describe(str(table.get("table_name", "?")), str(table.get("key") or ""), is_sorted=is_sorted)


def read_sqlite(explained: str) -> CursorUse:
    """Return what EXPLAIN QUERY PLAN of SQLite says."""
    found = _SQLITE.search(explained)
    if found is None:
        return CursorUse("unknown: the database names no table")
    index = found[3] or found[4] or ""
    return _describe(found[2], index, is_sorted="USE TEMP B-TREE FOR ORDER BY" in explained)


def _describe(table: str, index: str, *, is_sorted: bool) -> CursorUse:
    table = table.strip('"`')
    if is_sorted:
        used = f"the index {index} of {table} is used, {_SORT}" if index else f"{table} is read whole, {_SORT}"
        return CursorUse(used, is_served=False)
    if not index:
        return CursorUse(f"{table} is read in the order of its rows", is_served=True)
    return CursorUse(f"served by the index {index} of {table}", is_served=True)


def _walk(node: object) -> Iterator[tuple[str, Any]]:
    """Yield each name and value of a plan, those of subqueries excepted."""
    if isinstance(node, list):
        for item in node:
            yield from _walk(item)
    elif isinstance(node, dict):
        for name, value in node.items():
            yield name, value
            if "subqueries" not in name:
                yield from _walk(value)
