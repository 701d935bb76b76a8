"""How far a task is, and how long it will still take, as the end of a sentence that begins with its name.

Owns the text and the estimate. Must not read a store.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from tasks_app.domain.task_snapshot import Snapshot

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_LEAST_SECONDS: Final = 1.0  # of a running task, so that its speed is finite


def describe_progress(snapshot: Snapshot, *, now: datetime) -> str:
    """Return `is queued`, `is at 63 %, about 4 minutes left`, `is at 1,200 records`, `has finished` or `is failed`."""
    if snapshot.ended:
        return "has finished" if snapshot.status == "finished" else f"is {snapshot.status}"
    if not snapshot.started_at or (not snapshot.done and not snapshot.total):
        return f"is {snapshot.status}"
    waits = "" if snapshot.status == "started" else f", {snapshot.status}"
    if not snapshot.total:
        return f"is at {snapshot.done:,} records{waits}"
    percent = min(99, 100 * snapshot.done // snapshot.total)
    seconds = estimate_seconds_left(snapshot, now=now)
    left = "" if seconds is None else f", about {format_seconds(seconds)} left"
    return f"is at {percent} %{left}{waits}"


def estimate_seconds_left(snapshot: Snapshot, *, now: datetime) -> float | None:
    """Return how long the rest takes at the speed since the task's first start; None: unknown."""
    if not snapshot.done or not snapshot.total or snapshot.started_at is None:
        return None
    elapsed = max(_LEAST_SECONDS, (now - snapshot.started_at).total_seconds())
    return max(0, snapshot.total - snapshot.done) * elapsed / snapshot.done


def format_seconds(seconds: float) -> str:
    """Return a duration in one unit, with its noun."""
    for unit, name in ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute")):
        if seconds >= 1.5 * unit:
            return _count(round(seconds / unit), name)
    return _count(max(1, round(seconds)), "second")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
