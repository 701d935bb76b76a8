"""What the API's tests share: ways to call it, and tasks in a state of one's choice."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from tasks_app.models import TaskCheckpoint, TaskRecord
from tasks_app.queues import redis_connection
from tasks_app.read_model.mirror import Mirror

Post = Callable[..., Any]


@pytest.fixture
def post(client: Client) -> Post:
    """`post(path, body)`: the body as JSON, or as it is when it is bytes."""

    def post(path: str, body: Any = None, *, content_type: str = "application/json", **headers: str) -> Any:
        return client.post(path, data=body, content_type=content_type, headers=headers)

    return post


@pytest.fixture
def mirror() -> Callable[[], None]:
    """Let the mirror read all that the stream holds."""

    def run() -> None:
        reader = Mirror(connection=redis_connection.get_connection())
        while reader.step():
            pass

    return run


@pytest.fixture
def end(mirror: Callable[[], None]) -> Callable[[str, str], None]:
    """`end(task_id, status)`: the task ended so, as checkpoint and record tell it."""

    def end(task_id: str, status: str, error: str | None = None) -> None:
        mirror()
        now = datetime.now(UTC)
        TaskCheckpoint.objects.update_or_create(
            task_id=uuid.UUID(task_id),
            defaults={"outcome": status, "epoch": 1, "error": error or "", "ended_at": now, "updated_at": now},
        )
        changed = TaskRecord.objects.filter(pk=task_id).update(status=status, epoch=1, error=error, ended_at=now)
        assert changed == 1

    return end


def assert_problem(response: Any, status: int) -> dict[str, Any]:
    """Check that the answer is a problem of this status, and return it."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    assert response["X-Request-ID"]
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert {"type", "title", "detail"} <= body.keys()
    assert "Traceback" not in response.content.decode()
    return body


def wrong_fields(body: dict[str, Any]) -> set[str]:
    """Return the fields that a problem names."""
    assert all(error["message"] for error in body["errors"])
    return {error["field"] for error in body["errors"]}
