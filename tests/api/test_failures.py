"""GET /tasks/{id}/failures and POST …/retry, and maxFailures in the requests that start tasks."""

import csv
import io
import uuid
from typing import Any

import pytest
from django.test import Client

from tasks_app.domain.csv_cells import restore
from tasks_app.models import AuditEntry
from tasks_app.queues import job_snapshots
from tests.api.conftest import Post, assert_problem, wrong_fields
from tests.support.engine import Worker, positions, record
from tests.support.failing_tasks import begin

pytestmark = pytest.mark.django_db(transaction=True)
NOBODY = "0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10"


def run(**params: Any) -> str:
    task_id = begin(**{"records": 40, "bad": [3, 20, 39]} | params)
    Worker().run()
    record(task_id)
    return task_id


def retry(client: Client, task_id: str) -> Any:
    return client.post(f"/tasks/{task_id}/failures/retry", content_type="application/json")


# --- maxFailures


@pytest.mark.parametrize("given", [0, 1, 17, 1_000_000, 5.0, "0.5%", "100%"])
def test_max_failures_is_shown_as_it_was_given(post: Post, client: Client, given: Any) -> None:
    body = {"name": "failing", "maxFailures": given}
    answer = post("/tasks", body)
    assert answer.status_code == 201, answer.content
    assert (answer.json()["maxFailures"], answer.json()["failedRecords"]) == (given, 0)
    assert client.get(f"/tasks/{answer.json()['id']}").json()["maxFailures"] == given
    [task] = post("/tasks/bulk", {"tasks": [body]}).json()["tasks"]
    assert task["maxFailures"] == given
    assert client.get("/tasks").status_code == 200


@pytest.mark.parametrize("given", [-1, 1_000_001, 1.5, True, None, "5", "0%", "101%", "", [], {}, "1" * 1000])
def test_an_invalid_bound_is_refused_by_name(post: Post, given: Any) -> None:
    body = {"name": "failing", "maxFailures": given}
    assert wrong_fields(assert_problem(post("/tasks", body), 400)) == {"maxFailures"}
    assert wrong_fields(assert_problem(post("/tasks/bulk", {"tasks": [body]}), 400)) == {"tasks.0.maxFailures"}


def test_a_type_that_cannot_isolate_refuses_a_bound(post: Post) -> None:
    problem = assert_problem(post("/tasks", {"name": "upload", "maxFailures": "1%"}), 400)
    assert wrong_fields(problem) == {"maxFailures"}
    assert "cannot leave out" in problem["errors"][0]["message"]
    assert post("/tasks", {"name": "upload", "maxFailures": 0}).status_code == 201


def test_another_bound_is_another_request(post: Post) -> None:
    headers = {"Idempotency-Key": "k"}
    assert post("/tasks", {"name": "failing", "maxFailures": 1}, **headers).status_code == 201
    assert post("/tasks", {"name": "failing", "maxFailures": 1}, **headers)["Idempotency-Replayed"] == "true"
    assert post("/tasks", {"name": "failing", "maxFailures": 2}, **headers).status_code == 422


# --- the list


def test_pages_follow_next_to_the_end(client: Client) -> None:
    task_id = run()
    assert client.get(f"/tasks/{task_id}").json()["failedRecords"] == 3

    first = client.get(f"/tasks/{task_id}/failures?limit=2").json()
    second = client.get(first["next"]).json()

    assert [each["position"] for each in first["failures"] + second["failures"]] == [3, 20, 39]
    assert second["next"] is None
    [failure] = second["failures"]
    failed_at = failure.pop("failedAt")
    assert failed_at.endswith("Z")
    assert failure == {
        "position": 39,
        "line": 41,
        "key": "39",
        "code": "ValueError",
        "message": "record 39 is bad",
        "values": {"position": 39, "phone": "=+39"},
        "valuesAreExact": True,
    }


@pytest.mark.parametrize(
    ("query", "accept", "is_csv"),
    [
        ("", "", False),
        ("", "*/*", False),
        ("", "text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("", "application/json, text/csv", False),
        ("", "text/csv", True),
        ("", "text/csv;q=0.9, */*;q=0.1", True),
        ("", "text/*", True),
        ("?format=csv", "", True),
        ("?format=csv", "application/json", True),
        ("?format=json", "text/csv", False),
    ],
)
def test_the_client_chooses_json_or_csv(client: Client, query: str, accept: str, is_csv: bool) -> None:
    answer = client.get(f"/tasks/{run()}/failures{query}", headers={"Accept": accept} if accept else {})
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/csv" if is_csv else "application/json")
    assert answer["Vary"] == "Accept"


@pytest.mark.parametrize("accept", ["text/html", "text/csv;q=0", "image/*"])
def test_other_formats_are_not_acceptable(client: Client, accept: str) -> None:
    assert_problem(client.get(f"/tasks/{NOBODY}/failures", headers={"Accept": accept}), 406)
    assert_problem(client.get(f"/tasks/{NOBODY}", headers={"Accept": "text/csv"}), 406)


def test_the_csv_has_all_of_them_and_no_formula(client: Client) -> None:
    task_id = run()
    answer = client.get(f"/tasks/{task_id}/failures?format=csv")
    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["failure_position"] for row in rows] == ["3", "20", "39"]
    assert [row["position"] for row in rows] == ["3", "20", "39"]
    assert {row["phone"] for row in rows} == {"'=+3", "'=+20", "'=+39"}
    assert restore(rows[0]["phone"]) == "=+3"
    assert task_id in answer["Content-Disposition"]


