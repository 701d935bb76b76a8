"""Failpoints: named lines at which a test may kill the process, to prove what survives there.

`CRASH_POINTS="after_chunk_commit=3"` sends SIGKILL to this process when it reaches that line for the third time.
Production settings refuse the variable. `listening` lets code of this process raise there instead (tasks_app/testing).
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from tasks_app.conf import settings

AFTER_DEQUEUE: Final = "after_take"  # dequeued and marked as started in Redis, not claimed in the database
BEFORE_CHUNK_COMMIT: Final = "before_chunk_commit"  # rows and checkpoint written, not committed
AFTER_CHUNK_COMMIT: Final = "after_chunk_commit"  # committed, not published to Redis
AFTER_DRY_CHUNK: Final = "after_dry_chunk"  # a chunk of a dry run is rolled back, its cursor has not moved
BEFORE_END: Final = "before_end"  # the last chunk is committed, the end is not published
IN_RESCUE: Final = "in_rescue"  # the claim is released in the database, the task is not requeued
IN_MIRROR: Final = "in_mirror"  # task rows written, transaction not committed
BEFORE_PUSH: Final = "before_push"  # a start is committed with its transaction, Redis does not have it
NAMES: Final = (
    AFTER_DEQUEUE,
    BEFORE_CHUNK_COMMIT,
    AFTER_CHUNK_COMMIT,
    AFTER_DRY_CHUNK,
    BEFORE_END,
    IN_RESCUE,
    IN_MIRROR,
    BEFORE_PUSH,
)

_passed: Counter[str] = Counter()
_listeners: list[Callable[[str], None]] = []


@contextmanager
def listening(listener: Callable[[str], None]) -> Generator[None, None, None]:
    """Call `listener` with the name of each failpoint that this process reaches inside the block. It may raise."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def reach(name: str) -> None:
    """Reach the failpoint `name`; kill this process if a test has requested that."""
    for listener in _listeners:
        listener(name)
    wanted = settings.LONGTASKS.crash_points
    if not wanted:
        return
    _passed[name] += 1
    for part in wanted.split(","):
        point, _, passing = part.strip().partition("=")
        if point == name and _passed[name] == int(passing or 1):
            os.kill(os.getpid(), signal.SIGKILL)
