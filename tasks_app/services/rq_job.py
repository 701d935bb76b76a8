"""The Job class for RQ's own tools and django-rq's pages. It publishes their changes of status to the mirror.

Owns what RQ's methods do to the job of a task: cancel and requeue call change_tasks. Must not serve the engine, which
moves tasks with queues/transitions.py.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from redis.client import Pipeline
from rq.exceptions import InvalidJobOperation
from rq.job import Job, JobStatus

from tasks_app.auth import audit_log
from tasks_app.domain import task_snapshot, task_status
from tasks_app.queues import snapshot_stream
from tasks_app.services import change_tasks


class TaskJob(Job):
    """An RQ job; the job of a task has the task's snapshot in field `s` of its hash."""

    snapshot: task_snapshot.Snapshot | None = None

    def restore(self, raw_data: Any) -> None:
        super().restore(raw_data)
        data = raw_data.get(b"s") or raw_data.get("s")
        self.snapshot = task_snapshot.decode(data) if data else None

    def set_status(self, status: JobStatus, pipeline: Pipeline | None = None) -> None:
        super().set_status(status, pipeline)
        if self.snapshot is None or status not in task_status.STATUSES:
            return
        ended_at = datetime.now(UTC) if status in task_status.ENDED else None
        self.snapshot = self.snapshot.changed(cause="rq", actor="rq", status=status.value, ended_at=ended_at)
        connection = pipeline if pipeline is not None else self.connection
        connection.hset(self.key, "s", task_snapshot.encode(self.snapshot))
        snapshot_stream.append(connection, self.snapshot)

    def to_dict(self, include_meta: bool = True, include_result: bool = True) -> dict[str, Any]:
        values = super().to_dict(include_meta=include_meta, include_result=include_result)
        if self.snapshot is not None:
            values["s"] = task_snapshot.encode(self.snapshot)
            values["w"] = self.snapshot.weight
        return values

    def requeue(self, at_front: bool = False) -> Job:
        """Retry the task as the API's retry does: from its checkpoint."""
        if self.snapshot is None:
            return super().requeue(at_front=at_front)
        self._change_task(change_tasks.retry_task)
        self.refresh()
        return self

    def cancel(
        self,
        pipeline: Pipeline | None = None,
        enqueue_dependents: bool = False,
        remove_from_dependencies: bool = False,
    ) -> dict[str, list[str]]:
        """Cancel the task as the API's cancel does: a running task ends at its next chunk."""
        if self.snapshot is None:
            return super().cancel(pipeline, enqueue_dependents, remove_from_dependencies)
        self._change_task(change_tasks.cancel_task)
        return {}

    def delete(
        self, pipeline: Pipeline | None = None, remove_from_queue: bool = True, delete_dependents: bool = False
    ) -> None:
        """Delete the job; cancel a task that has not ended first, because rescue would requeue it."""
        if self.snapshot is not None and not self.snapshot.ended:
            self._change_task(change_tasks.cancel_task)
        super().delete(pipeline, remove_from_queue, delete_dependents)

    def _change_task(self, action: Callable[..., object]) -> None:
        try:
            action(task_id=self.id, actor="rq", source=audit_log.RQ)
        except Exception as error:
            raise InvalidJobOperation(str(error)) from error
