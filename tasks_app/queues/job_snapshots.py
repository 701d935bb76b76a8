"""Reads the snapshots and statuses that RQ's jobs hold.

Must not write, and must not read the database.
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks_app.domain import task_snapshot
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.queues.redis_connection import mapped_redis_errors
from tasks_app.queues.redis_keys import job_key
from tasks_app.queues.request_connection import shared_connection


def get_snapshot(task_id: str) -> Snapshot | None:
    """Return the snapshot that the task's RQ job holds; None if it is missing or cannot be decoded."""
    with mapped_redis_errors():
        data = shared_connection.execute_command("HGET", job_key(task_id), "s")
    return task_snapshot.decode_if_valid(data)


def get_snapshots(task_ids: Sequence[str]) -> list[Snapshot | None]:
    """Return the snapshots that the tasks' RQ jobs hold, in order, in one round trip; None as in `get_snapshot`."""
    with mapped_redis_errors():
        found = shared_connection.execute_reads([("HGET", job_key(task_id), "s") for task_id in task_ids])
    return [task_snapshot.decode_if_valid(data) for data in found]


def get_status(task_id: str) -> str:
    """Return the status of the task's job, which RQ's own tools change without the snapshot; "" if there is no job."""
    with mapped_redis_errors():
        status = shared_connection.execute_command("HGET", job_key(task_id), "status")
    return status.decode(errors="replace") if status else ""
