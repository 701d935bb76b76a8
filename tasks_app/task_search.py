"""The read side for operators: tasks by any mix of filters and words, newest first, in bounded time.

Owns how a page is found without a count and without a scan: paging by id, along the index of one filter; what no
index answers (words of a description, the other filters) is looked at in a window of that index, and the page says
so. Must not write anything.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.db.models import QuerySet

from tasks_app.infrastructure import mapped_errors
from tasks_app.models import TaskRecord
from tasks_app.queries import get_lowest_id
from tasks_app.read_side import read_lagging

PAGE_TASKS: Final = 50
# How many entries of an index one page looks at, where only a look at the rows tells.
WINDOW_TASKS: Final = 20_000
# Most telling first: the one whose index the page walks along.
_INDEXED: Final = ("owner", "status", "name", "priority")
_HEAVY: Final = ("error", "params", "callback_url")
_ID_PREFIX: Final = re.compile(r"[0-9a-f]{8,32}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """What to look for; empty means any."""

    status: str = ""
    name: str = ""
    priority: str = ""
    owner: str = ""
    created_after: datetime | None = None
    created_before: datetime | None = None
    text: str = ""  # an id, the beginning of one (8 characters at least), or a part of the description


@dataclass(frozen=True, slots=True)
class FoundTasks:
    """A page of records without their heavy columns, and where to go on ("" when that was all)."""

    records: list[TaskRecord] = field(default_factory=list)
    next_cursor: str = ""
    is_window: bool = False  # the window ended before the page was full: older tasks have not been looked at


def find_tasks(*, wanted: TaskFilter, cursor: str = "", limit: int = PAGE_TASKS) -> FoundTasks:
    """Return a page of tasks, newest first. Raises ValueError on a cursor that is none, and StoreUnavailable."""
    rows = TaskRecord.objects.order_by("-pk")
    if wanted.created_after is not None:
        rows = rows.filter(pk__gte=get_lowest_id(wanted.created_after))
    if wanted.created_before is not None:
        rows = rows.filter(pk__lt=get_lowest_id(wanted.created_before))
    if cursor:
        rows = rows.filter(pk__lt=uuid.UUID(cursor))
    first, last = _id_range(wanted.text)
    if first is not None:
        rows = rows.filter(pk__gte=first, pk__lte=last)
    filters = {name: value for name in _INDEXED if (value := getattr(wanted, name))}
    along = next(iter(filters), "")
    if along:
        rows = rows.filter(**{along: filters.pop(along)})
    rest: dict[str, Any] = filters
    if wanted.text and first is None:
        rest["description__icontains"] = wanted.text
    with mapped_errors():
        records, floor = read_lagging(lambda: _read_page(rows, rest, limit=limit + 1))
    if len(records) > limit:
        return FoundTasks(records[:limit], records[limit - 1].pk.hex)
    return FoundTasks(records, floor.hex if floor else "", is_window=floor is not None)


def _read_page(
    rows: QuerySet[TaskRecord], rest: dict[str, Any], *, limit: int
) -> tuple[list[TaskRecord], uuid.UUID | None]:
    floor = _window_floor(rows) if rest else None
    if floor is not None:
        rows = rows.filter(pk__gte=floor)
    return list(rows.filter(**rest).defer(*_HEAVY)[:limit]), floor


def _window_floor(rows: QuerySet[TaskRecord]) -> uuid.UUID | None:
    """Return the id at which the window ends; None where there are no older ones."""
    return rows.values_list("pk", flat=True)[WINDOW_TASKS - 1 : WINDOW_TASKS].first()


def _id_range(text: str) -> tuple[uuid.UUID | None, uuid.UUID | None]:
    """Return the lowest and the highest id that begin with the text; (None, None) where it is no id."""
    digits = text.strip().lower().replace("-", "")
    if not _ID_PREFIX.match(digits):
        return None, None
    return uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))