@pytest.mark.parametrize("query", ["cursor=x", "limit=0", "limit=1001", "format=xml", "page=2"])
def test_an_invalid_query_is_refused_by_name(client: Client, query: str) -> None:
    problem = assert_problem(client.get(f"/tasks/{run()}/failures?{query}"), 400)
    assert wrong_fields(problem) == {query.partition("=")[0]}


@pytest.mark.parametrize("task_id", [NOBODY, "x"])
def test_an_unknown_task_has_no_list(client: Client, post: Post, task_id: str) -> None:
    assert_problem(client.get(f"/tasks/{task_id}/failures"), 404)
    assert_problem(client.get(f"/tasks/{task_id}/failures?format=csv"), 404)
    assert_problem(post(f"/tasks/{task_id}/failures/retry"), 404)


def test_another_owners_list_does_not_exist(client_of: Any, closed_api: None) -> None:
    started = client_of("ann").post(
        "/tasks",
        {"name": "failing", "params": {"bad": [3]}, "maxFailures": 5},
        content_type="application/json",
    )
    task_id = started.json()["id"]
    Worker().run()

    for name, status in (("ann", 200), ("bob", 404)):
        assert client_of(name).get(f"/tasks/{task_id}/failures").status_code == status
        assert client_of(name).get(f"/tasks/{task_id}/failures?format=csv").status_code == status
    assert retry(client_of("bob"), task_id).status_code == 404
    assert retry(client_of("ann", "read"), task_id).status_code == 403
    assert client_of("root", "admin").get(f"/tasks/{task_id}/failures").status_code == 200


# --- the retry


def test_a_retry_runs_the_failed_records_alone(post: Post) -> None:
    task_id = run()

    answer = post(f"/tasks/{task_id}/failures/retry")

    assert answer.status_code == 201, answer.content
    new = answer.json()
    assert answer["Location"] == f"/tasks/{new['id']}"
    assert (new["name"], new["maxFailures"], new["params"]["only"]) == ("failing", "100%", [3, 20, 39])
    assert new["progress"]["total"] == 3
    Worker().run()
    assert (record(new["id"]).status, positions(new["id"])) == ("finished", [3, 20, 39])
    entry = AuditEntry.objects.get(action="retry")
    assert (entry.task_id, entry.source, new["id"] in entry.detail) == (uuid.UUID(task_id), "api", True)


def test_a_repeated_retry_starts_one_task(post: Post) -> None:
    task_id = run()
    first, second = (post(f"/tasks/{task_id}/failures/retry", **{"Idempotency-Key": "k"}) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    assert second["Idempotency-Replayed"] == "true"
    assert AuditEntry.objects.filter(action="retry").count() == 1


def test_a_retry_by_an_admin_stays_the_owners(client_of: Any, closed_api: None) -> None:
    started = client_of("ann").post(
        "/tasks", {"name": "failing", "params": {"bad": [3]}, "maxFailures": 5}, content_type="application/json"
    )
    Worker().run()
    new = retry(client_of("root", "admin"), started.json()["id"]).json()
    snapshot = job_snapshots.get_snapshot(new["id"])
    assert snapshot is not None
    assert (snapshot.owner, snapshot.scope) == ("ann", "write")
    assert AuditEntry.objects.get(action="retry").actor == "root"


def test_a_retry_that_is_not_possible_says_why(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    running, flawless = begin(), run(bad=[])
    other = begin("failing_once", bad=[3])
    huge = run()
    for _ in range(2):
        Worker().run()
    again = begin()

    for task_id, reason in (
        (again, "it is queued"),
        (flawless, "none of its records"),
        (running, "none of its records"),
        (other, "'failing_once' cannot be limited"),
    ):
        problem = assert_problem(post(f"/tasks/{task_id}/failures/retry"), 409)
        assert reason in problem["detail"]
        assert problem["type"] == "urn:longtasks:problem:failures-not-retried"
    monkeypatch.setattr("tasks_app.task_types.task_params.PARAMS_BYTES", 10)
    assert "cannot hold them" in assert_problem(post(f"/tasks/{huge}/failures/retry"), 409)["detail"]
    assert AuditEntry.objects.filter(action="retry").count() == 0
