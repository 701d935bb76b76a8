"""What a task has left when it has ended: status, counts, failed records, result and files.

Owns how a test sees them. Must not run a task.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks_app.domain import task_snapshot, task_status
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.files.open_file import open_row
from tasks_app.files.task_files import list_artifacts
from tasks_app.models import TaskCheckpoint, TaskFile
from tasks_app.read_model.failure_list import iterate_failures
from tasks_app.task_types.failed_record import ListedFailure


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that a task has left."""

    name: str
    size: int
    sha256: str
    content_type: str
    row: TaskFile = field(compare=False, repr=False)

    def read(self) -> bytes:
        """Return the bytes of the file."""
        with open_row(self.row) as file:
            return file.read()


@dataclass(frozen=True, slots=True)
class TaskResult:
    """An ended task, in the words of the API."""

    id: uuid.UUID
    status: str  # "finished" or "failed"
    done: int
    total: int | None
    counts: Mapping[str, int]
    failures: Sequence[ListedFailure]  # the records that were left out
    result: Any
    artifacts: Sequence[Artifact]
    error: str  # the traceback of a failed task


def read_result(snapshot: Snapshot) -> TaskResult:
    """Return what an ended task has left, from the database."""
    task_id = uuid.UUID(snapshot.id)
    row = TaskCheckpoint.objects.get(pk=task_id)
    is_finished = row.outcome == task_status.FINISHED
    return TaskResult(
        id=task_id,
        status=row.outcome,
        done=row.done,
        total=row.done if is_finished else row.total if row.total is not None else snapshot.total,
        counts=task_snapshot.with_all_counts(snapshot.counts, row.counts),
        failures=list(iterate_failures(task_id=task_id)),
        result=row.result,
        artifacts=[
            Artifact(each.name, each.size, each.sha256, each.content_type, each) for each in list_artifacts(task_id)
        ],
        error=row.error,
    )
