"""Nothing reveals another owner's tasks indirectly: keys, cursors, ETags, limits, 404s, the cost of a request."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import redis
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tasks_app.domain import task_snapshot
from tasks_app.models import TaskRecord
from tasks_app.queues import job_snapshots, redis_connection, redis_keys
from tasks_app.resilience import machine_numbers
from tasks_app.services import start_tasks
from tests.support.mirror import run_mirror

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("closed_api")]
UPLOAD = {"name": "upload", "params": {"numRecords": 1}, "description": "anns"}
ClientOf = Callable[..., Client]


def post(client: Client, path: str, body: Any = None, **headers: str) -> Any:
    return client.post(path, body or {}, content_type="application/json", headers=headers)


def start(client: Client, **headers: str) -> str:
    answer = post(client, "/tasks", UPLOAD, **headers)
    assert answer.status_code == 201, answer.content
    run_mirror()
    return str(answer.json()["id"])


def seen(answer: Any, *, known: str = "") -> tuple[int, bytes, dict[str, str]]:
    """Return all that a client sees, except the id that it sent, the request's own id and the time."""
    headers = {name: value for name, value in answer.items() if name not in ("X-Request-ID", "Date")}
    return answer.status_code, answer.content.replace(known.encode(), b"ID"), headers


# --- the same key, cursor, ETag, request id


@pytest.mark.parametrize("path", ["/tasks", "/tasks/bulk"])
@pytest.mark.parametrize("body", [UPLOAD, {"name": "upload", "params": {"numRecords": 2}}])
def test_an_idempotency_key_of_another_owner_has_no_effect(
    client_of: ClientOf, path: str, body: dict[str, Any]
) -> None:
    first, second = ({"tasks": [each]} if path.endswith("bulk") else each for each in (UPLOAD, body))
    ann, bob = client_of("ann"), client_of("bob")
    key = {"Idempotency-Key": "the-key"}
    assert post(ann, path, first, **key).status_code == 201
    answer = post(bob, path, second, **key)
    assert answer.status_code == 201
    assert "Idempotency-Replayed" not in answer
    run_mirror()
    assert sorted(TaskRecord.objects.values_list("owner", flat=True)) == ["ann", "bob"]


def test_owner_and_key_cannot_be_confused() -> None:
    pairs = [("a", "b:c"), ("a:b", "c"), ("", "a:b"), ("A", "b:c"), ("ab", "c"), ("a", "bc"), ("\u00e1", "b:c")]
    assert len({start_tasks._redis_key(*pair) for pair in pairs}) == len(pairs)


def test_a_cursor_of_another_owner_shows_own_tasks_only(client_of: ClientOf) -> None:
    ann, bob = client_of("ann"), client_of("bob")
    mine = start(bob)
    for _ in range(3):
        start(ann)
    following = ann.get("/tasks?limit=1").json()["next"]
    answer = bob.get(following)
    assert answer.status_code == 200
    assert {task["id"] for task in answer.json()["tasks"]} <= {mine}
    cursor = following.partition("cursor=")[2]
    strange = [cursor, cursor[:-1] + ("0" if cursor[-1] != "0" else "1")]
    assert len({bob.get(f"/tasks?cursor={each}").status_code for each in strange}) == 1


def test_lists_contain_own_tasks_only(client_of: ClientOf) -> None:
    ann, bob = client_of("ann"), client_of("bob")
    before = seen(bob.get("/tasks"))
    for _ in range(3):
        start(ann)
    for query in ("", "?limit=1", "?status=queued", "?name=upload&priority=low"):
        assert seen(bob.get(f"/tasks{query}"))[1:] == before[1:], query


@pytest.mark.parametrize("tag", ["the task's", "*"])
def test_an_etag_of_another_owner_is_404(client_of: ClientOf, tag: str) -> None:
    ann, bob = client_of("ann"), client_of("bob")
    task_id = start(ann)
    etag = ann.get(f"/tasks/{task_id}")["ETag"] if tag != "*" else tag
    assert ann.get(f"/tasks/{task_id}", headers={"If-None-Match": etag}).status_code == 304
    answer = bob.get(f"/tasks/{task_id}", headers={"If-None-Match": etag})
    assert answer.status_code == 404
    assert "ETag" not in answer


