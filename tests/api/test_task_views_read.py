"""GET /tasks and GET /tasks/{id}: contents, filters, pages, ETag, waiting, history."""

import dataclasses
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client

from tasks_app.api import long_poll
from tasks_app.domain import task_snapshot
from tasks_app.queues import job_snapshots, redis_connection, redis_keys
from tests.api.conftest import Post, assert_problem, wrong_fields

pytestmark = pytest.mark.django_db
End = Callable[..., None]


@pytest.fixture
def start(post: Post) -> Callable[..., str]:
    def start(**body: Any) -> str:
        response = post("/tasks", {"name": "upload", **body})
        assert response.status_code == 201
        return response.json()["id"]

    return start


def test_a_task_reads_the_same_before_and_after_the_mirror(
    client: Client, post: Post, mirror: Callable[[], None]
) -> None:
    started = post("/tasks", {"name": "upload", "description": "d", "params": {"numRecords": 5}}).json()
    before = client.get(f"/tasks/{started['id']}")
    mirror()
    after = client.get(f"/tasks/{started['id']}/")
    del started["success"]
    started |= {"result": None, "artifacts": [], "changes": None}  # an answer to a start has none of them
    assert before.json() == started
    assert after.json() == started
    assert before["ETag"] == after["ETag"]


def test_an_unfinished_task_has_retry_after(client: Client, start: Any, end: End) -> None:
    task_id = start()
    assert client.get(f"/tasks/{task_id}")["Retry-After"] == "1"
    end(task_id, "finished")
    assert "Retry-After" not in client.get(f"/tasks/{task_id}")


def test_an_etag_saves_the_body_until_something_changes(client: Client, start: Any, end: End) -> None:
    task_id = start()
    etag = client.get(f"/tasks/{task_id}")["ETag"]
    for tags in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = client.get(f"/tasks/{task_id}", headers={"If-None-Match": tags})
        assert (response.status_code, response.content, response["ETag"]) == (304, b"", etag)
    end(task_id, "finished")
    changed = client.get(f"/tasks/{task_id}", headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed["ETag"] != etag


def test_an_error_is_shown_without_its_traceback(client: Client, start: Any, end: End) -> None:
    task_id = start()
    end(
        task_id,
        "failed",
        'Traceback (most recent call last):\n  File "secret.py", line 1, in f\nValueError: no such user\n',
    )
    assert client.get(f"/tasks/{task_id}").json()["error"] == "ValueError: no such user"


def test_waiting_answers_as_soon_as_the_task_ends(
    client: Client, start: Any, end: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = start()
    pauses: list[float] = []

    def end_in_the_third_pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            end(task_id, "finished")

    monkeypatch.setattr(long_poll, "time", _Clock(end_in_the_third_pause))
    response = client.get(f"/tasks/{task_id}?wait=20")
    assert response.json()["status"] == "finished"
    assert len(pauses) == 3
    assert pauses == sorted(pauses)


class _Clock:
    """A clock that only `sleep` moves."""

    def __init__(self, sleeping: Callable[[float], None]) -> None:
        self._now, self._sleeping = 0.0, sleeping

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds
        self._sleeping(seconds)


def test_waiting_ends_after_its_time(client: Client, start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = _Clock(lambda _: None)
    monkeypatch.setattr(long_poll, "time", clock)
    response = client.get(f"/tasks/{start()}?wait=20")
    assert (response.status_code, response.json()["status"], response["Retry-After"]) == (200, "queued", "1")
    assert 19.9 < clock.monotonic() < 20.1


def test_a_preference_to_wait_is_applied(client: Client, start: Any) -> None:
    begun = time.monotonic()
    response = client.get(f"/tasks/{start()}", headers={"Prefer": "respond-async, wait=1"})
    assert response["Preference-Applied"] == "wait=1"
    assert time.monotonic() - begun >= 1


@pytest.mark.parametrize("prefer", ["wait", "wait=", "wait=x", "wait=-1", "other=1", ""])
def test_other_preferences_are_ignored(client: Client, start: Any, prefer: str) -> None:
    response = client.get(f"/tasks/{start()}", headers={"Prefer": prefer})
    assert response.status_code == 200
    assert "Preference-Applied" not in response


@pytest.mark.parametrize("query", ["wait=x", "wait=-1", "wait=61", "wait=nan", "wait=1&wait=2", "wait=", "weight=1"])
def test_a_wrong_wait_is_400(client: Client, start: Any, query: str) -> None:
    problem = assert_problem(client.get(f"/tasks/{start()}?{query}"), 400)
    assert wrong_fields(problem) == {query.partition("=")[0]}


def test_a_get_without_a_place_to_wait_is_answered_at_once(client: Client, start: Any) -> None:
    places = [long_poll._places.acquire(blocking=False) for _ in range(long_poll.WAITERS)]
    try:
        assert all(places)
        answered = threading.Event()
        begun = time.monotonic()
        response = client.get(f"/tasks/{start()}?wait=30")
        answered.set()
        assert response["Retry-After"] == "1"
        assert time.monotonic() - begun < 10
    finally:
        for _ in places:
            long_poll._places.release()


def test_the_list_shows_the_newest_first_and_pages(client: Client, start: Any, mirror: Callable[[], None]) -> None:
    ids = [start(priority="high" if number % 2 else "low") for number in range(7)]
    mirror()
    page = client.get("/tasks?limit=3").json()
    seen = [task["id"] for task in page["tasks"]]
    while page["next"]:
        page = client.get(page["next"]).json()
        assert len(page["tasks"]) <= 3
        seen += [task["id"] for task in page["tasks"]]
    assert seen == ids[::-1]


def test_the_next_page_keeps_the_filters(client: Client, start: Any, mirror: Callable[[], None]) -> None:
    high = [start(priority="high") for _ in range(3)]
    start()
    mirror()
    page = client.get("/tasks?limit=2&priority=high&status=queued&name=upload").json()
    assert [task["id"] for task in page["tasks"]] == high[:0:-1]
    page = client.get(page["next"]).json()
    assert ([task["id"] for task in page["tasks"]], page["next"]) == (high[:1], None)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"status": "queued"}, True), ({"status": "failed"}, False), ({"name": "upload"}, True), ({"name": "purge"}, False),
        ({"priority": "low"}, True), ({"priority": "high"}, False), ({"createdAfter": "2020-01-01T00:00:00Z"}, True),
        ({"createdAfter": "2100-01-01T00:00:00Z"}, False), ({"createdBefore": "2020-01-01T00:00:00+02:00"}, False),
        ({"createdBefore": "2100-01-01T00:00:00Z", "limit": "200"}, True),
    ],
)  # fmt: skip
def test_the_list_applies_its_filters(
    client: Client, start: Any, mirror: Callable[[], None], query: dict[str, str], found: bool
) -> None:
    start()
    mirror()
    assert bool(client.get(f"/tasks?{urlencode(query)}").json()["tasks"]) is found


