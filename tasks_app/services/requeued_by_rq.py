"""Turns `rq requeue` of an ended task into a retry, as through the API.

RQ's own classes do not know snapshots and checkpoints: they only add the task's id to its queue, where a worker dequeues
it. Owns what the worker does then. Must not run the task.
"""

from __future__ import annotations

import logging
from typing import Any

import redis

from tasks_app.auth import audit_log
from tasks_app.errors import LongtasksError, QueueUnavailable, StoreUnavailable
from tasks_app.queues import transitions
from tasks_app.queues.transitions import DequeuedTask, Transition
from tasks_app.services import change_tasks

logger = logging.getLogger(__name__)


def retry(connection: redis.Redis[Any], dequeued: DequeuedTask) -> None:
    """Retry a dequeued task that has ended, or log why it cannot be retried, and leave it unchanged.

    The task is moved back to its ended state first, so a worker that dies in between loses the request only.
    Idempotent. Raises transient errors.
    """
    snapshot = dequeued.snapshot
    # Source "any", because a task requeued twice is in the queue twice. A transition from "started" would change ended_at.
    transitions.apply_transitions(connection, [Transition(snapshot, "any", "ended")])
    try:
        change_tasks.retry_task(task_id=snapshot.id, actor="rq", source=audit_log.RQ)
    except (QueueUnavailable, StoreUnavailable) as error:
        raise error.__cause__ or error from None
    except LongtasksError as error:
        logger.warning("`rq requeue` of task %s was refused: %s", snapshot.id, error)
    else:
        logger.warning("task %s is retried, because RQ's own tools requeued it", snapshot.id)
