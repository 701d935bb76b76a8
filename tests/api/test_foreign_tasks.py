"""Requests that name another owner's task: answered as for a task that does not exist, at the same cost."""

import dataclasses
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from catalog.sample_rows import CONTEXT_ID
from tasks_app.domain import task_snapshot
from tasks_app.queues import job_snapshots, redis_keys
from tests.admin.conftest import OPERATE, make_client  # noqa: F401
from tests.api.conftest import assert_problem
from tests.api.task_requests import count_jobs, plant, purge_of, shown, start, start_bulk
from tests.support.redis_commands import watched_commands

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("closed_api")]
UNKNOWN = "0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10"
FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "upper case": str.upper,
    "no dashes": lambda text: text.replace("-", ""),
    "braces": lambda text: f"{{{text}}}",
    "urn": lambda text: f"urn:uuid:{text}",
    "other dashes": lambda text: "-".join(text.replace("-", "")),
    "padded": lambda text: f" {text} ",
    "line break": lambda text: f"{text}\n",
    "NUL": lambda text: f"{text}\0",
    "other digits": lambda text: text.translate({ord(str(digit)): 0xFF10 + digit for digit in range(10)}),
}


@pytest.mark.parametrize("where", ["redis", "both", "record"])
@pytest.mark.parametrize("form", FORMS)
def test_a_foreign_task_is_answered_as_an_unknown_one(
    client_of: Any, mirror: Any, redis: Any, where: str, form: str
) -> None:
    task_id = start(client_of("ann")).json()["id"]
    if where != "redis":
        mirror()
    if where == "record":
        redis.flushdb()
    before, bob = count_jobs(), client_of("bob")
    write = FORMS[form]

    for foreign, unknown in (
        (start(bob, "purge", taskId=write(task_id)), start(bob, "purge", taskId=write(UNKNOWN))),
        (start_bulk(bob, purge_of(write(task_id))), start_bulk(bob, purge_of(write(UNKNOWN)))),
    ):
        assert shown(foreign) == shown(unknown)
        problem = assert_problem(foreign, foreign.status_code)
        assert foreign.status_code in (400, 404)
        assert problem["errors"][0]["field"].endswith("params.taskId")
    assert count_jobs() == before
    if form == "plain":
        problem = assert_problem(start(bob, "purge", taskId=task_id), 404)
        assert problem["type"] == "urn:longtasks:problem:unknown-task"
        assert problem["errors"] == [{"field": "params.taskId", "message": "There is no such task."}]


def test_a_bulk_with_one_foreign_task_starts_nothing(client_of: Any) -> None:
    ann, bob = client_of("ann"), client_of("bob")
    own, foreign = start(bob).json()["id"], start(ann).json()["id"]
    good = {"name": "upload"}
    before = count_jobs()
    answer = start_bulk(bob, good, purge_of(own), purge_of(foreign), purge_of(UNKNOWN))
    problem = assert_problem(answer, 404)
    assert [error["field"] for error in problem["errors"]] == ["tasks.2.params.taskId", "tasks.3.params.taskId"]
    assert count_jobs() == before
    assert start_bulk(bob, good, purge_of(own)).status_code == 201


@pytest.mark.parametrize("form", ["plain", "upper case", "no dashes", "braces", "urn"])
def test_the_owner_may_purge_while_the_task_is_known(client_of: Any, mirror: Any, redis: Any, form: str) -> None:
    task_id = start(client_of("ann")).json()["id"]
    for step in ("new", "in both", "in the record only"):
        started = start(client_of("ann"), "purge", taskId=FORMS[form](task_id))
        assert started.status_code == 201, (step, started.content)
        assert started.json()["params"] == {"taskId": task_id}
        mirror()
        if step == "in both":
            redis.flushdb()


@pytest.mark.parametrize("task_id", [UNKNOWN, str(CONTEXT_ID)])
def test_only_an_admin_may_purge_rows_of_an_unknown_task(client_of: Any, task_id: str) -> None:
    """Such rows are those of a pruned task, and those that a command has made."""
    assert_problem(start(client_of("ann"), "purge", taskId=task_id), 404)
    assert_problem(start(client_of(""), "purge", taskId=task_id), 404)
    assert start(client_of("root", "admin"), "purge", taskId=task_id).status_code == 201


def test_an_admin_may_purge_a_foreign_task(client_of: Any) -> None:
    task_id = start(client_of("ann")).json()["id"]
    assert start(client_of("root", "admin"), "purge", taskId=task_id).status_code == 201


def test_a_shard_is_answered_as_an_unknown_task(client_of: Any) -> None:
    parent, shard = str(uuid.uuid4()), str(uuid.uuid4())
    plant(task_snapshot.Snapshot(id=shard, name="upload", created_at=datetime.now(UTC), owner="ann", parent=parent))
    assert_problem(start(client_of("ann"), "purge", taskId=shard), 404)


def test_another_owners_idempotency_key_replays_nothing(client_of: Any) -> None:
    key = {"Idempotency-Key": "k"}
    ann, bob = client_of("ann"), client_of("bob")
    task_id = start(ann).json()["id"]
    first = start(ann, "purge", key, taskId=task_id)
    assert first.status_code == 201
    assert shown(start(bob, "purge", key, taskId=task_id)) == shown(start(bob, "purge", taskId=UNKNOWN))
    again = start(ann, "purge", key, taskId=task_id)
    assert (again.json()["id"], again["Idempotency-Replayed"]) == (first.json()["id"], "true")


