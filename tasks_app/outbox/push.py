"""The push right after the commit: the task of an outbox row goes to Redis without waiting for the sweep.

Owns this first try. Must not raise: the caller's transaction is committed. It needs no SQL and leaves the row to `sweep`,
which enqueues the task if this process died or Redis was unavailable.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import Final

from django.db import transaction

from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.errors import QueueFull
from tasks_app.queues import enqueue
from tasks_app.queues.redis_clock import clock
from tasks_app.resilience import failpoints

logger = logging.getLogger(__name__)

# After a failure: a transaction that has started many tasks must not wait for Redis once for each.
REST_SECONDS: Final = 5.0
# A later push is left to the sweep, which checks the database: this one checks only whether Redis has the task.
LATEST_SECONDS: Final = 60.0


class _Rest:
    """The time until which this process leaves its pushes to the sweep."""

    until = 0.0


def push_after_commit(snapshot: Snapshot, *, using: str) -> None:
    """Enqueue a task when the caller's transaction has committed; never if it, or its savepoint, is rolled back."""
    transaction.on_commit(partial(_push, snapshot), using=using)


def _push(snapshot: Snapshot) -> None:
    failpoints.reach(failpoints.BEFORE_PUSH)
    is_late = (clock.now() - snapshot.created_at).total_seconds() > LATEST_SECONDS
    if is_late or time.monotonic() < _Rest.until:
        return
    try:
        enqueue.enqueue_tasks([snapshot])
    except QueueFull as error:
        logger.info("task %s stays in the outbox: %s", snapshot.id, error)
    except Exception as error:
        _Rest.until = time.monotonic() + REST_SECONDS
        logger.warning("task %s stays in the outbox, the mirror will enqueue it: %s", snapshot.id, error)
