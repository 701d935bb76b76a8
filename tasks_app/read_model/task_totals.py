"""Totals over all tasks, for Prometheus: the mirror counts the snapshots that it applies, in one Redis hash.

Owns that hash and the names of its fields. Must not scan tasks: every change of a task passes through the mirror. A
mirror that dies between its commit and `TotalsDelta.save` loses the counts of one batch; nothing is counted twice.
After a FLUSHALL the totals restart at 0, which Prometheus handles as a counter reset.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from redis import Redis, ResponseError

from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.queues.thread_connection import RedisRefused, get_refusal

KEY: Final = "longtasks:totals"
# Upper bounds of the histograms' buckets, in seconds. A run may take hours.
WAIT_BOUNDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
RUN_BOUNDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 43200.0)
BOUNDS: Final[Mapping[str, tuple[float, ...]]] = {"wait": WAIT_BOUNDS, "run": RUN_BOUNDS}
_CAUSES: Final[Mapping[str, str]] = {
    "yield": "preempted",
    "rescue": "rescued",
    "foreign_worker": "rescued",
    "attempt_failed": "attempts_failed",
    "retry": "retried",
}
# A full Redis refuses a script only at its first write, and HDEL needs no memory: so the script runs on a full Redis.
# Returns index and reason of each field that Redis refuses.
_ADD: Final = """
local refused = {}
redis.pcall('HDEL', KEYS[1], '')
for i = 1, #ARGV, 2 do
  local answer = redis.pcall('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1])
  if type(answer) == 'table' and answer.err then
    refused[#refused + 1] = (i - 1) / 2
    refused[#refused + 1] = answer.err
  end
end
return refused
"""
_SEPARATOR: Final = "|"  # not allowed in the name of a task type


class TotalsDelta:
    """The counts that one transaction of the mirror adds to the totals."""

    def __init__(self) -> None:
        self._more: Counter[str] = Counter()
        self._seconds: Counter[str] = Counter()

    def add(self, snapshot: Snapshot, known: Snapshot | None) -> None:
        """Count a snapshot that supersedes `known` (None: the task's first)."""
        labels = (snapshot.priority, snapshot.name)
        if known is None:
            self._count("accepted", *labels)
        if snapshot.cause in _CAUSES:
            self._count(_CAUSES[snapshot.cause], *labels)
        elif snapshot.cause == "take" and snapshot.epoch == 0 and snapshot.started_at is not None:
            # The first claim raises the epoch, so epoch 0 is the task's first start.
            self._observe("wait", *labels, begin=snapshot.waits_since, end=snapshot.started_at)
        if snapshot.ended and (known is None or not known.ended):
            self._count("ended", *labels, snapshot.status)
            if snapshot.started_at is not None and snapshot.ended_at is not None:
                self._observe("run", *labels, begin=snapshot.started_at, end=snapshot.ended_at)
        if snapshot.done and not snapshot.dry_run:
            before = known.counts if known is not None else {}
            for table, rows in snapshot.counts.items():
                if (more := rows - before.get(table, 0)) > 0:
                    self._more[_SEPARATOR.join(("rows", snapshot.name, table))] += more

    def add_shard(self, snapshot: Snapshot) -> None:
        """Count preemptions and rescues of a shard. Everything else is counted on the parent task."""
        if snapshot.cause in _CAUSES:
            self._count(_CAUSES[snapshot.cause], snapshot.priority, snapshot.name)

    def merge(self, other: TotalsDelta) -> None:
        """Add the counts of another delta."""
        self._more.update(other._more)
        self._seconds.update(other._seconds)

    def add_total(self, name: str, number: int) -> None:
        """Add to one field of the hash."""
        self._more[name] += number

    def save(self, connection: Redis[Any]) -> list[tuple[str, int, Exception]]:
        """Add all counts to the hash in one round trip, and reset them. Returns the fields that Redis refused, with errors.

        The counts are reset even if the reply is lost, so nothing is counted twice.
        """
        # Seconds are whole microseconds: HINCRBYFLOAT would print 17 digits and drift.
        fields = [*self._more.items(), *self._seconds.items()]
        if not fields:
            return []
        self._more, self._seconds = Counter(), Counter()
        answers: Any = connection.eval(_ADD, 1, KEY, *(word for pair in fields for word in pair))
        texts = [error.decode(errors="replace") for error in answers[1::2]]
        return [
            (*fields[int(index)], RedisRefused(text) if get_refusal(text) else ResponseError(text))
            for index, text in zip(answers[::2], texts, strict=True)
        ]

    def _count(self, *parts: str) -> None:
        self._more[_SEPARATOR.join(parts)] += 1

    def _observe(self, kind: str, *labels: str, begin: datetime, end: datetime) -> None:
        seconds = max(0.0, (end - begin).total_seconds())
        bucket = bisect_left(BOUNDS[kind], seconds)
        self._more[_SEPARATOR.join((kind, *labels, str(bucket)))] += 1
        self._seconds[_SEPARATOR.join((f"{kind}_us", *labels))] += round(seconds * 1e6)


class Totals:
    """The totals as read at one moment."""

    def __init__(self, fields: Mapping[bytes, bytes]) -> None:
        self._values = [(name.decode(errors="replace").split(_SEPARATOR), int(value)) for name, value in fields.items()]

    def counts(self, kind: str) -> Iterator[tuple[list[str], int]]:
        """Yield (labels, total) of one kind: accepted, ended, rows, preempted, rescued, attempts_failed, retried."""
        return ((parts[1:], value) for parts, value in self._values if parts[0] == kind)

    def histograms(self, kind: str) -> Iterator[tuple[list[str], list[tuple[str, float]], float]]:
        """Yield (labels, cumulative buckets, sum of seconds) of `wait` or `run`."""
        buckets: dict[tuple[str, ...], Counter[int]] = {}
        sums: dict[tuple[str, ...], float] = {}
        for parts, value in self._values:
            if parts[0] == kind:
                buckets.setdefault(tuple(parts[1:-1]), Counter())[int(parts[-1])] = value
            elif parts[0] == f"{kind}_us":
                sums[tuple(parts[1:])] = value / 1e6
        for labels, counted in buckets.items():
            total, cumulative = 0, []
            for index, bound in enumerate((*BOUNDS[kind], float("inf"))):
                total += counted[index]
                cumulative.append(("+Inf" if bound == float("inf") else f"{bound:g}", float(total)))
            yield list(labels), cumulative, sums.get(labels, 0.0)


def read_totals(connection: Redis[Any]) -> Totals:
    """Read the totals: one HGETALL of a hash with some 50 fields per task type."""
    fields: Any = connection.hgetall(KEY)
    return Totals(fields)
