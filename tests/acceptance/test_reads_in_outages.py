"""Reads while one store is unavailable or hangs: answered from the other store with its name; only the rest is 503."""

import dataclasses
import json
import time
import uuid
from collections.abc import Callable, Iterator

import pytest

from loadtests.started.servers import IS_EMBEDDED, Server, create_servers
from loadtests.started.stack import Answer
from tasks_app.domain import task_snapshot
from tests.acceptance.conftest import Guarded, make_guarded

ANSWER_SECONDS = 4.0  # two attempts of a second each, on a busy machine
SOURCE = "Longtasks-Source"
PROCESSES = 3  # of web
COULD_NOT_READ = "the tokens could not be read"
UNKNOWN = {"Authorization": f"Bearer lt_{'A' * 43}"}

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(IS_EMBEDDED, reason="SQLite is no server that could be unavailable"),
]


@pytest.fixture(scope="module")
def outage_stack() -> Iterator[Guarded]:
    """A stack on servers of its own: an outage affects all users of a server. Queue low is paused, so its tasks stay open."""
    database, redis_server = create_servers()
    try:
        database.start()
        redis_server.start()
        environment = {"REDIS_TIMEOUT_SECONDS": "1", "WEB_WORKERS": str(PROCESSES)}
        with make_guarded((database, redis_server), environment=environment) as guarded:
            paused = guarded.stack.post("/queues/low/pause", {"reason": "maintenance"}, headers=guarded.admin)
            assert paused.status == 200, paused
            begin_web_anew(guarded)
            yield guarded
    finally:
        redis_server.remove()
        database.remove()


def begin_web_anew(guarded: Guarded) -> None:
    """Restart web; none of its new processes has received a token when this returns."""
    stack = guarded.stack
    stack.stop_role("web")
    stack.start_role("web")
    stack.wait_for(
        lambda: len(list(stack.directory.glob("metrics/web-*/ready-*"))) == PROCESSES,
        deadline_seconds=90,
        what="all processes of web have started",
    )


def ask(guarded: Guarded, path: str, headers: dict[str, str]) -> Answer:
    began = time.monotonic()
    answer = guarded.stack.get(path, headers=headers)
    assert time.monotonic() - began < ANSWER_SECONDS, (path, answer)
    return answer


def wait_until_mirrored(guarded: Guarded, task_id: str) -> None:
    guarded.stack.wait_for(
        lambda: ask(guarded, f"/tasks/{task_id}/events", guarded.ann).json["events"],
        deadline_seconds=30,
        what=f"the mirror has task {task_id}",
    )


def ask_until_source(guarded: Guarded, path: str, source: str | None) -> Answer:
    """Repeat the request until every process of web has noticed that a store is unavailable or available again."""
    answers: list[Answer] = []

    def has_settled() -> bool:
        answers[:] = [ask(guarded, path, guarded.ann) for _ in range(6)]
        return all(each.status == 200 and each.headers.get(SOURCE) == source for each in answers)

    guarded.stack.wait_for(has_settled, deadline_seconds=60, what=f"GET {path} is answered from {source}")
    return answers[-1]


def assert_unavailable(answer: Answer, store: str) -> None:
    assert answer.status == 503, answer
    assert answer.json["type"].endswith(f"{store}-unavailable"), answer
    assert int(answer.headers["Retry-After"]) >= 1


def plant_shard(guarded: Guarded, task_id: str) -> str:
    """Write a shard of the task to Redis, as for a big task."""
    shard = str(uuid.uuid4())
    with guarded.stack.redis() as client:
        whole = task_snapshot.decode(client.hget(f"rq:job:{task_id}", "s"))
        client.hset(f"rq:job:{shard}", "s", task_snapshot.encode(dataclasses.replace(whole, id=shard, parent=task_id)))
    return shard


Way = tuple[Callable[[Server], None], Callable[[Server], None]]
WAYS: dict[str, Way] = {"killed": (Server.kill, Server.start), "hangs": (Server.pause, Server.resume)}


@pytest.mark.parametrize("way", WAYS)
def test_reads_are_answered_from_redis_without_the_database(outage_stack: Guarded, way: str) -> None:
    guarded, stack = outage_stack, outage_stack.stack
    before = guarded.start()
    wait_until_mirrored(guarded, before)
    begin, end = WAYS[way]
    begin(stack.database)
    try:
        during = guarded.start()  # 201 as before
        for task_id in (before, during):
            answer = ask(guarded, f"/tasks/{task_id}", guarded.ann)
            assert (answer.status, answer.headers.get(SOURCE)) == (200, "redis"), answer
            assert (answer.json["id"], answer.json["status"]) == (task_id, "queued")
            again = ask(guarded, f"/tasks/{task_id}", {**guarded.ann, "If-None-Match": answer.headers["ETag"]})
            assert (again.status, again.headers.get(SOURCE)) == (304, "redis")
            assert ask(guarded, f"/tasks/{task_id}?wait=1", guarded.ann).status == 200
            assert ask(guarded, f"/tasks/{task_id}", guarded.admin).status == 200
            # A foreign task is answered as an unknown one.
            assert_unavailable(ask(guarded, f"/tasks/{task_id}", guarded.bob), "store")
        missing = ask(guarded, f"/tasks/{uuid.uuid4()}", guarded.ann)
        shard = ask(guarded, f"/tasks/{plant_shard(guarded, before)}", guarded.ann)
        for refused in (missing, shard):
            assert_unavailable(refused, "store")
        assert missing.json["detail"] == shard.json["detail"]
        assert ask(guarded, "/tasks/no-id", guarded.ann).status == 404

        queues = ask(guarded, "/queues", guarded.admin)
        assert (queues.status, queues.headers.get(SOURCE)) == (200, "redis")
        low = next(queue for queue in queues.json["queues"] if queue["name"] == "low")
        assert low["depth"] >= 2
        assert low["pausedAt"] is not None
        assert (low["pausedBy"], low["reason"]) == ("", "")

        for path in ("/tasks", f"/tasks/{before}/events"):  # Redis has neither a list of tasks nor a history
            assert_unavailable(ask(guarded, path, guarded.ann), "store")
        assert_unavailable(stack.post(f"/tasks/{before}/cancel", {}, headers=guarded.ann), "store")

        shown = stack.run_manage("task", "status", before, "--json")
        assert shown.returncode == 0, shown
        assert '"queued"' in shown.stdout
        assert "The database does not answer: this is the state in Redis." in shown.stdout
        assert "is unknown" in stack.run_manage("queues").stdout
        assert json.loads(stack.manage("queues", "--json"))["source"] == "redis"
    finally:
        end(stack.database)
    ask_until_source(guarded, f"/tasks/{before}", None)
    assert "source" not in json.loads(stack.manage("queues", "--json"))
    low = next(queue for queue in ask(guarded, "/queues", guarded.admin).json["queues"] if queue["name"] == "low")
    assert (low["pausedBy"], low["reason"]) == ("root", "maintenance")


