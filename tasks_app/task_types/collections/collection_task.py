"""A task type over the rows of a QuerySet: pages by key, each in the transaction that moves the cursor.

Owns the plan (bound, total, shards), the pages, and the form of the state. Must not know what is done with a page (backfill,
cleanup).
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, Final

from django.db import models, router, transaction
from rest_framework import serializers

from tasks_app.errors import HopelessError
from tasks_app.task_types.collections import failure_walk
from tasks_app.task_types.collections.cursor_keys import CursorKey, Values, find_key
from tasks_app.task_types.collections.dataclass_params import make_serializer, read_params
from tasks_app.task_types.collections.key_splits import all_rows, find_last_key, select_range, split_keys
from tasks_app.task_types.collections.listed_rows import iterate_rows, name_key
from tasks_app.task_types.collections.page_changes import PageChanges
from tasks_app.task_types.collections.queryset_rules import find_faults
from tasks_app.task_types.collections.totals import count_rows
from tasks_app.task_types.cursor_use import CursorUse
from tasks_app.task_types.failed_record import FailedRecord
from tasks_app.task_types.failure_lists import FailureList, find_range, without_range
from tasks_app.task_types.page_explanation import explain_page
from tasks_app.task_types.task_plans import PARTS, Part, Plan
from tasks_app.task_types.task_type import Chunk, ChunkResult, TaskType

AFTER: Final = "after"  # the cursor: the key of the last row that was processed
UP_TO: Final = "upTo"  # the bound: the last key of the table or of the shard; None: there are no rows
_DESCRIPTION_CHARACTERS: Final = 200


class NoParams(serializers.Serializer[Any]):
    """No parameters."""


@dataclass(frozen=True, slots=True)
class Run:
    """What `process` may know about its task, and where it counts."""

    task_id: uuid.UUID
    params: Any  # as `collection` gets them
    owner: str  # who started the task; "" if it was the command line, or if the API needs no token
    scope: str  # of the owner at the start: "admin" or "write"
    is_canceled: Callable[[], bool]  # without SQL: was a cancel requested?
    counts: Counter[str] = field(default_factory=Counter)
    is_dry_run: bool = False  # the page is rolled back

    def count(self, name: str, number: int = 1) -> None:
        """Add to the task's `counts`; commits with the page."""
        self.counts[name] += number


@dataclass(frozen=True, slots=True)
class _Page:
    """Rows of one chunk, each once, and where the cursor is behind them."""

    rows: list[Any]
    key: CursorKey
    done: int
    state: Mapping[str, Any]
    is_last: bool


