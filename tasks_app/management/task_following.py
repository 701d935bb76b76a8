"""Follows a task to its end: its state, read again and again, also while a store is briefly unavailable.

Owns the loop. Must not show anything.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Final

from tasks_app import errors
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.read_model import task_queries

POLL_SECONDS: Final = 0.2


def follow_task(snapshot: Snapshot, *, timeout_seconds: float = math.inf) -> Iterator[Snapshot]:
    """Yield the task's state until it has ended, or the time is over. The last one is the newest known."""
    deadline = time.monotonic() + timeout_seconds
    yield snapshot
    while not snapshot.ended and (left := deadline - time.monotonic()) > 0:
        time.sleep(min(POLL_SECONDS, left))
        try:
            snapshot = task_queries.get_task(task_id=snapshot.id)
        except (errors.QueueUnavailable, errors.StoreUnavailable):
            continue
        yield snapshot
