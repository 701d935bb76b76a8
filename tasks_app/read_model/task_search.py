"""Lists of tasks: by any mix of filters and words, newest first, in bounded time. For API, admin and command line.

Owns how a page is found without a count, a scan or a sort. A page is a range of one index: the one that reaches
furthest back with the fewest entries. The index also contains the columns that most of the other filters compare (see
TaskRecord). A row is read only for the remaining ones, and only if all others match. The search reads one window of the
index after the other until the page is full, the range ends or the time is over; then the page says how far back the
search has come. Must not write anything.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from django.db.models import QuerySet

from tasks_app.database.index_hints import PRIMARY, along
from tasks_app.database.replica_router import read_lagging
from tasks_app.domain.priorities import HIGH, LOW
from tasks_app.domain.task_ids import get_lowest_id, get_time_of_id
from tasks_app.models import TaskRecord
from tasks_app.queues.queue_names import QUEUES
from tasks_app.resilience.transient_errors import mapped_database_errors

PAGE_TASKS: Final = 50
# A search that has taken this long ends after its current window.
SEARCH_SECONDS: Final = 0.035
# A window has as many index entries and row reads as the previous one would have managed in this time.
WINDOW_SECONDS: Final = 0.015
FIRST_ENTRIES: Final = 500
MAX_ENTRIES: Final = 50_000
FIRST_ROWS: Final = 100
MAX_ROWS: Final = 250  # each may be on a disk page of its own
MAX_GROWTH: Final = 4.0
# The cost of an entry: in an index with all compared columns, in the table, in an index with a row read for each.
COST_COVERED, COST_TABLE, COST_ROWS = 1, 3, 10
_INDEXED: Final = ("owner", "status", "name", "priority")  # columns; `priority` holds the queue
_INDEXES: Final = {str(index.fields[0]): index for index in TaskRecord._meta.indexes}
_HEAVY: Final = ("error", "params", "callback_url")
_PREFIX_DIGITS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """The wanted tasks; None or an empty text matches all. Times of creation are compared to the millisecond."""

    owner: str | None = None
    status: str | None = None
    name: str | None = None
    queue: str | None = None
    priority: str | int | None = None  # high, low, or the number given at the start
    created_after: datetime | None = None
    created_before: datetime | None = None
    text: str = ""  # an id, the beginning of one (at least 8 characters), or a part of the description


@dataclass(frozen=True, slots=True)
class FoundTasks:
    """A page of records, newest first, and the cursor of the next page ("" if there is none)."""

    records: list[TaskRecord] = field(default_factory=list)
    next_cursor: str = ""
    # The time was over before the page was full: tasks created before this were not searched. None: the page is full,
    # or the last one.
    searched_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Walk:
    """A search along one index."""

    rows: QuerySet[TaskRecord]  # the range, newest first
    begins_at: datetime  # no task in the range is newer
    cost: int
    within: dict[str, Any] = field(default_factory=dict)  # the other filters on columns of the index
    beyond: dict[str, Any] = field(default_factory=dict)  # the filters that need the row

    def after(self, key: uuid.UUID) -> _Walk:
        return replace(self, rows=self.rows.filter(pk__lt=key))

    def find_floor(self, entries: int) -> uuid.UUID | None:
        """Return the id at which a window of so many entries ends; None if the range ends in it."""
        return self.rows.values_list("pk", flat=True)[entries - 1 : entries].first()

    def find(self, *, floor: uuid.UUID | None, limit: int) -> list[uuid.UUID]:
        """Return the ids in a window that match `within`, newest first."""
        rows = self.rows if floor is None else self.rows.filter(pk__gte=floor)
        return list(rows.filter(**self.within).values_list("pk", flat=True)[:limit])

    def match_rows(self, keys: Sequence[uuid.UUID]) -> list[uuid.UUID]:
        """Return the ids whose rows match `beyond`, newest first."""
        return sorted(TaskRecord.objects.filter(pk__in=keys, **self.beyond).values_list("pk", flat=True), reverse=True)


def find_tasks(
    *, wanted: TaskFilter, cursor: str = "", limit: int = PAGE_TASKS, with_heavy: bool = False
) -> FoundTasks:
    """Return a page of tasks. A short page, even an empty one, may have a next one. `with_heavy` reads long columns too.

    Raises ValueError for an invalid cursor, and StoreUnavailable.
    """
    before = uuid.UUID(cursor) if cursor else None
    with mapped_database_errors():
        return read_lagging(lambda: _read_page(wanted, before, limit=limit, with_heavy=with_heavy))


def _read_page(wanted: TaskFilter, before: uuid.UUID | None, *, limit: int, with_heavy: bool) -> FoundTasks:
    keys, floor = _search(_list_walks(wanted, before), limit=limit + 1)
    rows = TaskRecord.objects.filter(pk__in=keys[:limit])
    found = {record.pk: record for record in (rows if with_heavy else rows.defer(*_HEAVY))} if keys else {}
    # Between the two reads a task may have changed or been pruned.
    records = [found[key] for key in keys[:limit] if key in found and _still_fits(found[key], wanted)]
    if len(keys) > limit:
        return FoundTasks(records, keys[limit - 1].hex)
    if floor is None:
        return FoundTasks(records)
    return FoundTasks(records, floor.hex, searched_to=get_time_of_id(floor))


def _still_fits(record: TaskRecord, wanted: TaskFilter) -> bool:
    if isinstance(wanted.priority, int):
        priority_fits = record.urgency == wanted.priority
    else:
        priority_fits = wanted.priority in (None, HIGH if record.priority == HIGH else LOW)
    return priority_fits and wanted.status in (None, record.status) and wanted.queue in (None, record.priority)


def _list_filters(wanted: TaskFilter) -> dict[str, Any]:
    """Return the values that the columns are compared with."""
    queues = set(QUEUES) if wanted.queue is None else {wanted.queue}
    if wanted.priority == HIGH:
        queues &= {HIGH}
    elif wanted.priority == LOW:
        queues -= {HIGH}
    values: dict[str, Any] = {"owner": wanted.owner, "status": wanted.status, "name": wanted.name}
    if isinstance(wanted.priority, int):
        values["urgency"] = wanted.priority
    if len(queues) <= 1:
        values["priority"] = next(iter(queues), "")  # no queue, if the filters exclude each other
    elif wanted.priority == LOW:
        values["priority__in"] = sorted(queues)
    return {name: value for name, value in values.items() if value is not None}


def _list_walks(wanted: TaskFilter, before: uuid.UUID | None) -> list[_Walk]:
    """Return every walk that finds the page, the cheapest first."""
    rows = TaskRecord.objects.order_by("-pk")
    begins_at = datetime.now(UTC)
    for bound in (before, None if wanted.created_before is None else get_lowest_id(wanted.created_before)):
        if bound is not None:
            rows = rows.filter(pk__lt=bound)
            begins_at = min(begins_at, get_time_of_id(bound))
    if wanted.created_after is not None:
        rows = rows.filter(pk__gte=get_lowest_id(wanted.created_after))
    ids = _id_range(wanted.text)
    if ids is not None:
        rows = rows.filter(pk__range=ids)
        begins_at = min(begins_at, get_time_of_id(ids[1]))
    words = {"description__icontains": wanted.text} if wanted.text and ids is None else {}
    filters = _list_filters(wanted)
    walks = []
    for name in _INDEXED:
        if name not in filters:
            continue
        value, index = filters[name], _INDEXES[name]
        others = {other: filters[other] for other in filters if other != name}
        within = {other: others[other] for other in others if other.partition("__")[0] in index.fields}
        beyond = {other: others[other] for other in others if other not in within} | words
        cost = COST_ROWS if beyond else COST_COVERED
        walks.append(_Walk(along(rows.filter(**{name: value}), index.name), begins_at, cost, within, beyond))
    if words or not walks:
        walks.append(_Walk(along(rows, PRIMARY), begins_at, COST_TABLE, filters | words))
    return sorted(walks, key=lambda walk: walk.cost)


def _search(walks: Sequence[_Walk], *, limit: int) -> tuple[list[uuid.UUID], uuid.UUID | None]:
    """Return the ids of matching tasks, newest first, and the lowest id that was searched.

    The lowest id is None if the page is full or nothing is left.
    """
    stop_at = time.monotonic() + SEARCH_SECONDS
    walk = walks[0] if len(walks) == 1 else _choose(walks)
    if not walk.within and not walk.beyond:
        return walk.find(floor=None, limit=limit), None
    entries, most_rows = FIRST_ENTRIES, FIRST_ROWS
    keys: list[uuid.UUID] = []
    while True:
        began = time.monotonic()
        floor = walk.find_floor(entries)
        found = walk.find(floor=floor, limit=most_rows if walk.beyond else limit - len(keys))
        if walk.beyond and found:
            if len(found) == most_rows:
                floor = found[-1]
            found = walk.match_rows(found)[: limit - len(keys)]
        keys += found
        if len(keys) == limit or floor is None:
            return keys, None
        now = time.monotonic()
        if now >= stop_at:
            return keys, floor
        growth = min(MAX_GROWTH, WINDOW_SECONDS / max(now - began, 1e-6))
        entries = max(FIRST_ROWS, min(MAX_ENTRIES, int(entries * growth)))
        most_rows = max(FIRST_ROWS, min(MAX_ROWS, int(most_rows * growth)))
        walk = walk.after(floor)


def _choose(walks: Sequence[_Walk]) -> _Walk:
    """Return the walk whose first entries reach furthest back for their cost."""
    best, furthest = walks[0], -1.0
    for walk in walks:
        floor = walk.find_floor(FIRST_ENTRIES)
        if floor is None:
            return walk  # its first entries are all
        seconds = (walk.begins_at - get_time_of_id(floor)).total_seconds()
        if seconds / walk.cost > furthest:
            best, furthest = walk, seconds / walk.cost
    return best


def _id_range(text: str) -> tuple[uuid.UUID, uuid.UUID] | None:
    """Return the lowest and the highest id that begin with the text; None if it is not the beginning of an id."""
    digits = text.strip().lower().replace("-", "")
    if not _PREFIX_DIGITS <= len(digits) <= 32 or not set(digits) <= set("0123456789abcdef"):
        return None
    return uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))
