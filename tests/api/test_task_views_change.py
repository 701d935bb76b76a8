"""Canceling, retrying, many at once, queues."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from tasks_app.auth import audit_log
from tasks_app.queues import pauses
from tests.api.conftest import Post, assert_problem, wrong_fields
from tests.support.redis_commands import watched_commands

pytestmark = pytest.mark.django_db
End = Callable[..., None]


@pytest.fixture
def task_id(post: Post) -> str:
    return post("/tasks", {"name": "upload"}).json()["id"]


def test_a_waiting_task_is_canceled_at_once_and_again(client: Client, post: Post, task_id: str, mirror: Any) -> None:
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


def test_a_canceled_task_goes_on_when_retried(client: Client, post: Post, task_id: str, redis: Any) -> None:
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


def test_queues_are_shown(client: Client, post: Post) -> None:
    for _ in range(3):
        post("/tasks", GOOD)
    high, low = client.get("/queues").json()["queues"]
    assert (high["name"], high["depth"], high["oldestWaitSeconds"]) == ("high", 0, None)
    assert (low["name"], low["depth"], low["started"], low["workers"]) == ("low", 3, 0, 0)
    assert low["oldestWaitSeconds"] >= 0
    assert_problem(client.get("/queues?x=1"), 400)


def test_a_queue_is_paused_and_resumed(client: Client, post: Post) -> None:
    paused = post("/queues/low/pause", {"reason": "maintenance"})
    assert paused.status_code == 200
    assert paused.json() == client.get("/queues").json()["queues"][1]
    assert (paused.json()["reason"], paused.json()["pausedBy"]) == ("maintenance", "api")
    assert paused.json()["pausedAt"].endswith("Z")
    resumed = post("/queues/low/resume")
    assert (resumed.json()["pausedAt"], resumed.json()["reason"]) == (None, "")


@pytest.mark.parametrize("path", ["/queues/low/pause", "/queues/low/pause/"])
def test_a_pause_needs_no_reason(client: Client, path: str) -> None:
    assert client.generic("POST", path).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"), [({"reason": 1}, "reason"), ({"reason": "x" * 256}, "reason"), ({"why": ""}, "why")]
)
def test_a_wrong_pause_is_400(post: Post, body: Any, field: str) -> None:
    assert wrong_fields(assert_problem(post("/queues/low/pause", body), 400)) == {field}


@pytest.mark.parametrize("action", ["pause", "resume"])
def test_an_unknown_queue_is_404(post: Post, action: str) -> None:
    assert assert_problem(post(f"/queues/default/{action}", {}), 404)["type"] == "urn:longtasks:problem:unknown-queue"


def test_health(client: Client, settings: Any, tmp_path: Any) -> None:
    assert client.get("/health/live").json() == {"status": "ok"}
    assert client.get("/health/ready/").json() == {"status": "ok"}
    settings.RQ_QUEUES = {
        name: {**config, "URL": f"unix://{tmp_path}/x"} for name, config in settings.RQ_QUEUES.items()
    }
    assert_problem(client.get("/health/ready"), 503)
    assert client.get("/health/live").status_code == 200


def test_a_pause_that_loses_a_deadlock_is_carried_out_all_the_same(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two first pauses of a queue at once make one for each other; the database asks for another try."""
    met: list[int] = []
    record = audit_log.record

    def lose_once(**values: Any) -> None:
        if not met:
            met.append(1)
            raise OperationalError(1213, "Deadlock found when trying to get lock; try restarting transaction")
        record(**values)

    monkeypatch.setattr(audit_log, "record", lose_once)
    assert post("/queues/low/pause", {}).status_code == 200
    assert met


def test_a_suspension_by_rq_is_told_beside_the_pauses(client: Client, post: Post) -> None:
    assert [each["suspended"] for each in client.get("/queues").json()["queues"]] == [False, False]
    pauses.write_suspension(suspended=True)
    assert [each["suspended"] for each in client.get("/queues").json()["queues"]] == [True, True]
    resumed = post("/queues/low/resume")
    assert (resumed.json()["pausedAt"], resumed.json()["suspended"]) == (None, True)