def test_an_upload_costs_no_sql_and_one_round_trip(client_of: Any, redis: Any) -> None:
    ann = client_of("ann")
    task_id = start(ann).json()["id"]
    with CaptureQueriesContext(connection) as queries, watched_commands(redis) as seen:
        assert start(ann).status_code == 201
        assert start_bulk(ann, {"name": "upload"}, {"name": "upload"}).status_code == 201
    assert queries.captured_queries == []
    assert [command.name for command in seen if not command.in_script] == ["EVALSHA", "EVALSHA"]
    with CaptureQueriesContext(connection) as queries, watched_commands(redis) as seen:
        assert start(ann, "purge", taskId=task_id).status_code == 201
    assert queries.captured_queries == []
    assert [command.name for command in seen if not command.in_script] == ["HGET", "EVALSHA"]


def test_a_purge_that_cannot_be_checked_without_the_database_is_503(client_of: Any, mirror: Any) -> None:
    """A foreign task that Redis knows gets the same answer; another one would reveal that it exists."""
    ann, bob = client_of("ann"), client_of("bob")
    task_id = start(ann).json()["id"]
    start(bob)  # both tokens are in memory
    before = count_jobs()

    def refuse(execute: Any, sql: str, *args: Any) -> Any:
        raise OperationalError(2006, "Server has gone away at db.internal.example")

    with connection.execute_wrapper(refuse):
        unknown, foreign = start(bob, "purge", taskId=UNKNOWN), start(bob, "purge", taskId=task_id)
        assert count_jobs() == before
        own = start(ann, "purge", taskId=task_id)
    problem = assert_problem(unknown, 503)
    assert problem["type"] == "urn:longtasks:problem:store-unavailable"
    assert int(unknown["Retry-After"]) >= 1
    assert shown(unknown) == shown(foreign)
    assert own.status_code == 201


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_a_foreign_task_in_params_costs_the_same_queries_as_an_unknown_one(
    client_of: Any, mirror: Any, redis: Any, is_mirrored: bool
) -> None:
    """The time of the answer reveals nothing."""
    bob, task_id = client_of("bob"), start(client_of("ann")).json()["id"]
    if is_mirrored:
        mirror()
    start(bob, "purge", taskId=UNKNOWN)
    steps = []
    for named in (task_id, UNKNOWN):
        with CaptureQueriesContext(connection) as queries, watched_commands(redis) as seen:
            start(bob, "purge", taskId=named)
        steps.append((len(queries.captured_queries), [command.name for command in seen]))
    assert steps[0] == steps[1] == (1, ["HGET"])


@pytest.mark.parametrize("is_mirrored", [False, True])
@pytest.mark.parametrize(
    ("method", "action"), [("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/retry")]
)
def test_a_foreign_task_in_a_path_costs_the_same_queries_as_an_unknown_one(
    client_of: Any, mirror: Any, redis: Any, method: str, action: str, is_mirrored: bool
) -> None:
    bob, task_id = client_of("bob"), start(client_of("ann")).json()["id"]
    snapshot = job_snapshots.get_snapshot(task_id)
    assert snapshot is not None
    finished = task_snapshot.encode(dataclasses.replace(snapshot, status="finished", done=100))
    redis.hset(redis_keys.job_key(task_id), mapping={"status": "finished", "s": finished})
    if is_mirrored:
        mirror()
    bob.generic(method, f"/tasks/{UNKNOWN}{action}")
    steps = []
    for named in (task_id, UNKNOWN):
        with CaptureQueriesContext(connection) as queries, watched_commands(redis) as seen:
            assert bob.generic(method, f"/tasks/{named}{action}").status_code == 404
        steps.append((len(queries.captured_queries), [command.name for command in seen]))
    assert steps[0] == steps[1]

    def refuse(execute: Any, sql: str, *args: Any) -> Any:
        raise OperationalError(2006, "Server has gone away")

    with connection.execute_wrapper(refuse):
        assert [bob.generic(method, f"/tasks/{named}{action}").status_code for named in (task_id, UNKNOWN)] == [
            503,
            503,
        ]


def test_operators_may_purge_any_task(client_of: Any, make_client: Any) -> None:  # noqa: F811
    task_id = start(client_of("ann")).json()["id"]
    said = StringIO()
    call_command("task", "start", "purge", "--params", json.dumps({"taskId": task_id}), "--json", stdout=said)
    by_command = json.loads(said.getvalue())["id"]
    browser = make_client(OPERATE)
    form = {"type": "purge", "priority": "low", "params-taskId": task_id}
    by_form = browser.post("/admin/tasks_app/taskrecord/start/", form).headers["Location"].split("/")[-2]
    again = browser.post(f"/admin/tasks_app/taskrecord/{by_form}/again/").headers["Location"].split("/")[-2]
    starts = [job_snapshots.get_snapshot(each) for each in (by_command, by_form, again)]
    assert [(each.owner, each.scope) for each in starts if each] == [
        ("", "admin"),
        ("olga", "admin"),
        ("olga", "admin"),
    ]