@pytest.mark.parametrize(
    "query",
    [
        "status=gone", "status=", "priority=urgent", "limit=0", "limit=201", "limit=x", "limit=", "createdAfter=yesterday",
        "createdBefore=2024-13-01T00:00:00Z", "cursor=x", "cursor=", "cursor=%00", "page=2", "Status=queued", "limit=1&limit=2",
        "name=" + "x" * 65, "name=%00", "createdAfter=0001-01-01T00:00:00%2B14:00",
    ],
)  # fmt: skip
def test_a_wrong_query_is_400(client: Client, query: str) -> None:
    assert wrong_fields(assert_problem(client.get(f"/tasks?{query}"), 400)) == {query.partition("=")[0]}


def test_the_history_lists_every_change(client: Client, start: Any, mirror: Callable[[], None]) -> None:
    task_id = start()
    assert client.get(f"/tasks/{task_id}/events").json() == {"events": []}
    mirror()
    (event,) = client.get(f"/tasks/{task_id}/events").json()["events"]
    assert (event["status"], event["cause"], event["attempt"], event["error"]) == ("queued", "start", 0, None)
    assert event["at"].endswith("Z")
    assert wrong_fields(assert_problem(client.get(f"/tasks/{task_id}/events?x=1"), 400)) == {"x"}


def test_an_unknown_id_is_quoted_as_it_was_sent(client: Client) -> None:
    asked = "01A214EA9C4A73D1831D02AB7631717C"  # valid, in a form that no answer of the API has
    assert assert_problem(client.get(f"/tasks/{asked}"), 404)["detail"] == f"There is no task '{asked}'."


@pytest.mark.parametrize("status", ["started", "finished"])
def test_a_shard_is_answered_as_a_missing_task(client: Client, start: Any, status: str) -> None:
    """In an outage too: logs and RQ's pages show a shard's own id, which must not be accepted as a task's."""
    from django.db import OperationalError

    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        raise OperationalError(2006, "Server has gone away")

    whole = job_snapshots.get_snapshot(start())
    assert whole is not None
    shard = str(uuid.uuid4())
    planted = dataclasses.replace(whole, id=shard, parent=whole.id, status=status)
    redis_connection.get_connection().hset(redis_keys.job_key(shard), "s", task_snapshot.encode(planted))
    assert_problem(client.get(f"/tasks/{shard}"), 404)
    if connection.vendor == "mysql":
        with connection.execute_wrapper(refuse):
            answers = [client.get(f"/tasks/{task_id}") for task_id in (shard, uuid.uuid4())]
        assert {assert_problem(answer, 503)["detail"] for answer in answers} == {
            "The database is unavailable. Try again later."
        }


def test_a_task_unknown_to_redis_is_503_without_the_database(client: Client, start: Any) -> None:
    from django.db import OperationalError

    task_id = start()

    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        raise OperationalError(2006, "Server has gone away at db.internal.example")

    if connection.vendor != "mysql":
        pytest.skip("the error numbers are MySQL's")
    with connection.execute_wrapper(refuse):
        known = client.get(f"/tasks/{task_id}")
        redis_connection.get_connection().delete(redis_keys.job_key(task_id))
        response = client.get(f"/tasks/{task_id}")
    assert (known.status_code, known["Longtasks-Source"]) == (200, "redis")
    assert_problem(response, 503)
    assert response["Retry-After"]
    assert b"internal" not in response.content
