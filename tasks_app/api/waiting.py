"""Waiting for a task's end inside a request (`?wait=`, `Prefer: wait`).

A waiting request holds one of web's few threads, so only some may wait at once; the others are answered at
once and ask again after Retry-After. Many watchers belong to the event stream, not here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import BoundedSemaphore
from typing import Final

from tasks_app.events import Snapshot

LONGEST_SECONDS: Final = 60.0
WAITERS: Final = 2  # of one web process
_FIRST_PAUSE_SECONDS: Final = 0.02
_LONGEST_PAUSE_SECONDS: Final = 0.5

_places = BoundedSemaphore(WAITERS)


def wait_for_end(*, read: Callable[[], Snapshot], seconds: float) -> Snapshot:
    """Return the task as soon as it has ended, or as it is after `seconds` (60 at most) or without a free place."""
    snapshot = read()
    if snapshot.ended or seconds <= 0 or not _places.acquire(blocking=False):
        return snapshot
    try:
        deadline = time.monotonic() + min(seconds, LONGEST_SECONDS)
        pause_seconds = _FIRST_PAUSE_SECONDS
        while not snapshot.ended and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(pause_seconds, left))
            pause_seconds = min(pause_seconds * 1.5, _LONGEST_PAUSE_SECONDS)
            snapshot = read()
        return snapshot
    finally:
        _places.release()
