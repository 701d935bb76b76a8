"""POST /tasks: the answer, idempotency, and its cost in SQL and round trips."""

import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from tests.api.conftest import Post, assert_problem
from tests.support.redis_commands import watched_commands

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
FIELDS = {
    "success", "id", "name", "description", "params", "priority", "queue", "status", "counts", "insertedRecords", "progress",
    "failedRecords", "maxFailures", "dryRun", "attempts", "error", "createdAt", "startedAt", "endedAt", "nextAttemptAt",
    "startAt",
}  # fmt: skip


def test_the_originals_own_body_is_accepted(post: Post) -> None:
    response = post("/tasks", {"name": "upload", "description": "user upload"})
    assert response.status_code == 201
    body = response.json()
    assert body["success"] is True
    assert body["insertedRecords"]["users"] == 0


def test_the_answer_is_the_whole_task(post: Post) -> None:
    response = post("/tasks", {"name": "upload", "params": {"numRecords": 7}, "priority": "high"})
    body = response.json()
    assert body.keys() == FIELDS
    assert uuid.UUID(body["id"]).version == 7
    assert response["Location"] == f"/tasks/{body['id']}"
    assert response["Content-Type"] == "application/json"
    assert body["params"] == {"numRecords": 7}
    assert body["priority"] == "high"
    assert body["status"] == "queued"
    assert body["insertedRecords"] == {"users": 0, "products": 0, "order_items": 0}
    assert body["progress"] == {"done": 0, "total": 7, "isEstimate": False}
    assert (body["attempts"], body["error"], body["startedAt"], body["endedAt"]) == (0, None, None, None)
    assert TIME.fullmatch(body["createdAt"])
    assert datetime.fromisoformat(body["createdAt"])


def test_only_the_name_is_required(post: Post) -> None:
    body = post("/tasks", {"name": "upload"}).json()
    assert (body["description"], body["params"], body["priority"]) == ("", {"numRecords": 100}, "low")


@pytest.mark.parametrize("path", ["/tasks", "/tasks/"])
def test_the_trailing_slash_is_optional(post: Post, path: str) -> None:
    assert post(path, {"name": "upload"}).status_code == 201


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "APPLICATION/JSON", 'application/json;charset="UTF-8"']
)
def test_other_media_types_of_json_are_accepted(post: Post, content_type: str) -> None:
    assert post("/tasks", b'{"name": "upload"}', content_type=content_type).status_code == 201


def test_a_description_keeps_its_characters(post: Post) -> None:
    description = ' "a": {b}: ñandú 😀 '
    assert post("/tasks", {"name": "upload", "description": description}).json()["description"] == description


@pytest.mark.django_db
def test_uuid_params_come_back_as_text(post: Post, client: Client) -> None:
    task_id = "0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10"
    started = post("/tasks", {"name": "purge", "params": {"taskId": task_id}}).json()
    assert started["params"] == {"taskId": task_id}
    assert client.get(f"/tasks/{started['id']}").json()["params"] == {"taskId": task_id}


@pytest.mark.django_db
def test_a_post_costs_no_sql_and_one_round_trip(post: Post, redis: Any) -> None:
    post("/tasks", {"name": "upload"})  # the script is loaded, connections are made
    with CaptureQueriesContext(connection) as queries, watched_commands(redis) as commands:
        response = post("/tasks", {"name": "upload"}, **{"Idempotency-Key": "once"})
    assert response.status_code == 201
    assert queries.captured_queries == []
    assert [command.name for command in commands if not command.in_script] == ["EVALSHA"]


def test_a_key_replays_the_first_answer(post: Post) -> None:
    body = {"name": "upload", "params": {"numRecords": 3}}
    first = post("/tasks", body, **{"Idempotency-Key": "k-1"})
    second = post("/tasks", body, **{"Idempotency-Key": "k-1"})
    assert (first.status_code, second.status_code) == (201, 201)
    assert "Idempotency-Replayed" not in first
    assert second["Idempotency-Replayed"] == "true"
    assert second.json()["id"] == first.json()["id"]
    assert second.json()["createdAt"] == first.json()["createdAt"]
    assert second["Location"] == first["Location"]


def test_a_key_with_another_body_is_refused(post: Post, redis: Any) -> None:
    post("/tasks", {"name": "upload"}, **{"Idempotency-Key": "k-2"})
    response = post("/tasks", {"name": "upload", "priority": "high"}, **{"Idempotency-Key": "k-2"})
    assert assert_problem(response, 422)["type"] == "urn:longtasks:problem:idempotency-mismatch"
    assert redis.llen("rq:queue:high") == 0


def test_a_hundred_at_once_with_one_key_start_one_task(redis: Any) -> None:
    def start(_: int) -> tuple[int, str]:
        response = Client().post(
            "/tasks", {"name": "upload"}, content_type="application/json", headers={"Idempotency-Key": "same"}
        )
        return response.status_code, response.json()["id"]

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(start, range(100)))
    assert len(answers) == 1
    assert answers.pop()[0] == 201
    assert redis.llen("rq:queue:low") == 1


def test_a_full_queue_is_503_with_retry_after(post: Post, redis: Any) -> None:
    with override_settings(LONGTASKS=replace(settings.LONGTASKS, queue_bound=2, queue_reserve=0.5)):
        assert post("/tasks", {"name": "upload"}).status_code == 201
        response = post("/tasks", {"name": "upload"})
        assert assert_problem(response, 503)["type"] == "urn:longtasks:problem:queue-full"
        assert int(response["Retry-After"]) >= 1
        assert redis.llen("rq:queue:low") == 1
        assert post("/tasks", {"name": "upload", "priority": "high"}).status_code == 201


def test_without_redis_the_answer_is_503(post: Post, tmp_path: Any) -> None:
    queues = {name: {**config, "URL": f"unix://{tmp_path}/nobody.sock"} for name, config in settings.RQ_QUEUES.items()}
    with override_settings(RQ_QUEUES=queues):
        response = post("/tasks", {"name": "upload"})
    body = assert_problem(response, 503)
    assert body["type"] == "urn:longtasks:problem:queue-unavailable"
    assert str(tmp_path) not in response.content.decode()
    assert int(response["Retry-After"]) >= 1
