"""The plan of a task before it is started: its records, its time by tasks that have finished, and how it reads.

Owns these answers. Writes nothing: the database refuses every write meanwhile, also one of the task type's code.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import DEFAULT_DB_ALIAS

from tasks_app.conf import settings
from tasks_app.database.read_only import is_refused_write, read_only
from tasks_app.domain import task_status
from tasks_app.domain.error_text import error_line
from tasks_app.errors import LongtasksError, StoreUnavailable
from tasks_app.models import TaskRecord
from tasks_app.resilience.transient_errors import is_transient_error, mapped_database_errors
from tasks_app.task_types import CursorUse, Plan, TaskType, get_task_type
from tasks_app.task_types.task_results import check_plan, check_total

_LATEST: Final = 100  # tasks of a type among which finished ones are looked for
_MEASURED: Final = 5  # finished tasks whose speed counts
_LEAST_SECONDS: Final = 0.001  # of a task, so that its speed is finite


class CannotPlan(LongtasksError):
    """The task type's own code failed while the plan was made. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Pace:
    """A speed, and where it comes from, as the end of a sentence about the time."""

    records_per_second: float
    source: str


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """What is known of a task before its start."""

    name: str
    total: int | None  # None: unknown
    is_estimate: bool
    shards: int  # 0: it is not split
    pace: Pace | None  # None: no task of the type has finished
    cursor: CursorUse | None  # None: unknown
    first_state: Mapping[str, Any] = field(default_factory=dict)  # with which its first chunk begins

    @property
    def seconds(self) -> float | None:
        """How long the task would take; None: unknown."""
        return None if self.pace is None or self.total is None else self.total / self.pace.records_per_second


def plan_task(*, name: str, params: Mapping[str, Any]) -> TaskPlan:
    """Return the plan of a task with validated params. Raises CannotPlan and StoreUnavailable."""
    task_type = get_task_type(name)
    try:
        with read_only(DEFAULT_DB_ALIAS):
            plan = _make_plan(task_type, params)
            cursor: object = task_type.explain_cursor(params)
    except Exception as error:  # code of the task type
        if is_refused_write(error):
            raise CannotPlan(
                f"The plan of {name!r} failed: its code writes to the database, which a plan must not."
            ) from error
        if is_transient_error(error):
            raise StoreUnavailable(error) from error
        raise CannotPlan(f"The plan of {name!r} failed: {error_line(error, characters=500)}") from error
    if cursor is not None and not isinstance(cursor, CursorUse):
        raise CannotPlan(f"explain_cursor of {name!r} returned {type(cursor).__name__} instead of a CursorUse or None.")
    total, is_estimate = (plan.total, plan.is_estimate) if isinstance(plan, Plan) else (plan, False)
    if total is None and cursor is not None:
        total, is_estimate = cursor.rows, cursor.rows_are_estimate
    parts = plan.parts if isinstance(plan, Plan) else ()
    state = parts[0].state if parts else plan.state if isinstance(plan, Plan) else {}
    pace = _measure(name)
    return TaskPlan(name, total, is_estimate, len(parts), pace, cursor, state)


def _make_plan(task_type: TaskType, params: Mapping[str, Any]) -> Plan | int | None:
    """Return the plan that a worker would make, or the total of a type that is not planned."""
    if not task_type.is_planned:
        return check_total(task_type.total(params), task_type=task_type)
    shard_records = settings.LONGTASKS.shard_records if task_type.splittable else 0
    plan = task_type.make_plan(task_id=uuid.UUID(int=0), params=params, shard_records=shard_records)
    return check_plan(plan, task_type=task_type)


def _measure(name: str) -> Pace | None:
    """Return the speed of the last tasks of a type that have finished; of dry runs only if there are no others."""
    with mapped_database_errors():
        latest = TaskRecord.objects.filter(name=name).order_by("-pk").defer("params", "error", "counts")[:_LATEST]
        ran = [each for each in latest if each.status == task_status.FINISHED and each.done and each.started_at]
    for is_dry_run, words in ((False, "finished tasks"), (True, "dry runs")):
        if found := [each for each in ran if each.dry_run == is_dry_run][:_MEASURED]:
            one = words.removesuffix("s")
            source = (
                f"as the last {len(found)} {words} of this type ran"
                if len(found) > 1
                else f"as the last {one} of this type ran"
            )
            return Pace(sum(each.done for each in found) / _sum_seconds(found), source)
    return None


def _sum_seconds(records: Sequence[TaskRecord]) -> float:
    spans = [
        (each.ended_at - each.started_at).total_seconds()
        for each in records
        if each.ended_at is not None and each.started_at is not None
    ]
    return max(_LEAST_SECONDS, sum(spans))