class CollectionTask(TaskType):
    """Base class of back-fills and clean-ups. Its state is the cursor: {"after": key or None, "upTo": key or None}."""

    is_planned = True
    splittable = True
    isolates_failures = True
    supports_dry_run = True
    first_limit = 200
    max_limit = 5_000
    params_class: ClassVar[type | None] = None  # a dataclass, which becomes the serializer of the parameters
    params_serializer: ClassVar[type[serializers.Serializer[Any]]] = NoParams
    cursor_fields: ClassVar[Sequence[str]] = ()  # empty: the primary key
    lock_rows: ClassVar[bool] = True  # read pages with SELECT … FOR UPDATE

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = cls.__dict__
        if isinstance(cls.cursor_fields, str):
            raise TypeError(
                f"{cls.__name__}.cursor_fields is {cls.cursor_fields!r}: use a tuple, as ({cls.cursor_fields!r},)."
            )
        if "name" not in own:
            cls.name = to_snake_case(cls.__name__)
        if "description" not in own and own.get("__doc__"):
            cls.description = own["__doc__"].strip().partition("\n")[0][:_DESCRIPTION_CHARACTERS]
        if own.get("params_class") is not None and "params_serializer" not in own:
            cls.params_serializer = make_serializer(own["params_class"])

    def collection(self, params: Any) -> models.QuerySet[Any]:
        """Return the rows of the task. Called in each chunk, and by `manage.py check` if there are no required parameters."""
        raise NotImplementedError(f"{type(self).__name__} must implement collection")

    def process_page(self, rows: list[Any], run: Run) -> None:
        """Process a page of rows, in the transaction of its chunk."""
        raise NotImplementedError(f"{type(self).__name__} must implement process_page")

    def list_faults(self, rows: object) -> list[str]:
        """Return what is wrong with a collection, one text each; nothing if it is right. Runs no query."""
        return find_faults(rows)

    def make_plan(self, *, task_id: uuid.UUID, params: Mapping[str, Any], shard_records: int) -> Plan:
        """Return bound, total, and the shards of a task with more than `shard_records` rows."""
        if (listed := find_range(params)) is not None:
            return failure_walk.plan_walk(listed, shard_records=shard_records)
        rows, key = self._open(self.read_params(params))
        bound = find_last_key(all_rows(rows.model, using=rows.db), key)  # of the table: a filter may be slow
        if bound is None:
            return Plan(0, state={AFTER: None, UP_TO: None})
        total, is_estimate = count_rows(select_range(rows, key, after=None, up_to=bound))
        if 0 < shard_records < total:
            size = max(shard_records, -(-total // PARTS))
            ranges = split_keys(rows, key, bound=bound, total=total, size=size, most=PARTS)
            total, is_estimate = sum(each.rows for each in ranges), not all(each.is_counted for each in ranges)
            parts = [Part(_make_state(key, each.after, each.up_to), max(1, each.rows)) for each in ranges]
            return Plan(total, is_estimate, parts[0].state, parts)
        return Plan(total, is_estimate, _make_state(key, None, bound))

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        """Process the next page, and return the key of its last row as the new state."""
        run = Run(
            chunk.task_id,
            self.read_params(chunk.params),
            chunk.owner,
            chunk.scope,
            chunk.is_canceled,
            is_dry_run=chunk.is_dry_run,
        )
        page = self._read_page(chunk, run.params)
        watched = PageChanges(page.rows, describe=self.describe_row) if page.rows and chunk.changes_wanted else None
        if page.rows:
            self.process_page(page.rows, run)
        changes = watched.list_changes(most=chunk.changes_wanted) if watched is not None else ()
        return ChunkResult(page.done, dict(run.counts), page.state, finished=page.is_last, changes=changes)

    def explain_cursor(self, params: Mapping[str, Any]) -> CursorUse | None:
        """Explain the page that follows the first row; None if there is no row."""
        rows, key = self._open(self.read_params(params))
        first = rows.order_by(*key.names).values_list(*key.names).first()
        bound = find_last_key(all_rows(rows.model, using=rows.db), key)
        if first is None or bound is None:
            return None
        page = select_range(rows, key, after=None if first == bound else first, up_to=bound)
        return explain_page(page[: self.first_limit])

    def skip_record(self, chunk: Chunk) -> tuple[ChunkResult, FailedRecord | None]:
        """Describe the row behind the cursor, and move the cursor to it; None if it has left the collection."""
        page = self._read_page(chunk, self.read_params(chunk.params))
        result = ChunkResult(page.done, {}, page.state, finished=page.is_last)
        if not page.rows:
            return result, None
        [row] = page.rows
        return result, FailedRecord(
            key=name_key(page.key, self._read_key(page.key, row)), values=self.describe_row(row)
        )

    def retry_params(
        self, *, task_id: uuid.UUID, params: Mapping[str, Any], failures: FailureList
    ) -> Mapping[str, Any]:
        """Return params that limit a task to the rows of these failures which are still in the collection."""
        return failures.range.add_to(params)

    def describe_row(self, row: Any) -> Mapping[str, Any]:
        """Return what the list of failed records shows of a row that has failed: by default the columns that were read."""
        names = [field.attname for field in row._meta.concrete_fields]
        return {name: getattr(row, name) for name in names if name not in row.get_deferred_fields()}

    def read_params(self, params: Mapping[str, Any]) -> Any:
        """Return the stored parameters as `collection` gets them: an instance of `params_class`, if there is one."""
        given = without_range(params)
        return given if self.params_class is None else read_params(self.params_class, given)

    def _read_page(self, chunk: Chunk, params: Any) -> _Page:
        rows, key = self._open(params)
        if (listed := find_range(chunk.params)) is not None:
            walked = failure_walk.read_page(listed, chunk.state, limit=chunk.limit)
            done = len(walked.failures)
            found = list(iterate_rows(rows, key, walked.failures, lock=self._lock))
            return _Page(found, key, done, walked.get_state(done), walked.is_end(done))
        cursor, bound = _read_state(key, chunk.state)
        if bound is None:
            return _Page([], key, 0, chunk.state, True)
        found = list(self._lock(select_range(rows, key, after=cursor, up_to=bound))[: chunk.limit])
        keys = [self._read_key(key, row) for row in found]  # before `process`, which may change the instances
        # A join repeats a row; its copies have the same key, so they stand together.
        unique = [row for place, row in enumerate(found) if place == 0 or keys[place] != keys[place - 1]]
        last = keys[-1] if keys else cursor
        state = _make_state(key, last, bound)
        return _Page(unique, key, len(unique), state, len(found) < chunk.limit or last == bound)

    def _lock(self, rows: models.QuerySet[Any]) -> models.QuerySet[Any]:
        """Return rows that are locked when they are read, if `lock_rows` says so."""
        features = transaction.get_connection(rows.db).features
        if not self.lock_rows or not features.has_select_for_update:
            return rows
        return rows.select_for_update(of=("self",) if features.has_select_for_update_of else ())

    def _read_key(self, key: CursorKey, row: Any) -> Values:
        """Return the key of a row. Raises HopelessError if it was not read with the row: each row would cost a query."""
        if left_out := row.get_deferred_fields().intersection(key.names):
            raise HopelessError(
                f"task type {self.name!r}: collection() leaves out {', '.join(sorted(left_out))} of its cursor_fields "
                "by only() or defer(): read them as well."
            )
        return key.read(row)

    def _open(self, params: Any) -> tuple[models.QuerySet[Any], CursorKey]:
        """Return the collection, on the database that the chunk writes to, and its key. Raises HopelessError."""
        rows = self.collection(params)
        if faults := self.list_faults(rows):
            raise HopelessError(f"task type {self.name!r}: {' '.join(faults)}")
        try:
            key = _find_key(rows.model, tuple(self.cursor_fields))  # type: ignore[arg-type]
        except ValueError as error:
            raise HopelessError(f"task type {self.name!r}: {error}") from error
        return rows.using(router.db_for_write(rows.model)), key


def to_snake_case(name: str) -> str:
    """Return the name of a class in snake case: NormalisePhones, normalise_phones; PruneAPILogs, prune_api_logs."""
    words = ""
    for place, letter in enumerate(name):
        begins = letter.isupper() and (not name[place - 1].isupper() or name[place + 1 : place + 2].islower())
        words += f"_{letter.lower()}" if place and begins else letter.lower()
    return words


@cache
def _find_key(model: type[models.Model], cursor_fields: tuple[str, ...]) -> CursorKey:
    return find_key(model, cursor_fields)


def _make_state(key: CursorKey, after: Values | None, up_to: Values | None) -> dict[str, Any]:
    return {
        AFTER: None if after is None else key.encode(after),
        UP_TO: None if up_to is None else key.encode(up_to),
    }


def _read_state(key: CursorKey, state: Mapping[str, Any]) -> tuple[Values | None, Values | None]:
    if UP_TO not in state or AFTER not in state:
        raise HopelessError(
            "The task has no bound, so another class ran its first chunks under this name. Start it again; a class that "
            "works differently needs a new name."
        )
    after, up_to = state[AFTER], state[UP_TO]
    cursor = None if after is None else key.decode(after, what="cursor")
    return cursor, None if up_to is None else key.decode(up_to, what="bound")
