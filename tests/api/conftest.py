"""What the API's tests share: requests, callers with tokens, and tasks in a given state."""

import threading
import time
import uuid
from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from tasks_app.auth import api_tokens, token_cache, token_use
from tasks_app.http import peers
from tasks_app.models import ApiToken, TaskCheckpoint, TaskRecord
from tasks_app.resilience import machine_numbers, rate_limit
from tests.api.anonymous_requests import LIMIT
from tests.support.mirror import run_mirror

Post = Callable[..., Any]


@pytest.fixture
def post(client: Client) -> Post:
    """`post(path, body)`: sends the body as JSON, or unchanged if it is bytes."""

    def post(path: str, body: Any = None, *, content_type: str = "application/json", **headers: str) -> Any:
        return client.post(path, data=body, content_type=content_type, headers=headers)

    return post


@pytest.fixture
def mirror() -> Callable[[], None]:
    """Run the mirror until it has read the whole stream."""

    return run_mirror


@pytest.fixture
def end(mirror: Callable[[], None]) -> Callable[[str, str], None]:
    """`end(task_id, status)`: writes this end into the task's checkpoint and task row."""

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
    """Check that the answer is a problem with this status, and return its body."""
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


@pytest.fixture
def closed_api(settings: Any, db: None) -> Generator[None, None, None]:
    """The API requires tokens."""
    settings.API_OPEN = False
    token_cache.known.forget()
    machine_numbers.clear()
    yield
    # A thread that still writes a token's use must end before the next test, which may have no database.
    for thread in threading.enumerate():
        if thread.name == token_use.NOTING_THREAD:
            thread.join()


@pytest.fixture
def client_of() -> Callable[..., Client]:
    """`client_of("ann", "write")`: a client with a new token."""

    def client_of(owner: str, scope: str = "write", **options: Any) -> Client:
        token, secret = api_tokens.create_token(owner=owner or "nameless", scope=scope, **options)
        if not owner:  # an older version accepted any name
            ApiToken.objects.filter(pk=token.pk).update(owner=owner)
        token_cache.known.forget()
        return Client(headers={"Authorization": f"Bearer {secret}"})

    return client_of


def start_upload(client: Client) -> str:
    """Start a task with this client; returns its id."""
    response = client.post("/tasks", {"name": "upload"}, content_type="application/json")
    assert response.status_code == 201, response.content
    return str(response.json()["id"])


@pytest.fixture
def limited_addresses(settings: Any, closed_api: None) -> Generator[None, None, None]:
    """An API that requires tokens and limits the requests of each address."""
    settings.LONGTASKS = replace(settings.LONGTASKS, rate_limit_per_address=LIMIT)
    peers._trusted.cache_clear()
    yield
    peers._trusted.cache_clear()


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """The clock stops; `still(2)` moves it by two seconds."""
    moved = [0.0]
    began, began_monotonic = time.time(), time.monotonic()
    monkeypatch.setattr(rate_limit.time, "time", lambda: began + moved[0])
    monkeypatch.setattr(rate_limit.time, "monotonic", lambda: began_monotonic + moved[0])

    def move(seconds: float) -> None:
        moved[0] += seconds

    return move
