"""Requests that wait for a task's end are held in web's event loop: without a thread or a connection to Redis each."""

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loadtests.started.servers import Database, RedisServer
from loadtests.started.stack import NEEDED_ROLES, ProcfileStack
from tasks_app.queues.end_watcher import READ_AGAIN_SECONDS
from tests.acceptance.test_quick_requests import connect, read_answers
from tests.acceptance.web_process import run_web

pytestmark = pytest.mark.alone

WAITERS = 300
SOON_SECONDS = 8.0  # on a busy machine; far below the 50 s of a wait here
LONG = 50
ROWS = {"users": 7, "products": 7, "order_items": 7}


@pytest.fixture(scope="module")
def stack(servers: tuple[Database, RedisServer]) -> Iterator[ProcfileStack]:
    """One process of web; workers that run tasks unless the queue is paused."""
    with run_web(servers, roles=NEEDED_ROLES) as stack:
        yield stack


@pytest.fixture(autouse=True)
def resumed(stack: ProcfileStack) -> Iterator[None]:
    stack.ensure_running()
    yield
    resume(stack)


def pause(stack: ProcfileStack) -> None:
    """Pause the queue: workers dequeue no task."""
    assert stack.post("/queues/low/pause").status == 200


def resume(stack: ProcfileStack) -> None:
    assert stack.post("/queues/low/resume").status == 200


def compose(
    path: str, *headers: str, method: str = "POST", records: int = 7, name: str = "upload", params: Any = None
) -> bytes:
    body = json.dumps({"name": name, "params": params or {"numRecords": records}}) if method == "POST" else ""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def count_held(stack: ProcfileStack) -> int:
    """Return the number of tasks that web is subscribed to."""
    return sum(1 for _ in stack.redis().pubsub_channels("longtasks:ended:?*"))


def wait_until_held(stack: ProcfileStack, number: int) -> None:
    stack.wait_for(lambda: count_held(stack) == number, deadline_seconds=20, what=f"{number} requests are held")


def read_task(sock: socket.socket) -> tuple[int, dict[str, str], dict[str, Any]]:
    ((status, headers, body),) = read_answers(sock, count=1)
    return status, headers, json.loads(body)


def test_the_201_has_the_real_counts(stack: ProcfileStack) -> None:
    with connect(stack) as sock:
        for path, header in [("/tasks", f"Prefer: wait={LONG}"), (f"/tasks?wait={LONG}", "Prefer: wait=1")]:
            began = time.monotonic()
            sock.sendall(compose(path, header, "X-Request-ID: mine"))
            status, headers, task = read_task(sock)
            assert time.monotonic() - began < SOON_SECONDS
            assert (status, task["success"], task["status"], task["insertedRecords"]) == (201, True, "finished", ROWS)
            assert headers["location"] == f"/tasks/{task['id']}"
            assert headers["x-request-id"] == "mine"
            assert headers.get("preference-applied") == (None if "?" in path else f"wait={LONG}")
            assert "x-content-type-options" in headers  # as in every answer


def test_a_get_waits_for_the_end(stack: ProcfileStack) -> None:
    pause(stack)
    task_id = stack.start_upload(records=7)
    with connect(stack) as sock, connect(stack) as heading:
        sock.sendall(compose(f"/tasks/{task_id}?wait={LONG}", method="GET"))
        heading.sendall(compose(f"/tasks/{task_id}?wait={LONG}", method="HEAD"))
        wait_until_held(stack, 1)
        resume(stack)
        status, headers, task = read_task(sock)
        assert (status, task["status"], task["insertedRecords"]) == (200, "finished", ROWS)
        assert headers["etag"]
        assert "retry-after" not in headers
        with heading.makefile("rb") as stream:
            assert stream.readline().split()[1] == b"200"
        sock.sendall(compose(f"/tasks/{task_id}?wait={LONG}", f"If-None-Match: {headers['etag']}", method="GET"))
        with sock.makefile("rb") as stream:
            assert stream.readline().split()[1] == b"304"


