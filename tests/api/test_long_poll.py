"""POST /tasks waits for the task's end on request; here under a server that cannot hold a request."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from tasks_app.api import long_poll
from tests.api.conftest import Post, assert_problem, wrong_fields
from tests.api.test_task_views_read import _Clock

UPLOAD = {"name": "upload", "params": {"numRecords": 3}}
ROWS = {"users": 3, "products": 3, "order_items": 3}
ENDS = ',"status":"finished","done":3,"counts":{"users":3,"products":3,"order_items":3}}'


@pytest.fixture
def ends_while_waiting(redis: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """End the queued task, as a worker writes it, before the waiting thread checks again."""

    def end(_: float) -> None:
        key = f"rq:job:{redis.lindex('rq:queue:low', 0).decode()}"
        redis.hset(key, "s", redis.hget(key, "s").decode()[:-1] + ENDS)

    return lambda: monkeypatch.setattr(long_poll, "time", _Clock(end))


@pytest.mark.parametrize(
    ("query", "prefer", "applied"),
    [
        ("", "wait=20", "wait=20"),
        ("", "respond-async, Wait=20", "wait=20"),
        ("", 'wait="20"; foo=bar', "wait=20"),
        ("", "wait=999999999", "wait=60"),
        ("?wait=20", None, None),
        ("?wait=20", "wait=5", None),
    ],
)
def test_the_answer_has_the_counts_of_inserted_rows(
    post: Post, ends_while_waiting: Callable[[], None], query: str, prefer: str | None, applied: str | None
) -> None:
    ends_while_waiting()
    response = post(f"/tasks{query}", UPLOAD, **({"Prefer": prefer} if prefer else {}))
    task = response.json()
    assert (response.status_code, task["status"], task["insertedRecords"]) == (201, "finished", ROWS)
    assert response["Location"] == f"/tasks/{task['id']}"
    assert response.get("Preference-Applied") == applied


@pytest.mark.parametrize(
    "prefer", ["wait", "wait=", "wait=x", "wait=-1", "wait=1.5", "wait=²", "waits=5", "foo; wait=5"]
)
def test_other_preferences_are_ignored(
    post: Post, ends_while_waiting: Callable[[], None], redis: Any, prefer: str
) -> None:
    ends_while_waiting()
    response = post("/tasks", UPLOAD, Prefer=prefer)
    assert (response.status_code, response.json()["status"]) == (201, "queued")
    assert "Preference-Applied" not in response


@pytest.mark.parametrize("query", ["wait=x", "wait=-1", "wait=61", "wait=nan", "wait=1&wait=2", "wait="])
def test_a_wrong_wait_is_400_and_starts_nothing(post: Post, redis: Any, query: str) -> None:
    problem = assert_problem(post(f"/tasks?{query}", UPLOAD), 400)
    assert wrong_fields(problem) == {"wait"}
    assert redis.llen("rq:queue:low") == 0


def test_a_request_without_a_place_to_wait_is_answered_at_once(
    post: Post, redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = _Clock(lambda _: None)
    monkeypatch.setattr(long_poll, "time", clock)
    places = [long_poll._places.acquire(blocking=False) for _ in range(long_poll.WAITERS)]
    try:
        assert all(places)
        response = post("/tasks", UPLOAD, Prefer="wait=20")
        assert (response.status_code, response.json()["status"], clock.monotonic()) == (201, "queued", 0)
        assert "Preference-Applied" not in response
    finally:
        for _ in places:
            long_poll._places.release()


def test_a_task_that_does_not_end_in_time_is_returned_as_it_is(
    post: Post, redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = _Clock(lambda _: None)
    monkeypatch.setattr(long_poll, "time", clock)
    response = post("/tasks", UPLOAD, Prefer="wait=20")
    assert (response.status_code, response.json()["status"], response["Preference-Applied"]) == (
        201,
        "queued",
        "wait=20",
    )
    assert 19.9 < clock.monotonic() < 20.1


def test_a_bulk_does_not_wait(post: Post, ends_while_waiting: Callable[[], None], redis: Any) -> None:
    ends_while_waiting()
    response = post("/tasks/bulk", {"tasks": [UPLOAD]}, Prefer="wait=20")
    assert [task["status"] for task in response.json()["tasks"]] == ["queued"]
    assert "Preference-Applied" not in response


def test_a_wait_without_redis_returns_the_known_state(
    client: Client, post: Post, redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks_app.errors import QueueUnavailable
    from tasks_app.queues import job_snapshots

    def refuse(task_id: str) -> None:
        raise QueueUnavailable("TimeoutError")

    monkeypatch.setattr(long_poll, "time", _Clock(lambda _: monkeypatch.setattr(job_snapshots, "get_snapshot", refuse)))
    response = post("/tasks", UPLOAD, Prefer="wait=5")
    assert (response.status_code, response.json()["status"]) == (201, "queued")
