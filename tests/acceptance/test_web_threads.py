"""The threads of web: what needs one gets one, and when all are busy, the event loop still answers."""

import contextlib
import json
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests.started.servers import Database, RedisServer
from loadtests.started.stack import ProcfileStack
from tests.acceptance.http_edge import assert_problem, connect, make, read_to_end, status_of
from tests.acceptance.querying.task_types import WAITS_VARIABLE

THREADS = 2
WAITING = 200  # WAITING_REQUESTS of longtasks/asgi.py, which this process must not import: it would serve
TOO_MANY = 30
SOON_SECONDS = 5.0  # on a busy machine; the threads stay blocked until the test lets them continue


@pytest.fixture(scope="module")
def blocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """While this file exists, a start of `querying` occupies its thread."""
    return tmp_path_factory.mktemp("querying") / "blocked"


@pytest.fixture(scope="module")
def web(servers: tuple[Database, RedisServer], blocked: Path) -> Iterator[ProcfileStack]:
    """One process of web with two threads, the mirror, and no worker."""
    stack = ProcfileStack(
        database=servers[0],
        redis_server=servers[1],
        roles=("web", "mirror"),
        environment={
            "DJANGO_SETTINGS_MODULE": "tests.acceptance.querying.settings",
            "WEB_WORKERS": "1",
            "WEB_THREADS": str(THREADS),
            "REDIS_TIMEOUT_SECONDS": "10",
            "RATE_LIMIT_PER_ADDRESS": "0",
            WAITS_VARIABLE: str(blocked),
        },
    )
    try:
        stack.start()
        yield stack
    finally:
        blocked.unlink(missing_ok=True)
        stack.close()


def start_querying(number: int) -> bytes:
    return make("POST /tasks", body=json.dumps({"name": "querying", "params": {"number": number}}).encode())


def count_queued(web: ProcfileStack) -> int:
    return int(web.redis().llen("rq:queue:low"))


def test_a_start_that_queries_the_database_runs_in_a_thread_and_once(web: ProcfileStack) -> None:
    before = count_queued(web)
    for number in range(5):
        answer = web.post("/tasks", {"name": "querying", "params": {"number": number}})
        assert (answer.status, answer.json["params"]) == (201, {"number": number + 1})
    assert web.post("/tasks", {"name": "querying", "params": {"number": "x"}}).status == 400
    assert count_queued(web) == before + 5
    assert "Traceback" not in web.log_path("web").read_text()


def test_the_event_loop_answers_while_all_threads_are_busy(web: ProcfileStack, blocked: Path) -> None:
    before = count_queued(web)
    blocked.touch()
    with contextlib.ExitStack() as opened:
        stream = opened.enter_context(connect(web))
        stream.sendall(make("GET /stream").replace(b"Connection: close\r\n", b""))
        assert b" 200 " in stream.recv(65536)
        clients = [opened.enter_context(connect(web)) for _ in range(THREADS + WAITING + TOO_MANY)]
        for number, sock in enumerate(clients):
            sock.sendall(start_querying(number))
        web.wait_for(lambda: count_answered(clients) >= TOO_MANY, deadline_seconds=30, what="too many are refused")
        for sock in select.select(clients, [], [], 0)[0]:
            clients.remove(sock)
            assert_refused(read_to_end(sock))
        assert len(clients) == THREADS + WAITING
        for request in (start_querying(0), make("GET /queues"), make("GET /admin/login/")) * 5:
            began = time.monotonic()
            with connect(web) as sock:
                sock.sendall(request)
                answer = read_to_end(sock)
            assert_refused(answer)
            assert time.monotonic() - began < SOON_SECONDS

        assert web.get("/health/live", timeout_seconds=SOON_SECONDS).status == 200
        started = web.post("/tasks", {"name": "upload"}, timeout_seconds=SOON_SECONDS)
        assert started.status == 201
        assert web.get(f"/tasks/{started.json['id']}", timeout_seconds=SOON_SECONDS).status == 200
        read_until(stream, started.json["id"])

        blocked.unlink()
        assert {status_of(read_to_end(sock)) for sock in clients} == {201}
    assert web.get("/queues").status == 200
    assert count_queued(web) == before + len(clients) + 1


def count_answered(clients: list[socket.socket]) -> int:
    return len(select.select(clients, [], [], 0)[0])


def assert_refused(answer: bytes) -> None:
    assert_problem(answer, 503)
    assert b"\r\nRetry-After: 2\r\n" in answer


def read_until(stream: socket.socket, text: str) -> None:
    """Read a stream until it has sent a text."""
    stream.settimeout(SOON_SECONDS)
    received = b""
    while text.encode() not in received:
        data = stream.recv(65536)
        assert data, received
        received += data
