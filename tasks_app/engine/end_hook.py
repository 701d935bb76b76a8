"""Calls `TaskType.on_end` when a worker has ended a task, within the limits of all code of task types.

Owns that an error in it is logged and changes nothing. Must not end a task.
"""

from __future__ import annotations

import logging
from functools import partial

from tasks_app.domain.error_text import describe_error
from tasks_app.engine.chunk_errors import TaskCodeFailed
from tasks_app.engine.chunk_guard import ChunkGuard
from tasks_app.engine.task_session import TaskSession
from tasks_app.resilience.transient_errors import is_transient_error
from tasks_app.task_types import get_limit_seconds, get_task_type

logger = logging.getLogger(__name__)


def call(session: TaskSession, *, guard: ChunkGuard) -> None:
    """Call the hook of a task that has ended. Only faults of the engine are raised."""
    snapshot, task_type = session.snapshot, get_task_type(session.snapshot.name)
    hook = partial(
        task_type.on_end,
        task_id=session.claim.task_id,
        params=snapshot.params,
        status=session.ended_as,
        error=session.error,
    )
    try:
        with guard.watching(limit_seconds=get_limit_seconds(task_type)):
            guard.prepare(hook)
    except TaskCodeFailed as failed:
        logger.error("task %s: on_end of its type failed: %s", snapshot.id, describe_error(failed.error))
    except Exception as error:
        if not is_transient_error(error):
            raise
        logger.warning("task %s: on_end of its type failed: %.500s", snapshot.id, error)
