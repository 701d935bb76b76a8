"""Who may start what: params that name another's task, and what a task type's `authorize` says, at every door."""

import dataclasses
import json
import uuid
from collections.abc import Callable, Generator, Mapping
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
import redis as redis_package
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from catalog.sample_rows import CONTEXT_ID
from tasks_app import errors
from tasks_app.auth import api_tokens, token_cache
from tasks_app.domain import task_snapshot
from tasks_app.models import TaskRecord
from tasks_app.queues import enqueue, job_snapshots, redis_connection, redis_keys
from tasks_app.services import change_many_tasks
from tasks_app.task_types import Chunk, ChunkResult, TaskType, register, unregister
from tests.admin.conftest import OPERATE, make_client  # noqa: F401
from tests.api.conftest import assert_problem
from tests.support.redis_commands import watched_commands

pytestmark = pytest.mark.django_db
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


@pytest.fixture(autouse=True)
def _closed(settings: Any, db: None) -> None:
    settings.API_OPEN = False
    token_cache.known.forget()


@pytest.fixture
def make() -> Callable[..., Client]:
    """A client with a new token: `make("ann", "write")`."""

    def make(owner: str, scope: str = "write") -> Client:
        token, secret = api_tokens.create_token(owner=owner or "nameless", scope=scope)
        type(token).objects.filter(pk=token.pk).update(owner=owner)  # an older version took any name
        token_cache.known.forget()
        return Client(headers={"Authorization": f"Bearer {secret}"})

    return make


def start(client: Client, name: str = "upload", headers: dict[str, str] | None = None, **params: Any) -> Any:
    return client.post("/tasks", {"name": name, "params": params}, content_type="application/json", headers=headers)


def start_bulk(client: Client, *tasks: dict[str, Any]) -> Any:
    return client.post("/tasks/bulk", {"tasks": list(tasks)}, content_type="application/json")


def purge_of(task_id: str) -> dict[str, Any]:
    return {"name": "purge", "params": {"taskId": task_id}}


def count_jobs() -> int:
    return len(redis_connection.get_connection().keys("rq:job:*"))


def shown(response: Any) -> tuple[int, bytes, dict[str, str]]:
    """All that a client sees but the request's own id."""
    headers = {name: value for name, value in response.items() if name not in ("X-Request-ID", "Date")}
    return response.status_code, response.content, headers


# --- params that name a task


@pytest.mark.parametrize("where", ["redis", "both", "record"])
@pytest.mark.parametrize("form", FORMS)
def test_another_s_task_is_answered_as_one_that_does_not_exist(
    make: Any, mirror: Any, redis: Any, where: str, form: str
) -> None:
    task_id = start(make("ann")).json()["id"]
    if where != "redis":
        mirror()
    if where == "record":
        redis.flushdb()
    before, bob = count_jobs(), make("bob")
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


def test_a_bulk_with_one_foreign_task_starts_nothing(make: Any) -> None:
    ann, bob = make("ann"), make("bob")
    own, foreign = start(bob).json()["id"], start(ann).json()["id"]
    good = {"name": "upload"}
    before = count_jobs()
    answer = start_bulk(bob, good, purge_of(own), purge_of(foreign), purge_of(UNKNOWN))
    problem = assert_problem(answer, 404)
    assert [error["field"] for error in problem["errors"]] == ["tasks.2.params.taskId", "tasks.3.params.taskId"]
    assert count_jobs() == before
    assert start_bulk(bob, good, purge_of(own)).status_code == 201


@pytest.mark.parametrize("form", ["plain", "upper case", "no dashes", "braces", "urn"])
def test_the_owner_may_as_soon_and_as_long_as_the_task_is_known(make: Any, mirror: Any, redis: Any, form: str) -> None:
    task_id = start(make("ann")).json()["id"]
    for step in ("new", "in both", "in the record only"):
        started = start(make("ann"), "purge", taskId=FORMS[form](task_id))
        assert started.status_code == 201, (step, started.content)
        assert started.json()["params"] == {"taskId": task_id}
        mirror()
        if step == "in both":
            redis.flushdb()


@pytest.mark.parametrize("task_id", [UNKNOWN, str(CONTEXT_ID)])
def test_what_no_task_is_known_of_only_an_admin_may_purge(make: Any, task_id: str) -> None:
    """The rows of a pruned task, and those that a command has made."""
    assert_problem(start(make("ann"), "purge", taskId=task_id), 404)
    assert_problem(start(make(""), "purge", taskId=task_id), 404)
    assert start(make("root", "admin"), "purge", taskId=task_id).status_code == 201


