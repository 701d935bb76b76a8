"""`dryRun` and `validateOnly` in the requests that start tasks, and `changes` of a task."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

import tests.support.dry_types  # noqa: F401 (registers them)
from tasks_app.api.file_serializers import ShownTaskSerializer
from tasks_app.api.validation_serializers import ValidationAnswerSerializer
from tests.api.conftest import Post, assert_problem, wrong_fields
from tests.api.task_requests import count_jobs
from tests.support.engine import Worker, mirror
from tests.support.store_contents import read_contents

pytestmark = pytest.mark.django_db(transaction=True)
NOBODY = "0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10"


# --- dryRun


@pytest.mark.parametrize("given", [True, False])
def test_dry_run_is_shown_as_it_was_given(post: Post, client: Client, given: bool) -> None:
    body = {"name": "failing_dry", "dryRun": given}
    started = post("/tasks", body).json()
    assert started["dryRun"] is given
    assert client.get(f"/tasks/{started['id']}").json()["dryRun"] is given
    [task] = post("/tasks/bulk", {"tasks": [body]}).json()["tasks"]
    assert task["dryRun"] is given
    mirror()
    assert [each["dryRun"] for each in client.get("/tasks").json()["tasks"]] == [given, given]
    assert post("/tasks", {"name": "upload"}).json()["dryRun"] is False


@pytest.mark.parametrize("name", ["upload", "purge", "export_order_items"])
def test_a_type_without_dry_run_refuses_one(post: Post, name: str) -> None:
    params = {"taskId": NOBODY} if name == "purge" else {}
    problem = assert_problem(post("/tasks", {"name": name, "params": params, "dryRun": True}), 400)
    assert wrong_fields(problem) == {"dryRun"}
    assert "has no dry run" in problem["errors"][0]["message"]
    problem = assert_problem(post("/tasks/bulk", {"tasks": [{"name": name, "params": params, "dryRun": True}]}), 400)
    assert wrong_fields(problem) == {"tasks.0.dryRun"}
    assert post("/tasks", {"name": "upload", "dryRun": False}).status_code == 201


@pytest.mark.parametrize("name", ["dryRun", "validateOnly"])
@pytest.mark.parametrize("given", [1, 0, "true", None, [], {}])
def test_other_values_are_refused(post: Post, name: str, given: Any) -> None:
    assert wrong_fields(assert_problem(post("/tasks", {"name": "failing_dry", name: given}), 400)) == {name}
    bulk = {"tasks": [{"name": "failing_dry"}], name: given}
    assert wrong_fields(assert_problem(post("/tasks/bulk", bulk), 400)) == {name}
    assert count_jobs() == 0


def test_a_dry_run_is_another_request_than_a_real_one(post: Post) -> None:
    headers, body = {"Idempotency-Key": "k"}, {"name": "failing_dry"}
    assert post("/tasks", {**body, "dryRun": False}, **headers).status_code == 201
    assert post("/tasks", body, **headers)["Idempotency-Replayed"] == "true"
    assert post("/tasks", {**body, "dryRun": True}, **headers).status_code == 422


def test_a_task_shows_its_first_changes(post: Post, client: Client) -> None:
    body = {"name": "failing_dry", "params": {"records": 30, "bad": [1]}, "dryRun": True, "maxFailures": 1}
    task_id = post("/tasks", body).json()["id"]
    assert client.get(f"/tasks/{task_id}").json()["changes"] == []
    Worker().run()
    mirror()
    shown = client.get(f"/tasks/{task_id}").json()
    assert shown.keys() == ShownTaskSerializer().fields.keys()
    assert (shown["status"], shown["counts"], shown["failedRecords"]) == ("finished", {"users": 29}, 1)
    assert [change["position"] for change in shown["changes"]] == [0, *range(2, 21)]
    assert shown["changes"][0] == {
        "position": 0,
        "line": None,
        "model": "catalog.User",
        "key": "0",
        "before": None,
        "after": {"position": 0},
        "valuesAreExact": True,
    }
    assert len(client.get(f"/tasks/{task_id}/failures").json()["failures"]) == 1
    other = post("/tasks", {"name": "failing_dry"}).json()["id"]
    assert client.get(f"/tasks/{other}").json()["changes"] is None


def test_task_types_say_whether_they_have_a_dry_run(client: Client) -> None:
    found = {each["name"]: each["supportsDryRun"] for each in client.get("/task-types").json()["taskTypes"]}
    assert found["normalise_user_phones"]
    assert found["prune_order_items"]
    assert found["import_products"]
    assert not found["export_order_items"]
    assert not found["upload"]


# --- validateOnly


def test_a_validated_task_is_shown_and_not_stored(post: Post) -> None:
    body = {
        "name": "failing_dry",
        "params": {"records": 3},
        "priority": 2,
        "description": "try",
        "maxFailures": "1%",
        "dryRun": True,
        "validateOnly": True,
    }
    post("/tasks", {**body, "validateOnly": False, "dryRun": False})  # what the first request stores, is stored
    before = read_contents()
    response = post("/tasks", body, **{"Idempotency-Key": "k"})
    assert response.status_code == 200
    assert "Location" not in response
    shown = response.json()
    assert read_contents() == before
    assert shown.keys() == ValidationAnswerSerializer().fields.keys()
    assert shown["params"] == {"records": 3, "every": 0, "rest": 0, "bad": [], "only": [], "how": "value"}
    assert shown | {"params": {}} == {
        "success": True,
        "validateOnly": True,
        "name": "failing_dry",
        "description": "try",
        "params": {},
        "priority": 2,
        "queue": "high",
        "progress": {"done": 0, "total": 3, "isEstimate": False},
        "maxFailures": "1%",
        "dryRun": True,
        "callbackUrl": "",
    }
    started = post("/tasks", {**body, "validateOnly": False}, **{"Idempotency-Key": "k"})
    assert (started.status_code, "Idempotency-Replayed" in started) == (201, False)


def test_many_tasks_are_validated_together(post: Post) -> None:
    before = read_contents()
    tasks = [{"name": "failing_dry"}, {"name": "upload", "params": {"numRecords": 7}}]
    response = post("/tasks/bulk", {"tasks": tasks, "validateOnly": True})
    assert response.status_code == 200
    body = response.json()
    assert (body["success"], body["validateOnly"]) == (True, True)
    assert [(each["name"], each["progress"]["total"]) for each in body["tasks"]] == [("failing_dry", 10), ("upload", 7)]
    assert read_contents() == before
    problem = assert_problem(post("/tasks/bulk", {"tasks": [{"name": "upload", "validateOnly": True}]}), 400)
    assert wrong_fields(problem) == {"tasks.0.validateOnly"}
    assert count_jobs() == 0


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"name": "nothing"}, 400, "name"),
        ({"params": {"numRecords": 0}}, 400, "params.numRecords"),
        ({"dryRun": True}, 400, "dryRun"),
        ({"name": "import_products", "params": {"file": NOBODY}}, 404, "params.file"),
        ({"speed": 1}, 400, "speed"),
    ],
)
def test_what_a_start_refuses_a_validation_refuses(post: Post, change: dict[str, Any], status: int, field: str) -> None:
    body = {"name": "upload"} | change
    for validate_only in (True, False):
        problem = assert_problem(post("/tasks", {**body, "validateOnly": validate_only}), status)
        assert wrong_fields(problem) == {field}


def test_what_the_caller_may_not_start_is_not_valid(closed_api: None, client_of: Any) -> None:
    for validate_only in (True, False):
        body = {"name": "normalise_user_phones", "validateOnly": validate_only}
        answer = client_of("ann").post("/tasks", body, content_type="application/json")
        assert_problem(answer, 403)
    answer = client_of("ann", "read").post(
        "/tasks", {"name": "upload", "validateOnly": True}, content_type="application/json"
    )
    assert_problem(answer, 403)
