"""Waits between two tries while a store is unavailable: longer each time, up to a second.

Owns the pauses, and that a process which shall stop stops waiting. Must not decide which errors are transient.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from django.db import connections


class ShutdownRequested(Exception):
    """The process was asked to stop while it waited for the infrastructure."""


class Backoff:
    """Waits between two tries, longer each time, up to a second; ends at once when the process shall stop."""

    def __init__(self, *, should_stop: Callable[[], bool], while_waiting: Callable[[], None] | None = None) -> None:
        self._should_stop = should_stop
        self._while_waiting = while_waiting
        self._tries = 0

    def wait(self) -> None:
        """Wait a little. Raises ShutdownRequested when the process shall stop. Closes database connections that broke."""
        if self._tries >= 1 and self._should_stop():
            raise ShutdownRequested  # after a second try: a deadlock is soon over
        for connection in connections.all(initialized_only=True):
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()
        pause_seconds = min(1.0, 0.02 * 2**self._tries)
        self._tries += 1
        time.sleep(pause_seconds * random.uniform(0.5, 1.0))  # noqa: S311 (jitter is no secret)
        if self._while_waiting is not None:
            self._while_waiting()
