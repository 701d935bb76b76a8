"""GET /queues, and pausing and resuming a queue."""

from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from tasks_app.auth import audit_log
from tasks_app.queues import pauses
from tests.api.conftest import Post, assert_problem, wrong_fields

pytestmark = pytest.mark.django_db
GOOD = {"name": "upload"}


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


def test_a_pause_that_loses_a_deadlock_is_retried(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two concurrent first pauses of a queue can deadlock; the database requests a retry."""
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


def test_a_suspension_by_rq_is_shown_beside_the_pauses(client: Client, post: Post) -> None:
    assert [each["suspended"] for each in client.get("/queues").json()["queues"]] == [False, False]
    pauses.write_suspension(suspended=True)
    assert [each["suspended"] for each in client.get("/queues").json()["queues"]] == [True, True]
    resumed = post("/queues/low/resume")
    assert (resumed.json()["pausedAt"], resumed.json()["suspended"]) == (None, True)
