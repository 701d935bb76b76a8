"""`startAt` in the requests that start tasks, and POST /tasks/{id}/reschedule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import pytest
from django.test import Client

from tasks_app.models import AuditEntry
from tests.api.conftest import Post, assert_problem, wrong_fields
from tests.support.engine import Worker, mirror, rescue
from tests.support.store_contents import read_contents

pytestmark = pytest.mark.django_db(transaction=True)


def in_utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@pytest.fixture
def later() -> str:
    """A time in an hour, as a client in Madrid writes it."""
    return (datetime.now(UTC) + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S+01:00")


@pytest.fixture
def task_id(post: Post, later: str) -> str:
    return post("/tasks", {"name": "upload", "startAt": later}).json()["id"]


def test_a_task_with_a_start_is_scheduled_and_shows_it_in_utc(
    post: Post, client: Client, later: str, redis: Any
) -> None:
    answer = post("/tasks", {"name": "upload", "startAt": later})
    assert answer.status_code == 201
    utc = in_utc(datetime.fromisoformat(later)).replace(".000000", "")
    started = answer.json()
    assert (started["status"], started["startAt"], started["nextAttemptAt"], started["attempts"]) == (
        "scheduled", utc, utc, 0,
    )  # fmt: skip
    assert redis.llen("rq:queue:low") == 0
    for _ in range(2):
        shown = client.get(f"/tasks/{started['id']}")
        assert (shown.json()["status"], shown.json()["startAt"]) == ("scheduled", utc)
        assert 3000 <= int(shown["Retry-After"]) <= 3600
        mirror()
    [listed] = client.get("/tasks?status=scheduled").json()["tasks"]
    assert listed["startAt"] == utc
    assert [queue["scheduled"] for queue in client.get("/queues").json()["queues"]] == [0, 1]
    [event] = client.get(f"/tasks/{started['id']}/events").json()["events"]
    assert (event["status"], event["cause"]) == ("scheduled", "start")


def test_a_start_far_ahead_is_polled_once_an_hour(post: Post, client: Client) -> None:
    far = in_utc(datetime.now(UTC) + timedelta(days=300))
    assert (
        client.get(f"/tasks/{post('/tasks', {'name': 'upload', 'startAt': far}).json()['id']}")["Retry-After"] == "3600"
    )


def test_without_a_start_or_with_a_past_one_it_is_queued(post: Post) -> None:
    for body in ({"name": "upload"}, {"name": "upload", "startAt": "2020-01-01T00:00:00Z"}):
        started = post("/tasks", body).json()
        assert (started["status"], started["startAt"], started["nextAttemptAt"]) == ("queued", None, None)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("2026-12-01T03:00:00", "no time zone"), ("tomorrow", "ISO 8601"), ("", "ISO 8601"), ("2026-12-01", "ISO 8601"),
        ("9999-12-31T00:00:00Z", "at most 366 days from now"), (1796090400, "a string"), (None, "null"), ([], "a string"),
        ("x" * 10_000, "ISO 8601"), ("9999-12-31T23:59:59-10:00", "ISO 8601"),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_other_values_are_refused_at_their_field(post: Post, task_id: str, given: Any, words: str) -> None:
    before = read_contents()
    for path, body, field in (
        ("/tasks", {"name": "upload", "startAt": given}, "startAt"),
        ("/tasks", {"name": "upload", "startAt": given, "validateOnly": True}, "startAt"),
        ("/tasks/bulk", {"tasks": [{"name": "upload"}, {"name": "upload", "startAt": given}]}, "tasks.1.startAt"),
        (f"/tasks/{task_id}/reschedule", {"startAt": given}, "startAt"),
    ):
        if given is None and path.endswith("reschedule"):
            continue  # at once
        problem = assert_problem(post(path, body), 400)
        assert wrong_fields(problem) == {field}
        assert words in problem["errors"][0]["message"]
    assert read_contents() == before


def test_many_tasks_may_begin_at_different_times(post: Post, later: str, redis: Any) -> None:
    body = {"tasks": [{"name": "upload"}, {"name": "upload", "startAt": later}, {"name": "upload", "priority": "high"}]}
    tasks = post("/tasks/bulk", body).json()["tasks"]
    assert [task["status"] for task in tasks] == ["queued", "scheduled", "queued"]
    assert redis.lrange("rq:queue:low", 0, -1) == [tasks[0]["id"].encode()]
    assert redis.zrange("rq:scheduled:low", 0, -1) == [tasks[1]["id"].encode()]


def test_validate_only_shows_the_start_and_stores_nothing(post: Post, later: str) -> None:
    before = read_contents()
    utc = in_utc(datetime.fromisoformat(later)).replace(".000000", "")
    task = {"name": "upload", "startAt": later}
    assert post("/tasks", {**task, "validateOnly": True}).json()["startAt"] == utc
    shown = post("/tasks/bulk", {"tasks": [task, {"name": "upload"}], "validateOnly": True}).json()["tasks"]
    assert [each["startAt"] for each in shown] == [utc, None]
    assert read_contents() == before


def test_a_replay_shows_the_first_answer_and_another_start_is_another_request(post: Post, later: str) -> None:
    headers, body = {"Idempotency-Key": "k"}, {"name": "upload", "startAt": later}
    first = post("/tasks", body, **headers)
    same = {**body, "startAt": in_utc(datetime.fromisoformat(later))}
    for again in (body, same):
        replayed = post("/tasks", again, **headers)
        assert (replayed.json(), replayed["Idempotency-Replayed"]) == (first.json(), "true")
    assert post("/tasks", {"name": "upload"}, **headers).status_code == 422


# --- reschedule


def test_the_start_is_changed_also_to_now(post: Post, client: Client, task_id: str, redis: Any) -> None:
    wanted = in_utc(datetime.now(UTC) + timedelta(hours=5))
    answer = post(f"/tasks/{task_id}/reschedule", {"startAt": wanted})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["success"], body["status"], body["startAt"], body["nextAttemptAt"]) == (
        True,
        "scheduled",
        wanted,
        wanted,
    )
    assert client.get(f"/tasks/{task_id}").json()["startAt"] == wanted
    body = post(f"/tasks/{task_id}/reschedule/", {"startAt": None}).json()
    assert (body["status"], body["startAt"], body["nextAttemptAt"]) == ("queued", None, None)
    assert redis.lrange("rq:queue:low", 0, -1) == [task_id.encode()]
    assert set(AuditEntry.objects.values_list("action", "source")) == {("reschedule", "api")}


def test_a_task_that_has_begun_or_ended_is_refused(post: Post, later: str, task_id: str) -> None:
    running = post("/tasks", {"name": "upload"}).json()["id"]
    Worker().dequeue()
    post(f"/tasks/{task_id}/cancel")
    for refused, status in ((running, "started"), (task_id, "canceled")):
        problem = assert_problem(post(f"/tasks/{refused}/reschedule", {"startAt": later}), 409)
        assert problem["type"] == "urn:longtasks:problem:task-begun"
        assert f"is {status}" in problem["detail"]


def test_a_wrong_body_and_an_unknown_task_are_refused(post: Post, task_id: str, later: str) -> None:
    assert wrong_fields(assert_problem(post(f"/tasks/{task_id}/reschedule", {}), 400)) == {"startAt"}
    more = {"startAt": later, "more": 1}
    assert wrong_fields(assert_problem(post(f"/tasks/{task_id}/reschedule", more), 400)) == {"more"}
    assert wrong_fields(assert_problem(post(f"/tasks/{task_id}/reschedule", []), 400)) == {"body"}
    assert_problem(post("/tasks/0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10/reschedule", {"startAt": later}), 404)


def test_a_scheduled_task_is_canceled_at_once_and_retried_now(post: Post, task_id: str, redis: Any) -> None:
    canceled = post(f"/tasks/{task_id}/cancel")
    assert (canceled.status_code, canceled.json()["status"], canceled.json()["nextAttemptAt"]) == (
        200,
        "canceled",
        None,
    )
    assert redis.zcard("rq:scheduled:low") == 0
    retried = post(f"/tasks/{task_id}/retry")
    assert (retried.status_code, retried.json()["status"], retried.json()["startAt"]) == (202, "queued", None)
    rescue()
    assert redis.lrange("rq:queue:low", 0, -1) == [task_id.encode()]


def test_a_full_registry_is_answered_like_a_full_queue(post: Post, later: str, settings: Any) -> None:
    import dataclasses

    settings.LONGTASKS = dataclasses.replace(settings.LONGTASKS, queue_bound=2, queue_reserve=0.0)
    body = {"tasks": [{"name": "upload", "startAt": later}] * 2}
    assert post("/tasks/bulk", body).status_code == 201
    answer = post("/tasks", {"name": "upload", "startAt": later})
    assert "2 scheduled tasks wait, the limit is 2" in assert_problem(answer, 503)["detail"]
    assert answer["Retry-After"] == "30"
    assert post("/tasks", {"name": "upload"}).status_code == 201


def test_the_answers_fit_the_schema(client: Client, post: Post, later: str, task_id: str) -> None:
    schema = client.get("/schema").json()

    def check(component: str, data: Any) -> None:
        document = {"$ref": f"#/components/schemas/{component}", "components": schema["components"]}
        checker = jsonschema.FormatChecker()
        jsonschema.Draft202012Validator(document, format_checker=checker).validate(data)

    check("NewTask", {"name": "upload", "startAt": later})
    check("Task", client.get(f"/tasks/{task_id}").json())
    check("StartedTask", post(f"/tasks/{task_id}/reschedule", {"startAt": None}).json())
    check("ValidationAnswer", post("/tasks", {"name": "upload", "startAt": later, "validateOnly": True}).json())
    check("Reschedule", {"startAt": None})
    with pytest.raises(jsonschema.ValidationError):
        check("NewTask", {"name": "upload", "startAt": 5})
