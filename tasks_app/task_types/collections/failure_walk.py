"""The walk of a task over the failures of another one: its plan, and pages in the order of the list.

Owns the cursor in the state, and what it means that entries are gone. Must not know how a type finds the record of an entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Count, F, Q, QuerySet

from tasks_app.errors import HopelessError
from tasks_app.models import TaskFailure
from tasks_app.task_types.collections.cursor_keys import CursorKey
from tasks_app.task_types.collections.key_splits import find_last_key, select_range, split_keys
from tasks_app.task_types.failure_lists import FailureRange
from tasks_app.task_types.task_plans import PARTS, Part, Plan

_AFTER: Final = "after"  # position and id of the last entry that was passed
_UP_TO: Final = "upTo"  # of the last entry of the task or of its shard
_LEFT: Final = "left"  # entries from the one to the other
_READ: Final = ("id", "position", "line", "key")


@dataclass(frozen=True, slots=True)
class FailurePage:
    """Some entries in the order of the list, and the state of the walk behind each."""

    failures: list[TaskFailure]
    _before: Mapping[str, Any]

    def get_state(self, passed: int) -> dict[str, Any]:
        """Return the state behind the first `passed` entries of the page."""
        if not passed:
            return dict(self._before)
        last = self.failures[passed - 1]
        return {**self._before, _AFTER: [last.position, last.pk], _LEFT: self._before[_LEFT] - passed}

    def is_end(self, passed: int) -> bool:
        """Return whether no entry follows the first `passed` ones."""
        return bool(self._before[_LEFT] <= passed)


def plan_walk(failures: FailureRange, *, shard_records: int) -> Plan:
    """Return the plan of a task over these failures, with shards of about `shard_records`. Raises HopelessError."""
    rows, key = _select(failures), _get_key()
    # Counted under a condition: in a WHERE the ids could make the database read along the primary key.
    in_range = Q(id__gt=failures.after, id__lte=failures.up_to)
    total = TaskFailure.objects.filter(task_id=failures.task_id).aggregate(n=Count("id", filter=in_range))["n"]
    bound = find_last_key(rows, key)
    if bound is None:
        raise _gone(failures, left=None)
    if not 0 < shard_records < total:
        return Plan(total, state=_make_state(None, bound, total))
    size = max(shard_records, -(-total // PARTS))
    ranges = split_keys(rows, key, bound=bound, total=total, size=size, most=PARTS)
    parts = [Part(_make_state(each.after, each.up_to, each.rows), max(1, each.rows)) for each in ranges]
    return Plan(total, state=parts[0].state, parts=parts)


def read_page(failures: FailureRange, state: Mapping[str, Any], *, limit: int) -> FailurePage:
    """Return the next entries, at least one. Raises HopelessError if entries that the plan has counted are gone."""
    if _UP_TO not in state or _LEFT not in state:
        raise HopelessError(
            "The task has no place in a list of failures: another class has planned it under this name."
        )
    after = state.get(_AFTER)
    rows = select_range(
        _select(failures), _get_key(), after=None if after is None else tuple(after), up_to=tuple(state[_UP_TO])
    )
    page = FailurePage(list(rows.only(*_READ)[:limit]), state)
    if not page.failures and not page.is_end(0):
        raise _gone(failures, left=state[_LEFT])
    return page


def _select(failures: FailureRange) -> QuerySet[TaskFailure]:
    # The sum keeps the database from reading along the primary key: the index of the list has this order.
    rows = TaskFailure.objects.filter(task_id=failures.task_id).alias(entry=F("id") + 0)
    return rows.filter(entry__gt=failures.after, entry__lte=failures.up_to)


def _get_key() -> CursorKey:
    names = ("position", "id")
    return CursorKey(names, tuple(TaskFailure._meta.get_field(name) for name in names))  # type: ignore[misc]


def _make_state(after: tuple[Any, ...] | None, up_to: tuple[Any, ...], left: int) -> dict[str, Any]:
    return {_AFTER: None if after is None else list(after), _UP_TO: list(up_to), _LEFT: left}


def _gone(failures: FailureRange, *, left: int | None) -> HopelessError:
    which, others = ("The", "Nothing was run") if left is None else (f"{left:,} of the", "The others were run")
    return HopelessError(
        f"{which} failed records of task {failures.task_id} are no longer in its list: they were deleted with that task, "
        f"when it was pruned. {others}."
    )
