"""Keeps one bad item from blocking a shared loop: halves a refused batch until the bad item is found.

Owns the distinction between an outage, which is raised and sets nothing aside, and an item's own error. Must not know
what the items are: the caller applies a batch, and sets an item aside, each in a transaction of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from django.db import connections

from tasks_app.errors import QueueUnavailable, StoreUnavailable
from tasks_app.resilience import set_aside_items
from tasks_app.resilience.transient_errors import is_transient_error

Item = TypeVar("Item")

REST_SECONDS: Final = 60.0  # how long a loop skips a set-aside task before it tries it again
MAX_RESTING: Final = 10_000  # kept in memory


def is_outage(error: BaseException) -> bool:
    """Return whether a store is unavailable or refuses every item, not only this one."""
    return isinstance(error, (QueueUnavailable, StoreUnavailable)) or is_transient_error(error)


class Interrupted(Exception):
    """The batch must not be applied any further. This is neither an item's error nor an outage."""


def apply_batch(
    items: Sequence[Item],
    *,
    apply: Callable[[Sequence[Item]], None],
    set_aside: Callable[[Item, Exception], None],
) -> int:
    """Apply items in order, as one batch if none is refused. Returns how many were set aside.

    `apply` must have no effect when it raises, or be idempotent. Raises the error of an outage; what was applied
    before it stays applied.
    """
    if not items:
        return 0
    try:
        apply(items)
    except Exception as error:
        return apply_halves(items, error, apply=apply, set_aside=set_aside)
    return 0


def apply_halves(
    items: Sequence[Item],
    error: Exception,
    *,
    apply: Callable[[Sequence[Item]], None],
    set_aside: Callable[[Item, Exception], None],
) -> int:
    """Apply items whose batch was refused with `error`, in halves, down to the item that is set aside."""
    if isinstance(error, Interrupted) or is_outage(error):
        raise error
    _close_broken_connections()
    if len(items) == 1:
        set_aside(items[0], error)
        return 1
    middle = len(items) // 2
    return sum(apply_batch(half, apply=apply, set_aside=set_aside) for half in (items[:middle], items[middle:]))


class Isolation:
    """For a loop that processes tasks one by one: one that fails is set aside and skipped for a while."""

    def __init__(self) -> None:
        self._rest_until: dict[str, float] = {}

    def is_resting(self, task_id: str) -> bool:
        """Return whether the task is still to be skipped."""
        return self._rest_until.get(task_id, 0.0) > time.monotonic()

    def run(self, task_id: str, step: Callable[[], object]) -> None:
        """Process one task, unless it is resting. Raises only the error of an outage."""
        if self.is_resting(task_id):
            return
        try:
            step()
        except Exception as error:
            if is_outage(error):
                raise
            _close_broken_connections()
            self.set_aside(task_id, error)
            return
        if self._rest_until.pop(task_id, None) is not None:
            set_aside_items.forget(kind=set_aside_items.TASK, key=task_id)

    def set_aside(self, task_id: str, error: Exception) -> None:
        """Set a task aside and let it rest."""
        set_aside_items.note(kind=set_aside_items.TASK, key=task_id, payload=b"", error=error)
        self.let_rest(task_id)

    def let_rest(self, task_id: str) -> None:
        """Skip a task for REST_SECONDS."""
        if len(self._rest_until) >= MAX_RESTING:
            self._rest_until.clear()
        self._rest_until[task_id] = time.monotonic() + REST_SECONDS


def _close_broken_connections() -> None:
    """Close broken connections: a server that refuses a packet as too long also closes the connection."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