def test_an_admin_may_purge_another_s_task(make: Any) -> None:
    task_id = start(make("ann")).json()["id"]
    assert start(make("root", "admin"), "purge", taskId=task_id).status_code == 201


def test_a_shard_is_no_task_to_anybody(make: Any) -> None:
    parent, shard = str(uuid.uuid4()), str(uuid.uuid4())
    plant(task_snapshot.Snapshot(id=shard, name="upload", created_at=datetime.now(UTC), owner="ann", parent=parent))
    assert_problem(start(make("ann"), "purge", taskId=shard), 404)


def test_another_owner_s_idempotency_key_opens_nothing(make: Any) -> None:
    key = {"Idempotency-Key": "k"}
    ann, bob = make("ann"), make("bob")
    task_id = start(ann).json()["id"]
    first = start(ann, "purge", key, taskId=task_id)
    assert first.status_code == 201
    assert shown(start(bob, "purge", key, taskId=task_id)) == shown(start(bob, "purge", taskId=UNKNOWN))
    again = start(ann, "purge", key, taskId=task_id)
    assert (again.json()["id"], again["Idempotency-Replayed"]) == (first.json()["id"], "true")


def test_a_write_token_s_upload_costs_no_sql_and_one_round_trip(make: Any, redis: Any) -> None:
    ann = make("ann")
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


def test_without_the_database_a_purge_that_cannot_be_checked_waits(make: Any, mirror: Any) -> None:
    """The same for another's task that Redis knows: else the answer would tell that there is one."""
    ann, bob = make("ann"), make("bob")
    task_id = start(ann).json()["id"]
    start(bob)  # both tokens are known
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
def test_another_s_task_costs_the_same_steps_as_one_that_does_not_exist(
    make: Any, mirror: Any, redis: Any, is_mirrored: bool
) -> None:
    """How long the answer takes tells nothing."""
    bob, task_id = make("bob"), start(make("ann")).json()["id"]
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
def test_so_does_another_s_task_in_a_path(
    make: Any, mirror: Any, redis: Any, method: str, action: str, is_mirrored: bool
) -> None:
    bob, task_id = make("bob"), start(make("ann")).json()["id"]
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


# --- retries, with the task's own rights


def plant(snapshot: task_snapshot.Snapshot) -> str:
    """A task as a version accepted it that checked nothing."""
    enqueue.enqueue_tasks([snapshot])
    return snapshot.id


@pytest.mark.parametrize("where", ["redis", "record"])
def test_a_retry_lends_nobody_s_rights_to_a_purge_of_another_s_task(
    make: Any, mirror: Any, redis: Any, where: str
) -> None:
    ann, bob, root = make("ann"), make("bob"), make("root", "admin")
    task_id = start(ann).json()["id"]
    forged = plant(
        task_snapshot.Snapshot(
            id=str(uuid.uuid4()), name="purge", created_at=datetime.now(UTC), owner="bob", params={"taskId": task_id}
        )
    )
    assert bob.post(f"/tasks/{forged}/cancel", content_type="application/json").status_code == 200
    mirror()
    if where == "record":
        redis.flushdb()
    for client in (bob, root):
        problem = assert_problem(client.post(f"/tasks/{forged}/retry", content_type="application/json"), 404)
        assert [error["field"] for error in problem["errors"]] == ["params.taskId"]
    with pytest.raises(CommandError, match=r"params\.taskId"):
        call_command("task", "retry", forged)
    result = change_many_tasks.retry_tasks(task_ids=[forged], actor="olga")
    assert (result.changed, dict(result.left)) == ([], {"refused": 1})
    assert TaskRecord.objects.get(pk=forged).status == "canceled"
    assert redis_connection.get_connection().lpos(redis_keys.queue_key("low"), forged) is None


def test_a_retry_keeps_the_rights_of_the_start(make: Any, mirror: Any, redis: Any) -> None:
    ann, root = make("ann"), make("root", "admin")
    task_id = start(ann).json()["id"]
    own, theirs = (start(client, "purge", taskId=task_id).json()["id"] for client in (ann, root))
    for client, purge in ((ann, own), (root, theirs)):
        assert client.post(f"/tasks/{purge}/cancel", content_type="application/json").status_code == 200
        assert client.post(f"/tasks/{purge}/retry", content_type="application/json").status_code == 202
        snapshot = job_snapshots.get_snapshot(purge)
        assert snapshot is not None
        assert snapshot.scope == ("admin" if client is root else "write")
    # Only Redis knows the scope of a start: without it the least is believed.
    root.post(f"/tasks/{theirs}/cancel", content_type="application/json")
    mirror()
    redis.flushdb()
    assert_problem(root.post(f"/tasks/{theirs}/retry", content_type="application/json"), 404)


