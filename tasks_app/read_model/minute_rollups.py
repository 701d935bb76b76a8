"""Per-minute roll-ups: counts, rows, and histograms of waiting and running times, by queue and task type.

Owns TaskMinute. Written by the mirror, in the transaction that applies the snapshots, so a snapshot counts once.
Must not scan tasks, neither to write nor to read.
"""

from __future__ import annotations

import math
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db.models import Sum

from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.models import TaskMinute, TaskRecord

KEEP: Final = timedelta(days=30)
# A bucket's upper bound is 2^(1/4) times its lower one: a quantile read from it is off by 9 % at most.
_BUCKETS_PER_DOUBLING: Final = 4
# The maximum of the columns of counts and of rows in every database. A sum stops there instead of refusing later tasks.
_MOST: Final = (2**31 - 1, 2**63 - 1)

_Key = tuple[int, str, str]  # minute since the epoch, queue, type


@dataclass(slots=True)
class _Minute:
    counts: Counter[str] = field(default_factory=Counter)
    waits: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)


class Rollup:
    """The counts of one transaction of the mirror, by minute."""

    def __init__(self) -> None:
        self._minutes: dict[_Key, _Minute] = {}
        # Rows of tasks whose previous count must be read from the database, by task id.
        self._uncertain: dict[str, tuple[_Key, int]] = {}

    def add(self, entry_id: str, snapshot: Snapshot, known: Snapshot | None) -> None:
        """Add a snapshot. `known` is the previous one; its id is empty if it was rebuilt from the database row."""
        key = (int(entry_id.partition("-")[0]) // 60_000, snapshot.priority, snapshot.name)
        minute = self._minutes.get(key)
        if minute is None:
            minute = self._minutes[key] = _Minute()
        if known is None:
            minute.counts["accepted"] += 1
        if snapshot.cause == "take":
            minute.counts["started"] += 1
        elif snapshot.ended and (known is None or not known.ended):
            minute.counts[snapshot.status] += 1
            if snapshot.started_at is not None:
                minute.waits[_bucket(snapshot.waits_since, snapshot.started_at)] += 1
                if snapshot.ended_at is not None:
                    minute.runs[_bucket(snapshot.started_at, snapshot.ended_at)] += 1
        rows = sum(snapshot.counts.values()) if snapshot.done and not snapshot.dry_run else 0
        if rows:
            if known is None:
                minute.counts["rows"] += rows
            elif known.id:
                minute.counts["rows"] += max(0, rows - sum(known.counts.values()))
            else:
                self._uncertain[snapshot.id] = (key, rows)

    def save(self) -> None:
        """Add the counts to the table. Must run before the task rows are saved, because it reads their previous counts."""
        if not self._minutes:
            return
        self._add_rows_of_uncertain()
        moments = {key: datetime.fromtimestamp(key[0] * 60, tz=UTC) for key in self._minutes}
        stored = {
            (int(row.minute.timestamp()) // 60, row.queue, row.name): row
            for row in TaskMinute.objects.filter(minute__in=set(moments.values()))
        }
        changed, added = [], []
        for key, minute in self._minutes.items():
            row = stored.get(key)
            if row is None:
                row = TaskMinute(minute=moments[key], queue=key[1], name=key[2])
                added.append(row)
            else:
                changed.append(row)
            for name, number in minute.counts.items():
                setattr(row, name, min(_MOST[name == "rows"], getattr(row, name) + number))
            row.waits = merge([row.waits, minute.waits])
            row.runs = merge([row.runs, minute.runs])
        for row in changed:
            row.save()
        if added:
            TaskMinute.objects.bulk_create(added)
            if any(row.minute.minute == 0 for row in added):
                TaskMinute.objects.filter(minute__lt=added[0].minute - KEEP).delete()

    def _add_rows_of_uncertain(self) -> None:
        if not self._uncertain:
            return
        before = dict(TaskRecord.objects.filter(pk__in=list(self._uncertain), done__gt=0).values_list("pk", "counts"))
        for task_id, (key, rows) in self._uncertain.items():
            counts: Mapping[str, int] = before.get(uuid.UUID(task_id), {})
            self._minutes[key].counts["rows"] += max(0, rows - sum(counts.values()))


@dataclass(frozen=True, slots=True)
class MinuteView:
    """One minute, over all queues and types."""

    minute: datetime
    ended: int
    rows: int
    waits: dict[str, int]
    runs: dict[str, int]


def list_last(*, minutes: int, now: datetime | None = None) -> list[MinuteView]:
    """Return the last minutes, oldest first and the current one last, including minutes without tasks."""
    last = (now or datetime.now(UTC)).replace(second=0, microsecond=0)
    first = last - timedelta(minutes=minutes - 1)
    rows: dict[datetime, list[TaskMinute]] = {}
    for row in TaskMinute.objects.filter(minute__gte=first, minute__lte=last):
        rows.setdefault(row.minute, []).append(row)
    views = []
    for index in range(minutes):
        minute = first + timedelta(minutes=index)
        found = rows.get(minute, [])
        views.append(
            MinuteView(
                minute=minute,
                ended=sum(row.finished + row.failed + row.canceled + row.stopped for row in found),
                rows=sum(row.rows for row in found),
                waits=merge([row.waits for row in found]),
                runs=merge([row.runs for row in found]),
            )
        )
    return views


def count_since(moment: datetime) -> dict[str, int]:
    """Return how many tasks were accepted and how many ended, by how, since the minute of `moment`."""
    names = ("accepted", "finished", "failed", "canceled", "stopped", "rows")
    sums = TaskMinute.objects.filter(minute__gte=moment.replace(second=0, microsecond=0)).aggregate(
        **{f"sum_{name}": Sum(name) for name in names}
    )
    return {name: sums[f"sum_{name}"] or 0 for name in names}


def merge(histograms: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the sum of histograms."""
    total: Counter[str] = Counter()
    for histogram in histograms:
        total.update(histogram)
    return dict(total)


def quantile_seconds(histogram: Mapping[str, int], share: float) -> float | None:
    """Return the quantile `share` of the histogram in seconds; None for an empty histogram."""
    total = sum(histogram.values())
    if not total:
        return None
    left = share * total
    buckets = sorted((int(bucket), number) for bucket, number in histogram.items())
    reached = 0
    for reached, number in buckets:  # noqa: B007 (used after the loop)
        left -= number
        if left <= 1e-9:
            break
    return 2 ** ((reached - 0.5) / _BUCKETS_PER_DOUBLING) / 1000


def _bucket(start: datetime, end: datetime) -> str:
    milliseconds = max(1.0, (end - start).total_seconds() * 1000)
    return str(math.ceil(_BUCKETS_PER_DOUBLING * math.log2(milliseconds)))
