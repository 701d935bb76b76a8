"""What a task has left for its owner: its result, its artifacts, and the changes of a dry run, from the database.

Owns which task types are asked for them. Must not check an owner: the caller has found the task.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.errors import UnknownTaskType
from tasks_app.files.task_files import list_artifacts
from tasks_app.models import TaskCheckpoint, TaskFile
from tasks_app.queues import suspended_calls
from tasks_app.read_model.row_change_list import ListedChange, list_changes
from tasks_app.resilience.transient_errors import mapped_database_errors
from tasks_app.task_types import get_task_type


@dataclass(frozen=True, slots=True)
class TaskResults:
    """The result as JSON (None: none), and the files, in the order in which they were left."""

    result: Any = None
    artifacts: Sequence[TaskFile] = ()
    changes: Sequence[ListedChange] | None = None  # None: it is no dry run


NOTHING: Final = TaskResults()


def find_results(snapshot: Snapshot) -> TaskResults:
    """Return what a task has left. Without SQL for a task type that leaves nothing. Raises StoreUnavailable."""
    try:
        if not (get_task_type(snapshot.name).leaves_results or snapshot.dry_run):
            return NOTHING
    except UnknownTaskType:
        pass  # another version knows it
    return suspended_calls.run_in_thread(lambda: _read(uuid.UUID(snapshot.id), is_dry_run=snapshot.dry_run))


def _read(task_id: uuid.UUID, *, is_dry_run: bool) -> TaskResults:
    with mapped_database_errors():
        if is_dry_run:
            return TaskResults(changes=list_changes(task_id))
        result = TaskCheckpoint.objects.filter(pk=task_id).values_list("result", flat=True).first()
        return TaskResults(result, list_artifacts(task_id))