# --- other doors


def test_operators_see_all(make: Any, make_client: Any) -> None:  # noqa: F811
    task_id = start(make("ann")).json()["id"]
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


# --- authorize


class AskedParams(serializers.Serializer[Any]):
    amount = serializers.IntegerField(default=1)


async def later() -> None: ...


REFUSED: dict[str, Any] = {
    "allowed": (None, 201),
    "not allowed": (errors.NotAllowed("Too much.", field="amount"), 403),
    "unknown": (errors.UnknownTask("x"), 404),
    "database": (OperationalError(2006, "gone"), 503),
    "store": (errors.StoreUnavailable(), 503),
    "redis": (redis_package.exceptions.ConnectionError("gone"), 503),
    "error": (RuntimeError("secret words"), 500),
    "lookup": (KeyError("secret words"), 500),
    "exit": (SystemExit(0), 500),
    "interrupt": (KeyboardInterrupt(), 500),
    "drf": (ValidationError({"amount": "secret words"}), 500),
    "django": (PermissionDenied("secret words"), 500),
    "other of ours": (errors.TaskEnded(task_id="x", status="y", wanted="z"), 500),
    "bad sql": (OperationalError(1064, "secret words"), 500),
    "false": (False, 500),
    "true": (True, 500),
    "coroutine": (later, 500),
}
CALLERS: list[tuple[str, str]] = []


@pytest.fixture
def asked(request: pytest.FixtureRequest) -> Generator[int, None, None]:
    """A task type whose `authorize` does what the parameter says; the status that follows."""
    what, status = REFUSED[request.param]
    made: list[Any] = []

    @register
    class Asked(TaskType):
        name = "asked"
        params_serializer = AskedParams

        def authorize(self, params: Mapping[str, Any], caller: Any) -> Any:
            CALLERS.append((caller.owner, caller.scope))
            assert params == {"amount": 3}
            if isinstance(what, BaseException):
                raise what
            if callable(what):
                made.append(what())
                return made[-1]
            return what

        def run_chunk(self, chunk: Chunk) -> ChunkResult:
            return ChunkResult(1, {}, finished=True)

    CALLERS.clear()
    yield status
    unregister("asked")
    for coroutine in made:
        coroutine.close()


@pytest.mark.parametrize("asked", REFUSED, indirect=True)
def test_whatever_authorize_does_nothing_starts_but_what_it_allows(
    make: Any, mirror: Any, asked: int, caplog: pytest.LogCaptureFixture
) -> None:
    ann = make("ann")
    started = int(asked == 201)
    single = start(ann, "asked", amount=3)
    bulk = start_bulk(ann, {"name": "upload"}, {"name": "asked", "params": {"amount": 3}})
    assert CALLERS == [("ann", "write")] * 2
    for response, prefix in ((single, ""), (bulk, "tasks.1.")):
        if asked == 201:
            assert response.status_code == 201, response.content
            continue
        problem = assert_problem(response, asked)
        assert b"secret words" not in response.content
        if asked == 403:
            assert problem["type"] == "urn:longtasks:problem:not-allowed"
            assert problem["errors"] == [{"field": f"{prefix}params.amount", "message": "Too much."}]
        if asked == 404:
            assert [error["field"] for error in problem["errors"]] == [f"{prefix}params"]
        if asked == 503:
            assert int(response["Retry-After"]) >= 1
    assert count_jobs() == 3 * started
    assert ("authorize" in caplog.text) is (asked == 500)

    waits = plant(
        task_snapshot.Snapshot(
            id=str(uuid.uuid4()), name="asked", created_at=datetime.now(UTC), owner="ann", params={"amount": 3}
        )
    )
    assert ann.post(f"/tasks/{waits}/cancel", content_type="application/json").status_code == 200
    assert ann.post(f"/tasks/{waits}/retry", content_type="application/json").status_code == (202 if started else asked)
    if not started:
        mirror()
        assert TaskRecord.objects.get(pk=waits).status == "canceled"
        with pytest.raises((CommandError, SystemExit)):
            call_command("task", "start", "asked", "--params", '{"amount": 3}')


@pytest.mark.parametrize("asked", ["not allowed"], indirect=True)
def test_the_admin_s_form_says_what_is_not_allowed_at_its_field(asked: int, make_client: Any) -> None:  # noqa: F811
    data = {"type": "asked", "priority": "low", "params-amount": "3"}
    answer = make_client(OPERATE).post("/admin/tasks_app/taskrecord/start/", data)
    assert answer.context["form"].errors == {"params-amount": ["Too much."]}
    assert CALLERS == [("olga", "admin")]
    assert count_jobs() == 0
