"""Starts of tasks and of purges through the API, and what a caller sees of an answer."""

from typing import Any

from django.test import Client

from tasks_app.domain import task_snapshot
from tasks_app.queues import enqueue, redis_connection


def start(client: Client, name: str = "upload", headers: dict[str, str] | None = None, **params: Any) -> Any:
    return client.post("/tasks", {"name": name, "params": params}, content_type="application/json", headers=headers)


def start_bulk(client: Client, *tasks: dict[str, Any]) -> Any:
    return client.post("/tasks/bulk", {"tasks": list(tasks)}, content_type="application/json")


def purge_of(task_id: str) -> dict[str, Any]:
    return {"name": "purge", "params": {"taskId": task_id}}


def count_jobs() -> int:
    return len(redis_connection.get_connection().keys("rq:job:*"))


def shown(response: Any) -> tuple[int, bytes, dict[str, str]]:
    """Return all that a client sees, except the request's own id and date."""
    headers = {name: value for name, value in response.items() if name not in ("X-Request-ID", "Date")}
    return response.status_code, response.content, headers


def plant(snapshot: task_snapshot.Snapshot) -> str:
    """Enqueue a task without any check, as an older version did; returns its id."""
    enqueue.enqueue_tasks([snapshot])
    return snapshot.id
