"""Starts a task together with the caller's transaction: it is committed and rolled back with what the caller writes.

Owns the choice between the outbox (inside `atomic()`) and a start at once (outside). Must not know HTTP. The API starts its
tasks by `start_tasks`, without SQL.
"""

from __future__ import annotations

from tasks_app.domain.callers import Caller
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.outbox import outbox_rows, push
from tasks_app.services import start_tasks
from tasks_app.services.start_tasks import NewTask


def start_with_transaction(*, task: NewTask, caller: Caller) -> Snapshot:
    """Start one task, and return its first snapshot.

    Inside `atomic()` this needs no Redis, and the queue may be full: the commit starts the task, a rollback leaves nothing.
    Outside, it raises what `start_tasks.start_task` raises.
    """
    if not outbox_rows.is_in_transaction():
        return start_tasks.start_task(task=task, caller=caller).snapshot
    snapshot = start_tasks.prepare_task(task=task, caller=caller)
    outbox_rows.add(snapshot)
    push.push_after_commit(snapshot, using=outbox_rows.get_alias())
    return snapshot
