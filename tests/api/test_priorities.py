"""Priorities as numbers: 1 to 3 are high; the answer repeats what was sent."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tasks_app.queues import redis_connection
from tasks_app.read_model.mirror import Mirror
from tests.api.conftest import Post, assert_problem

pytestmark = pytest.mark.django_db


def ask(priority: Any) -> dict[str, Any]:
    return {"name": "upload", "params": {"numRecords": 1}, "priority": priority}


@pytest.mark.parametrize(
    ("priority", "name"),
    [(1, "high"), (3, "high"), (4, "low"), (5, "low"), (10, "low"), ("high", "high"), ("low", "low")],
)
def test_the_answer_repeats_what_was_sent(post: Post, client: Client, priority: int | str, name: str) -> None:
    body = post("/tasks", ask(priority)).json()
    assert (body["priority"], body["queue"]) == (priority, name)
    shown = client.get(f"/tasks/{body['id']}").json()
    assert (shown["priority"], shown["queue"]) == (priority, name)


@pytest.mark.parametrize(
    "priority", [True, False, 1.5, 11.0, 1e300, float("-0"), "5", "", "imports", 0, 11, -1, 10**30, None, [], {}]
)
def test_any_other_priority_is_refused(post: Post, priority: Any) -> None:
    problem = assert_problem(post("/tasks", ask(priority)), 400)
    assert [error["field"] for error in problem["errors"]] == ["priority"]


def test_an_integer_may_be_written_as_a_float(post: Post) -> None:
    # As for all integers of the API: JSON Schema, which describes them, makes no difference.
    body = post("/tasks", ask(5.0)).json()
    assert (body["priority"], type(body["priority"]), body["queue"]) == (5, int, "low")


def test_an_idempotency_key_covers_the_number(post: Post) -> None:
    first = post("/tasks", ask(5), **{"Idempotency-Key": "k"})
    again = post("/tasks", ask(5), **{"Idempotency-Key": "k"})
    assert again["Idempotency-Replayed"] == "true"
    assert again.json() == first.json()
    assert post("/tasks", ask("low"), **{"Idempotency-Key": "k"}).status_code == 422


def test_bulks_and_lists_show_the_number(post: Post, client: Client) -> None:
    sent = [1, "high", "low", 5, 5]
    started = post("/tasks/bulk", {"tasks": [ask(each) for each in sent]}).json()["tasks"]
    assert [task["priority"] for task in started] == sent
    reader = Mirror(connection=redis_connection.get_connection())
    while reader.step():
        pass
    ids = {task["id"] for task in started}

    def found(query: str) -> list[Any]:
        tasks = client.get(f"/tasks?{query}").json()["tasks"]
        return sorted((task["priority"] for task in tasks if task["id"] in ids), key=str)

    assert found("priority=5") == [5, 5]
    assert found("priority=high") == [1, "high"]
    assert found("priority=low") == [5, 5, "low"]
    assert found("queue=high") == [1, "high"]
    assert found("queue=high&priority=low") == []
    for wrong in ("priority=0", "priority=05", "priority=1.0", "queue=nowhere"):
        assert client.get(f"/tasks?{wrong}").status_code == 400