@pytest.mark.parametrize("way", WAYS)
def test_reads_are_answered_from_the_database_without_redis(outage_stack: Guarded, way: str) -> None:
    guarded, stack = outage_stack, outage_stack.stack
    task_id = guarded.start()
    wait_until_mirrored(guarded, task_id)
    begin, end = WAYS[way]
    begin(stack.redis_server)
    try:
        answer = ask(guarded, f"/tasks/{task_id}", guarded.ann)
        assert (answer.status, answer.headers.get(SOURCE)) == (200, "database"), answer
        assert answer.json["status"] == "queued"
        unknown = ask(guarded, f"/tasks/{uuid.uuid4()}", guarded.ann)
        anothers = ask(guarded, f"/tasks/{task_id}", guarded.bob)
        for refused in (unknown, anothers, ask(guarded, "/queues", guarded.ann)):
            assert_unavailable(refused, "queue")
        assert unknown.json["detail"] == anothers.json["detail"]
        assert ask(guarded, "/tasks", guarded.ann).status == 200
        assert ask(guarded, f"/tasks/{task_id}/events", guarded.ann).status == 200
        start = stack.post("/tasks", {"name": "upload"}, headers=guarded.ann)
        assert_unavailable(start, "queue")
    finally:
        end(stack.redis_server)
    ask_until_source(guarded, f"/tasks/{task_id}", None)


def wait_for_unknown(guarded: Guarded, *, status: int, times: int) -> None:
    guarded.stack.wait_for(
        lambda: {ask(guarded, "/queues", UNKNOWN).status for _ in range(times)} == {status},
        deadline_seconds=60,
        what=f"an unknown token is answered with {status}",
    )


@pytest.mark.parametrize("way", WAYS)
def test_idle_processes_know_the_tokens(outage_stack: Guarded, way: str) -> None:
    guarded, stack = outage_stack, outage_stack.stack
    unused = guarded.make_token("carla")[1]
    begin_web_anew(guarded)
    said_before = stack.log_path("web").read_text().count(COULD_NOT_READ)
    begin, end = WAYS[way]
    begin(stack.database)
    try:
        # Each connection may reach any of the processes.
        for headers in [guarded.ann, guarded.bob, guarded.admin, unused] * 5:
            assert ask(guarded, "/queues", headers).status == 200
        # Until the first query fails: the last answer of the database is valid for a second.
        wait_for_unknown(guarded, status=503, times=1)
        for _ in range(9):
            unknown = ask(guarded, "/queues", UNKNOWN)
            assert_unavailable(unknown, "store")
            assert "WWW-Authenticate" not in unknown.headers
            for wrong in ("", "lt_", f"lt_{'A' * 42}", f"lt_{'A' * 44}", f"xx_{'A' * 43}", "\u00e9" * 46):
                assert ask(guarded, "/queues", {"Authorization": f"Bearer {wrong}"}).status == 401
    finally:
        end(stack.database)
    wait_for_unknown(guarded, status=401, times=9)
    said = stack.log_path("web").read_text().count(COULD_NOT_READ) - said_before
    assert 1 <= said <= PROCESSES, "once per outage and process"


LOOK_AND_TIME = """
import json, time, uuid
from tasks_app.read_model import queue_overview, task_queries
from tasks_app.errors import StoreUnavailable
from tasks_app.database.timeouts import limit_answer_time

limit_answer_time(1)
seconds = []
for look in (queue_overview.list_queues, queue_overview.list_queues, lambda: task_queries.find_task(task_id=str(uuid.uuid4()))):
    began = time.monotonic()
    try:
        look()
    except StoreUnavailable:
        pass
    seconds.append(time.monotonic() - began)
print("looks", json.dumps(seconds))
"""


def test_reads_skip_a_hung_database_for_a_second(outage_stack: Guarded) -> None:
    stack = outage_stack.stack
    stack.database.pause()
    try:
        printed = stack.manage("shell", "-c", LOOK_AND_TIME)
    finally:
        stack.database.resume()
    first, again, task = json.loads(printed.rpartition("looks ")[2])
    assert first > 0.9, "a hung database is waited for once"
    assert again < 0.5, f"GET /queues waited {again:.1f} s once more"
    assert task < 0.5, f"GET /tasks/{{id}} waited {task:.1f} s once more"
