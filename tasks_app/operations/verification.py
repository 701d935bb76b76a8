"""Verifies tasks: compares the rows in the tables with the counts of the checkpoint and of the record.

Owns the comparison. Must not write anything: people judge the differences.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.db.models import Q

from tasks_app.domain import task_status
from tasks_app.errors import UnknownTask, UnknownTaskType
from tasks_app.models import TaskCheckpoint, TaskRecord
from tasks_app.resilience.transient_errors import mapped_database_errors
from tasks_app.task_types import get_task_type, list_task_types

PAGE: Final = 200
TRIES: Final = 5

EQUAL: Final = "equal"
DIFFERENT: Final = "different"
PURGED: Final = "purged"  # a later task has deleted its rows on request
UNCOUNTED: Final = "uncounted"  # its type cannot count rows; record and checkpoint are equal


@dataclass(slots=True)
class Comparison:
    """The result of comparing one task."""

    task_id: str
    name: str
    status: str
    verdict: str = EQUAL
    record: dict[str, int] = field(default_factory=dict)
    checkpoint: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] | None = None
    differences: list[str] = field(default_factory=list)


def verify_task(*, task_id: str) -> Comparison:
    """Compare one task. Raises UnknownTask, StoreUnavailable."""
    try:
        key = uuid.UUID(task_id)
    except (ValueError, AttributeError):
        raise UnknownTask(task_id) from None
    with mapped_database_errors():
        record = TaskRecord.objects.filter(pk=key).first()
        if record is None:
            raise UnknownTask(task_id)
        return _verify(record)


def verify_all() -> Iterator[Comparison]:
    """Compare all tasks that have a record, oldest first, in pages."""
    after = uuid.UUID(int=0)
    while True:
        with mapped_database_errors():
            records = list(TaskRecord.objects.filter(pk__gt=after).order_by("pk")[:PAGE])
            yield from map(_verify, records)
        if len(records) < PAGE:
            return
        after = records[-1].pk


def _verify(record: TaskRecord) -> Comparison:
    comparison = Comparison(task_id=str(record.pk), name=record.name, status=record.status)
    for attempt in range(TRIES):
        before = _read_checkpoint(record.pk)
        rows = _count_rows(record)
        if _read_checkpoint(record.pk) == before:
            break  # nothing was committed while we counted
        if attempt == TRIES - 1:
            comparison.differences.append(
                "the task commits rows faster than they can be counted: verify it after its end"
            )
    record.refresh_from_db()
    done, counts, outcome = before
    comparison.status, comparison.record, comparison.checkpoint = record.status, _without_zeros(record.counts), counts
    comparison.rows = _without_zeros(rows) if rows is not None else None
    # The record of a running task may be older than its checkpoint, because the mirror lags.
    if outcome and record.status in task_status.ENDED:
        if record.status != outcome:
            comparison.differences.append(f"status: the record says {record.status}, the checkpoint {outcome}")
        if record.done != done:
            comparison.differences.append(f"done: the record says {record.done}, the checkpoint {done}")
        comparison.differences += _compare("record", comparison.record, "checkpoint", counts)
    elif outcome and record.status not in task_status.ENDED:
        comparison.differences.append(f"status: the record says {record.status}, the checkpoint {outcome}")
    elif not outcome and record.status == task_status.FINISHED:
        comparison.differences.append("the record says finished, the checkpoint does not")
    kept = {} if record.dry_run else counts  # every chunk of a dry run was rolled back
    wrong_rows = [] if comparison.rows is None else _compare("checkpoint", kept, "tables", comparison.rows)
    if wrong_rows and _is_purged(record):
        comparison.verdict = PURGED
    else:
        comparison.differences += wrong_rows
        comparison.verdict = UNCOUNTED if comparison.rows is None else EQUAL
    if comparison.differences:
        comparison.verdict = DIFFERENT
    return comparison


def _read_checkpoint(task_id: uuid.UUID) -> tuple[int, dict[str, int], str]:
    row = TaskCheckpoint.objects.filter(pk=task_id).first()
    return (row.done, _without_zeros(row.counts), row.outcome) if row is not None else (0, {}, "")


def _count_rows(record: TaskRecord) -> Mapping[str, int] | None:
    try:
        return get_task_type(record.name).count_rows(record.pk)
    except UnknownTaskType:
        return None


def _is_purged(record: TaskRecord) -> bool:
    """Return whether a later task was started to delete the rows of this task."""
    wanted = Q()
    for task_type in list_task_types():
        if task_type.undoes:
            wanted |= Q(name=task_type.name, **{f"params__{task_type.undoes}": str(record.pk)})
    return bool(wanted) and TaskRecord.objects.filter(wanted, pk__gt=record.pk, done__gt=0).exists()


def _compare(first: str, wanted: Mapping[str, int], second: str, found: Mapping[str, int]) -> list[str]:
    names = sorted({*wanted, *found})
    return [
        f"{name}: the {first} says {wanted.get(name, 0)}, the {second} {found.get(name, 0)}"
        for name in names
        if wanted.get(name, 0) != found.get(name, 0)
    ]


def _without_zeros(counts: Mapping[str, Any]) -> dict[str, int]:
    return {name: number for name, number in counts.items() if number}
