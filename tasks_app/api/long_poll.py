"""Long polling for a task's end inside a request (`?wait=`, `Prefer: wait`).

Owns the wait. In web's event loop the request is held without a thread (held_requests.py). Elsewhere it blocks its
thread, so only WAITERS may wait at once; further requests get their response at once. Must not serve many watchers: the
event stream does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import BoundedSemaphore
from typing import Final

from django.http import HttpRequest

from tasks_app.api import held_requests
from tasks_app.domain import task_snapshot
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.queues.suspended_calls import CannotSuspend, is_suspendable

LONGEST_SECONDS: Final = 60.0
WAITERS: Final = 2  # threads of one process
_FIRST_PAUSE_SECONDS: Final = 0.02
_LONGEST_PAUSE_SECONDS: Final = 0.5

_places = BoundedSemaphore(WAITERS)


def wait_for_end(
    request: HttpRequest, snapshot: Snapshot, *, read: Callable[[], Snapshot | None], seconds: float
) -> tuple[Snapshot, bool]:
    """Return the task when it has ended or after `seconds` (at most 60), and whether the request could wait.

    `read` returns the newest snapshot, or None. Sets `waited_seconds` on the request, which the metrics subtract.
    """
    if snapshot.ended or seconds <= 0:
        return snapshot, True
    began = time.monotonic()
    deadline = began + min(seconds, LONGEST_SECONDS)
    try:
        if is_suspendable():
            newest = held_requests.wait(
                snapshot.id, deadline, request_bytes=request.META.get("longtasks.request_bytes", 0)
            )
            return newest if newest is not None and task_snapshot.supersedes(newest, snapshot) else snapshot, True
        return _wait_in_thread(snapshot, read=read, deadline=deadline), True
    except CannotSuspend:
        return snapshot, False
    finally:
        request.waited_seconds = time.monotonic() - began  # type: ignore[attr-defined]


def _wait_in_thread(snapshot: Snapshot, *, read: Callable[[], Snapshot | None], deadline: float) -> Snapshot:
    if not _places.acquire(blocking=False):
        raise CannotSuspend
    try:
        pause_seconds = _FIRST_PAUSE_SECONDS
        while not snapshot.ended and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(pause_seconds, left))
            pause_seconds = min(pause_seconds * 1.5, _LONGEST_PAUSE_SECONDS)
            snapshot = read() or snapshot
        return snapshot
    finally:
        _places.release()
