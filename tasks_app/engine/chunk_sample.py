"""Measures one chunk of a task that is not started: in a transaction that is rolled back.

Owns the measurement. Must not write anything that stays, nor know how the speed is shown.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from django.db import transaction

from tasks_app.domain.callers import ADMIN
from tasks_app.engine.chunk_errors import TaskCodeFailed
from tasks_app.engine.chunk_guard import ChunkGuard
from tasks_app.task_types import Chunk, get_limit_seconds, get_task_type
from tasks_app.task_types.task_results import check_results

_LEAST_SECONDS: Final = 0.001


def measure_sample(
    *, name: str, params: Mapping[str, Any], state: Mapping[str, Any], total: int | None
) -> float | None:
    """Return the records per second of the first chunk, as a dry run; None if it has no record.

    Raises what the task type raises, TransactionLost and errors of the database.
    """
    task_type, guard = get_task_type(name), ChunkGuard()
    limit = task_type.first_limit
    chunk = Chunk(
        task_id=uuid.uuid4(),
        params=params,
        start=0,
        limit=limit if total is None or task_type.is_planned else min(limit, total),
        total=None if task_type.is_planned else total,
        state=state,
        scope=ADMIN,
        is_dry_run=True,
    )
    began = time.monotonic()
    try:
        with guard.watching(limit_seconds=get_limit_seconds(task_type)):
            prepared = guard.prepare(partial(task_type.prepare_chunks, [chunk]))
            with transaction.atomic(durable=True):
                results = guard.run(partial(task_type.run_chunks, [chunk], prepared))
                [(result, _)] = check_results(results, task_type=task_type, chunks=[chunk])
                transaction.set_rollback(True)
    except TaskCodeFailed as failed:
        raise failed.error from None
    return result.done / max(_LEAST_SECONDS, time.monotonic() - began) if result.done else None