def test_at_the_deadline_the_current_state_is_returned(stack: ProcfileStack) -> None:
    pause(stack)
    with connect(stack) as sock:
        began = time.monotonic()
        sock.sendall(compose("/tasks", "Prefer: wait=1"))
        status, headers, task = read_task(sock)
        assert 0.9 < time.monotonic() - began < SOON_SECONDS
        assert (status, task["status"], headers["preference-applied"]) == (201, "queued", "wait=1")
        sock.sendall(compose(f"/tasks/{task['id']}?wait=1", method="GET"))  # on the same connection
        status, headers, task = read_task(sock)
        assert (status, task["status"], headers["retry-after"]) == (200, "queued", "1")


def test_a_held_request_is_counted_once_and_its_wait_not_as_work(stack: ProcfileStack) -> None:
    def read(name: str) -> float:
        lines = stack.get("/metrics").body.decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name) and 'route="/tasks"' in line)

    pause(stack)
    counted, seconds = read("longtasks_http_requests_total"), read("longtasks_http_request_seconds_sum")
    with connect(stack) as sock:
        sock.sendall(compose("/tasks?wait=2"))
        read_task(sock)
    assert read("longtasks_http_requests_total") == counted + 1
    assert read("longtasks_http_request_seconds_sum") - seconds < 1


def test_a_wait_for_a_task_that_is_canceled_returns_201(stack: ProcfileStack) -> None:
    pause(stack)
    with connect(stack) as sock:
        sock.sendall(compose(f"/tasks?wait={LONG}"))
        wait_until_held(stack, 1)
        [task_id] = [task_id.decode() for task_id in stack.redis().lrange("rq:queue:low", -1, -1)]
        assert stack.post(f"/tasks/{task_id}/cancel").status == 200
        status, _, task = read_task(sock)
        assert (status, task["id"], task["status"]) == (201, task_id, "canceled")


def test_a_wait_gets_the_end_of_the_first_of_two_equal_starts(stack: ProcfileStack) -> None:
    pause(stack)
    key = "Idempotency-Key: one-of-two"
    with connect(stack) as first, connect(stack) as second:
        first.sendall(compose(f"/tasks?wait={LONG}", key))
        wait_until_held(stack, 1)
        second.sendall(compose(f"/tasks?wait={LONG}", key))
        assert stack.post("/tasks", {"name": "upload"}, headers={"X-Request-ID": "later"}).status == 201
        resume(stack)
        answers = [read_task(first), read_task(second)]
        assert [(status, task["status"]) for status, _, task in answers] == [(201, "finished")] * 2
        assert answers[0][2]["id"] == answers[1][2]["id"]
        assert answers[1][1]["idempotency-replayed"] == "true"


def threads_and_sockets(stack: ProcfileStack) -> tuple[int, int]:
    [pid] = stack.child_pids("web")
    status = Path(f"/proc/{pid}/status").read_text()
    threads = int(status.partition("Threads:")[2].split()[0])
    return threads, len(os.listdir(f"/proc/{pid}/fd"))


def test_others_are_answered_while_many_requests_wait(stack: ProcfileStack) -> None:
    pause(stack)
    with contextlib.ExitStack() as opened:
        one = opened.enter_context(connect(stack))
        one.sendall(compose(f"/tasks?wait={LONG}", records=1))
        wait_until_held(stack, 1)  # now the watcher's thread and its two connections exist
        before = threads_and_sockets(stack)
        clients = [opened.enter_context(connect(stack)) for _ in range(WAITERS)]
        for sock in clients:
            sock.sendall(compose(f"/tasks?wait={LONG}", records=1))
        wait_until_held(stack, WAITERS + 1)
        threads, files = threads_and_sockets(stack)
        assert threads == before[0]
        assert files <= before[1] + WAITERS + 1
        began = time.monotonic()
        for _ in range(20):
            assert stack.get("/queues").status == 200  # in a thread
            assert stack.post("/tasks", {"name": "upload", "params": {"numRecords": 1}}).status == 201
        assert time.monotonic() - began < SOON_SECONDS
        resume(stack)
        for sock in [one, *clients]:
            status, _, task = read_task(sock)
            assert (status, task["status"], set(task["insertedRecords"].values())) == (201, "finished", {1})
    wait_until_held(stack, 0)


