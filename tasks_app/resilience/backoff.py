"""Waits between two tries while a store is unavailable: longer each time, up to a second.

Owns the wait, and its end when the process shall stop. Must not decide which errors are transient.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from django.db import connections

from tasks_app.resilience.retry_delay import get_delay_seconds

FIRST_SECONDS: Final = 0.02
MAX_SECONDS: Final = 1.0


class ShutdownRequested(Exception):
    """The process was asked to stop while it waited for a store."""


class Backoff:
    """The waits of one step or loop. A new one begins with the shortest wait."""

    def __init__(self, *, should_stop: Callable[[], bool], while_waiting: Callable[[], None] | None = None) -> None:
        self._should_stop = should_stop
        self._while_waiting = while_waiting
        self._failures = 0

    def wait(self) -> None:
        """Close broken database connections, sleep, then call `while_waiting`.

        Raises ShutdownRequested if the process shall stop, but only from the second call on: a deadlock is soon over.
        """
        if self._failures >= 1 and self._should_stop():
            raise ShutdownRequested
        for connection in connections.all(initialized_only=True):
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()
        self._failures += 1
        time.sleep(
            get_delay_seconds(self._failures, first_seconds=FIRST_SECONDS, max_seconds=MAX_SECONDS, jitter=(0.5, 1.0))
        )
        if self._while_waiting is not None:
            self._while_waiting()
