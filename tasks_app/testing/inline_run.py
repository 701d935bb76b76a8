"""`run_task`: runs a task type in the test's process, without workers and Redis, and returns what the task has left.

Owns this function. Must not know crashes (survival).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from tasks_app.domain.callers import COMMAND_LINE, Caller
from tasks_app.models import TaskCheckpoint
from tasks_app.testing.inline_task import InlineTask, check_transactions
from tasks_app.testing.new_task import accept_task
from tasks_app.testing.task_result import TaskResult, read_result


def run_task(
    name: str,
    params: Mapping[str, Any] | None = None,
    *,
    max_failures: int | str = 0,
    chunk_records: int | None = None,
    shard_records: int = 0,
    caller: Caller = COMMAND_LINE,
    check: bool = True,
) -> TaskResult:
    """Run a task from its start to its end, in real transactions.

    `params` are as in a request; dates, decimals, UUIDs and the like may be Python's, and a Path or bytes is stored as
    an uploaded file. `chunk_records` is the limit of each chunk, `shard_records` the size above which the task is split;
    the shards then run one after the other. There is one attempt: an error of the task type's code is raised, or, with
    `check=False`, in the result. What the start of a task refuses is raised in any case.
    """
    check_transactions()
    snapshot = accept_task(name, params, max_failures=max_failures, caller=caller)
    task = InlineTask(snapshot, chunk_records=chunk_records, shard_records=shard_records)
    try:
        task.run()
    except Exception:
        if check or not TaskCheckpoint.objects.filter(pk=uuid.UUID(snapshot.id)).exclude(outcome="").exists():
            raise
    return read_result(snapshot)
