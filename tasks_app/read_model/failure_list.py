"""The list of a task's failed records: keyset pages, and all of it as the lines of a CSV file.

Owns both reads, from the primary database, so that the list is never behind the task. Must not check whose task it is.
"""

from __future__ import annotations

import csv
import io
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from django.db import router
from django.db.models import Q

from tasks_app.domain.csv_cells import neutralise
from tasks_app.models import TaskFailure
from tasks_app.resilience.transient_errors import mapped_database_errors
from tasks_app.task_types.failed_record import FAILURE_COLUMNS, ListedFailure
from tasks_app.task_types.failure_lists import FailureList

PAGE_FAILURES: Final = 1_000
CURSOR: Final = re.compile(r"[0-9]{1,19}-[0-9]{1,19}\Z")
_MOST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class FailurePage:
    """Some failures in the order of their positions, and the cursor of the next page ("" on the last one)."""

    failures: list[ListedFailure]
    next_cursor: str


def read_page(*, task_id: uuid.UUID, cursor: str = "", limit: int = PAGE_FAILURES) -> FailurePage:
    """Return a page of a task's failures. Raises ValueError for an invalid cursor, and StoreUnavailable."""
    rows = TaskFailure.objects.using(router.db_for_write(TaskFailure)).filter(task_id=task_id)
    if cursor:
        position, key = _parse(cursor)
        rows = rows.filter(position__gte=position).filter(Q(position__gt=position) | Q(id__gt=key))
    with mapped_database_errors():
        found = list(rows.order_by("position", "id")[: limit + 1])
    failures = [_to_listed(row) for row in found[:limit]]
    more = len(found) > limit
    return FailurePage(failures, f"{failures[-1].position}-{failures[-1].id}" if more else "")


def iterate_failures(*, task_id: uuid.UUID) -> Iterator[ListedFailure]:
    """Yield all failures of a task, one page of the database at a time."""
    cursor = ""
    while True:
        page = read_page(task_id=task_id, cursor=cursor)
        yield from page.failures
        cursor = page.next_cursor
        if not cursor:
            return


class RetriedFailures(FailureList):
    """The failures that a new task gets."""

    def __iter__(self) -> Iterator[ListedFailure]:
        entries = self.range
        for failure in iterate_failures(task_id=entries.task_id):
            if entries.after < failure.id <= entries.up_to:
                yield failure


def write_csv(*, task_id: uuid.UUID, with_bom: bool = False) -> Iterator[bytes]:
    """Return the parts of a task's failures as CSV in UTF-8, one for each page: the records' columns, then FAILURE_COLUMNS.

    The columns are those of the first page, in the order in which they occur; the text of a record that could not be
    parsed, which has no column, is among the other values. `with_bom` is for spreadsheets. Raises
    StoreUnavailable, here and in the iteration.
    """
    return _write_pages(read_page(task_id=task_id), task_id=task_id, with_bom=with_bom)


def _write_pages(page: FailurePage, *, task_id: uuid.UUID, with_bom: bool) -> Iterator[bytes]:
    columns = list(dict.fromkeys(name for each in page.failures for name in each.values))
    columns = [name for name in columns if name and name not in FAILURE_COLUMNS]
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    buffer.write("\ufeff" if with_bom else "")
    writer.writerow([*map(neutralise, columns), *FAILURE_COLUMNS])
    while True:
        for failure in page.failures:
            writer.writerow(_list_cells(failure, columns))
        yield buffer.getvalue().encode()
        buffer.seek(0)
        buffer.truncate()
        if not page.next_cursor:
            return
        page = read_page(task_id=task_id, cursor=page.next_cursor)


def _list_cells(failure: ListedFailure, columns: Sequence[str]) -> list[str]:
    own = [_to_cell(failure.values.get(name)) for name in columns]
    known = {*columns, *FAILURE_COLUMNS}
    other = {name: value for name, value in failure.values.items() if name not in known}
    more = [failure.position, failure.line, failure.key, failure.code, failure.message, other or None]
    return [*own, *map(_to_cell, more), "" if failure.values_are_exact else "yes"]


def _to_cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return neutralise(value if isinstance(value, str) else orjson.dumps(value).decode())


def _parse(cursor: str) -> tuple[int, int]:
    if not CURSOR.match(cursor):
        raise ValueError("not a valid cursor")
    position, _, key = cursor.partition("-")
    return min(int(position), _MOST), min(int(key), _MOST)


def _to_listed(row: TaskFailure) -> ListedFailure:
    return ListedFailure(
        id=row.pk,
        position=row.position,
        line=row.line,
        key=row.key,
        code=row.code,
        message=row.message,
        values=orjson.loads(row.values_json),
        values_are_exact=row.values_are_exact,
        failed_at=row.failed_at,
    )