def test_a_client_that_leaves_frees_its_place(stack: ProcfileStack) -> None:
    pause(stack)
    sock = connect(stack)
    sock.sendall(compose(f"/tasks?wait={LONG}"))
    wait_until_held(stack, 1)
    # RST, not FIN
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()
    wait_until_held(stack, 0)


def test_a_client_that_closes_its_half_is_answered_at_once(stack: ProcfileStack) -> None:
    pause(stack)
    with connect(stack) as sock:
        sock.sendall(compose(f"/tasks?wait={LONG}"))
        wait_until_held(stack, 1)
        sock.shutdown(socket.SHUT_WR)
        status, _, task = read_task(sock)
        assert (status, task["status"]) == (201, "queued")
    wait_until_held(stack, 0)


def test_pipelined_requests_are_answered_after_a_held_one(stack: ProcfileStack) -> None:
    pause(stack)
    with connect(stack) as sock:
        second = compose("/tasks", "X-Request-ID: second")
        sock.sendall(compose(f"/tasks?wait={LONG}", "X-Request-ID: first") + second)  # both in one packet
        wait_until_held(stack, 1)
        sock.sendall(compose("/tasks", "X-Request-ID: third"))  # while the first is held
        resume(stack)
        answers = read_answers(sock, count=3)
        assert [headers["x-request-id"] for _, headers, _ in answers] == ["first", "second", "third"]
        assert json.loads(answers[0][2])["status"] == "finished"


@pytest.mark.parametrize("path", ["/tasks?wait=x", "/tasks?wait=61", "/tasks?wait=1&wait=2"])
def test_a_wrong_wait_starts_nothing(stack: ProcfileStack, path: str) -> None:
    pause(stack)
    before = stack.redis().llen("rq:queue:low")
    with connect(stack) as sock:
        sock.sendall(compose(path))
        status, headers, problem = read_task(sock)
    assert (status, headers["content-type"]) == (400, "application/problem+json")
    assert [error["field"] for error in problem["errors"]] == ["wait"]
    assert stack.redis().llen("rq:queue:low") == before


def test_an_end_that_was_not_published_is_noticed(stack: ProcfileStack) -> None:
    """As with a worker of the previous version, or if an ACL forbids the channel."""
    pause(stack)
    with connect(stack) as sock:
        sock.sendall(compose(f"/tasks?wait={LONG}"))
        wait_until_held(stack, 1)
        redis = stack.redis()
        task_id = redis.lindex("rq:queue:low", -1).decode()
        snapshot = redis.hget(f"rq:job:{task_id}", "s").decode()
        began = time.monotonic()
        redis.hset(f"rq:job:{task_id}", "s", snapshot[:-1] + ',"status":"failed","error":"by hand"}')
        status, _, task = read_task(sock)
        assert (status, task["status"], task["error"]) == (201, "failed", "by hand")
        assert time.monotonic() - began < READ_AGAIN_SECONDS + SOON_SECONDS
        assert stack.post(f"/tasks/{task_id}/cancel").status in (200, 409)


def test_a_lost_subscription_is_restored(stack: ProcfileStack) -> None:
    pause(stack)
    with connect(stack) as sock:
        sock.sendall(compose(f"/tasks?wait={LONG}"))
        wait_until_held(stack, 1)
        assert stack.redis().client_kill_filter(_type="pubsub") >= 1
        wait_until_held(stack, 1)
        resume(stack)
        status, _, task = read_task(sock)
        assert (status, task["insertedRecords"]) == (201, ROWS)


def test_a_reload_answers_all_waiting_requests(stack: ProcfileStack) -> None:
    pause(stack)
    with contextlib.ExitStack() as opened:
        clients = [opened.enter_context(connect(stack)) for _ in range(20)]
        for sock in clients:
            sock.sendall(compose("/tasks", f"Prefer: wait={LONG}"))
        wait_until_held(stack, 20)
        [old] = stack.child_pids("web")
        began = time.monotonic()
        stack.hang_up("web")
        for sock in clients:
            status, headers, task = read_task(sock)
            assert (status, task["status"], headers["preference-applied"]) == (201, "queued", f"wait={LONG}")
        # The new process loads its code first.
        assert time.monotonic() - began < LONG / 2
    stack.wait_for(lambda: old not in stack.child_pids("web"), deadline_seconds=20, what="the old process ends")
