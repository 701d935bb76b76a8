"""POST /tasks/{id}/cancel and /retry, and POST /tasks/bulk."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from tests.api.conftest import Post, assert_problem, wrong_fields
from tests.support.redis_commands import watched_commands

pytestmark = pytest.mark.django_db
End = Callable[..., None]


@pytest.fixture
def task_id(post: Post) -> str:
    return post("/tasks", {"name": "upload"}).json()["id"]


def test_canceling_a_waiting_task_is_immediate_and_idempotent(
    client: Client, post: Post, task_id: str, mirror: Any
) -> None:
    first = post(f"/tasks/{task_id}/cancel")
    assert (first.status_code, first.json()["status"], first.json()["success"]) == (200, "canceled", True)
    assert first.json()["endedAt"].endswith("Z")
    mirror()
    assert client.get(f"/tasks/{task_id}").json()["status"] == "canceled"
    assert post(f"/tasks/{task_id}/cancel/").status_code == 200


def test_a_running_task_is_stopping(client: Client, post: Post, task_id: str) -> None:
    from uuid import UUID

    from tasks_app.checkpoints import claims

    assert isinstance(claims.claim(task_id=UUID(task_id), worker="w"), claims.Claim)
    response = post(f"/tasks/{task_id}/cancel")
    assert (response.status_code, response.json()["status"]) == (202, "started")


@pytest.mark.parametrize("status", ["finished", "failed"])
def test_an_ended_task_cannot_be_canceled(post: Post, task_id: str, end: End, status: str) -> None:
    end(task_id, status)
    body = assert_problem(post(f"/tasks/{task_id}/cancel"), 409)
    assert body["type"] == "urn:longtasks:problem:task-ended"
    assert status in body["detail"]


def test_a_canceled_task_is_queued_when_retried(client: Client, post: Post, task_id: str, redis: Any) -> None:
    post(f"/tasks/{task_id}/cancel")
    response = post(f"/tasks/{task_id}/retry")
    assert (response.status_code, response.json()["status"], response.json()["success"]) == (202, "queued", True)
    assert response["Location"] == f"/tasks/{task_id}"
    assert redis.lrange("rq:queue:low", 0, -1) == [task_id.encode()]


def test_a_failed_task_can_be_retried(post: Post, task_id: str, end: End) -> None:
    end(task_id, "failed", "ValueError: x")
    response = post(f"/tasks/{task_id}/retry")
    assert (response.status_code, response.json()["error"]) == (202, None)


def test_a_finished_or_waiting_task_cannot_be_retried(post: Post, task_id: str, end: End) -> None:
    assert assert_problem(post(f"/tasks/{task_id}/retry"), 409)["type"] == "urn:longtasks:problem:task-not-ended"
    end(task_id, "finished")
    assert assert_problem(post(f"/tasks/{task_id}/retry"), 409)["type"] == "urn:longtasks:problem:task-ended"


def test_many_tasks_are_answered_in_order(post: Post, redis: Any) -> None:
    tasks = [{"name": "upload", "params": {"numRecords": number}} for number in range(1, 1001)]
    with watched_commands(redis) as commands:
        response = post("/tasks/bulk", {"tasks": tasks})
    assert response.status_code == 201
    body = response.json()
    assert body.keys() == {"success", "tasks"}
    assert [task["params"] for task in body["tasks"]] == [task["params"] for task in tasks]
    assert len({task["id"] for task in body["tasks"]}) == 1000
    assert redis.llen("rq:queue:low") == 1000
    sent = [command.name for command in commands if not command.in_script]
    assert 1 <= sum(name in ("EVALSHA", "EVAL", "MULTI") for name in sent) <= 2


def test_a_bulk_can_be_replayed(post: Post, redis: Any) -> None:
    body = {"tasks": [{"name": "upload"}, {"name": "upload"}]}
    first = post("/tasks/bulk", body, **{"Idempotency-Key": "b"})
    second = post("/tasks/bulk", body, **{"Idempotency-Key": "b"})
    assert second["Idempotency-Replayed"] == "true"
    assert second.json() == first.json()
    assert_problem(post("/tasks/bulk", {"tasks": body["tasks"][:1]}, **{"Idempotency-Key": "b"}), 422)
    assert redis.llen("rq:queue:low") == 2


GOOD = {"name": "upload"}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"tasks"}),
        ([], {"body"}),
        ({"tasks": None}, {"tasks"}),
        ({"tasks": []}, {"tasks"}),
        ({"tasks": {}}, {"tasks"}),
        ({"tasks": [GOOD] * 1001}, {"tasks"}),
        ({"tasks": [GOOD], "more": 1}, {"more"}),
        ({"tasks": [GOOD, 1]}, {"tasks.1"}),
        (
            {"tasks": [GOOD, {"name": "nothing"}, GOOD, {**GOOD, "params": {"numRecords": 0}}]},
            {"tasks.1.name", "tasks.3.params.numRecords"},
        ),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value)[:40],  # the same in every process
)
def test_a_wrong_bulk_starts_nothing(post: Post, redis: Any, body: Any, fields: set[str]) -> None:
    assert wrong_fields(assert_problem(post("/tasks/bulk", body), 400)) == fields
    assert redis.keys("rq:*") == []


def test_a_bulk_body_may_hold_4_mib(post: Post, redis: Any) -> None:
    big = {"tasks": [{**GOOD, "description": "\u00f1" * 255}] * 1000}
    assert post("/tasks/bulk", big).status_code == 201
    assert_problem(post("/tasks/bulk", b" " * (4 * 1024 * 1024 + 1)), 413)