def test_a_request_id_of_another_owner_reveals_nothing(client_of: ClientOf) -> None:
    ann, bob = client_of("ann"), client_of("bob")
    start(ann, **{"X-Request-ID": "anns-request"})
    before = seen(bob.get("/tasks"))
    answer = bob.get("/tasks", headers={"X-Request-ID": "anns-request"})
    assert answer["X-Request-ID"] == "anns-request"
    assert seen(answer) == before
    mine = start(bob, **{"X-Request-ID": "anns-request"})
    assert [task["id"] for task in bob.get("/tasks").json()["tasks"]] == [mine]


def test_another_owners_requests_do_not_use_up_the_limit(client_of: ClientOf, settings: Any) -> None:
    settings.LONGTASKS = replace(settings.LONGTASKS, rate_limit_per_minute=5)
    ann, bob = client_of("ann"), client_of("bob")
    before = None
    for round_number in range(12):
        ann.get("/tasks")
        if round_number in (0, 11):
            answer = seen(bob.get("/tasks"))
            assert before in (None, answer)
            before = answer
    assert ann.get("/tasks").status_code == 429
    assert before is not None
    assert before[0] == 200
    assert machine_numbers.BUCKETS >= 65_536, "ids of tokens that are so far apart share a bucket"


# --- a foreign task and an unknown one


ASKS = [
    ("GET", ""),
    ("GET", "/events"),
    ("GET", "/failures"),
    ("GET", "/failures?format=csv"),
    ("POST", "/failures/retry"),
    ("POST", "/cancel"),
    ("POST", "/retry"),
    ("POST", "/reschedule"),
    ("GET", "?wait=0"),
    ("GET", "?wait=x"),
]


def _in_state(task_id: str, state: str) -> None:
    """Bring the task to a state: only in Redis, only in the table, or ended and in both."""
    if state == "forgotten by Redis":
        redis_connection.get_connection().delete(redis_keys.job_key(task_id))
    if state == "finished":
        TaskRecord.objects.filter(pk=task_id).update(status="finished", epoch=9)
        snapshot = job_snapshots.get_snapshot(task_id)
        assert snapshot is not None
        finished = task_snapshot.encode(replace(snapshot, status="finished", epoch=9))
        redis_connection.get_connection().hset(redis_keys.job_key(task_id), "s", finished)


@pytest.mark.parametrize("state", ["new", "seen by the mirror", "forgotten by Redis", "finished"])
@pytest.mark.parametrize(("method", "action"), ASKS)
def test_a_foreign_task_is_answered_as_an_unknown_one(
    client_of: ClientOf, sent: list[object], method: str, action: str, state: str
) -> None:
    ann, bob = client_of("ann"), client_of("bob")
    answer = post(ann, "/tasks", UPLOAD)
    task_id = answer.json()["id"]
    if state != "new":
        run_mirror()
    _in_state(task_id, state)
    unknown = str(uuid.UUID(int=uuid.UUID(task_id).int ^ 0xFFFF))
    bob.get(f"/tasks/{unknown}")  # the extra cost of a process's first request
    told, efforts = [], []
    body = b'{"startAt": null}' if action == "/reschedule" else b"{}"
    for each in (task_id, unknown):
        sent.clear()
        with CaptureQueriesContext(connection) as queries:
            answer = bob.generic(method, f"/tasks/{each}{action}", body, content_type="application/json")
        efforts.append((_kinds(queries.captured_queries), len(sent)))
        told.append(seen(answer, known=each))
    assert told[0] == told[1]
    assert told[0][0] in (404, 400)
    assert efforts[0][1] > 0 or told[0][0] == 400
    assert efforts[0] == efforts[1], "the cost reveals that there is such a task"


def _kinds(captured: list[dict[str, str]]) -> list[str]:
    return [query["sql"].split()[0] for query in captured]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The commands that this thread sends to Redis. The server's counters include other processes."""
    found: list[object] = []
    thread, send = threading.get_ident(), redis.connection.AbstractConnection.send_packed_command

    def note(self: Any, command: Any, *arguments: Any, **options: Any) -> None:
        if threading.get_ident() == thread:
            found.append(command)
        send(self, command, *arguments, **options)

    monkeypatch.setattr(redis.connection.AbstractConnection, "send_packed_command", note)
    return found
