"""Starts and reads of one task are answered concurrently in web's event loop: slow clients do not delay them."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from coverage import Coverage

from loadtests.started.servers import IS_EMBEDDED, Database, RedisServer
from loadtests.started.stack import ProcfileStack
from tests.acceptance.web_process import THREADS, run_web
from tests.conftest import MakeStack

pytestmark = pytest.mark.alone

CLIENTS = 30
NEW_CLIENTS = 400
SOON_SECONDS = 8.0  # on a busy machine; far below the 20 s of a ?wait=


@pytest.fixture(scope="module")
def web(servers: tuple[Database, RedisServer]) -> Iterator[ProcfileStack]:
    """One process of web with few threads, and no worker."""
    with run_web(servers) as stack:
        yield stack


def start_request(request_id: str, *, description: str = "", close: bool = False) -> bytes:
    body = json.dumps({"name": "upload", "description": description or request_id}).encode()
    return (
        b"POST /tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        + (b"Connection: close\r\n" if close else b"")
        + f"X-Request-ID: {request_id}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )


def read_answers(sock: socket.socket, *, count: int) -> list[tuple[int, dict[str, str], bytes]]:
    """Read exactly `count` answers from a connection: their status, headers (lower case) and body."""
    answers = []
    with sock.makefile("rb") as stream:
        for _ in range(count):
            status = int(stream.readline().split()[1])
            headers = {}
            while (line := stream.readline().strip()) != b"":
                name, _, value = line.decode().partition(":")
                headers[name.lower()] = value.strip()
            answers.append((status, headers, stream.read(int(headers["content-length"]))))
    return answers


def connect(stack: ProcfileStack) -> socket.socket:
    return socket.create_connection(("127.0.0.1", stack.port), timeout=30)


def test_each_of_many_clients_gets_its_own_answer(web: ProcfileStack) -> None:
    with contextlib.ExitStack() as opened:
        clients = [opened.enter_context(connect(web)) for _ in range(CLIENTS)]
        for number, sock in enumerate(clients):
            sock.sendall(start_request(f"client-{number}"))
        ids = []
        for number, sock in enumerate(clients):
            ((status, headers, body),) = read_answers(sock, count=1)
            task = json.loads(body)
            assert (status, headers["x-request-id"], task["description"]) == (201, *[f"client-{number}"] * 2)
            ids.append(task["id"])
        assert len(set(ids)) == CLIENTS
        for task_id, sock in zip(ids, clients, strict=True):
            sock.sendall(f"GET /tasks/{task_id} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        for task_id, sock in zip(ids, clients, strict=True):
            ((status, _, body),) = read_answers(sock, count=1)
            assert (status, json.loads(body)["id"]) == (200, task_id)
    assert {web.task(task_id)["status"] for task_id in ids} == {"queued"}


@pytest.mark.parametrize(("query", "header"), [("?wait=20", ""), ("", "Prefer: wait=20\r\n")])
def test_a_request_that_waits_for_an_end_does_not_delay_others(web: ProcfileStack, query: str, header: str) -> None:
    task_id = web.start_upload(records=1)
    with contextlib.ExitStack() as opened:
        for _ in range(2 * THREADS):
            sock = opened.enter_context(connect(web))
            sock.sendall(f"GET /tasks/{task_id}{query} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n".encode())
        began = time.monotonic()
        for _ in range(5):
            assert web.post("/tasks", {"name": "upload"}).status == 201
            assert web.get(f"/tasks/{task_id}").status == 200
        assert time.monotonic() - began < SOON_SECONDS


@pytest.mark.parametrize(
    "header",
    [
        "Content-Length: 0000000000000000000001",  # gunicorn would wait for the byte
        "Content-Length : 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: +5",
        "X-Bomb: a\0b",
    ],
)
def test_a_malformed_start_does_not_delay_others(web: ProcfileStack, header: str) -> None:
    waiting = web.redis().llen("rq:queue:low")
    with contextlib.ExitStack() as opened:
        clients = [opened.enter_context(connect(web)) for _ in range(CLIENTS)]
        for sock in clients:
            sock.sendall(f"POST /tasks HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n".encode())
        began = time.monotonic()
        assert web.post("/tasks", {"name": "upload"}).status == 201
        assert time.monotonic() - began < SOON_SECONDS
    assert web.redis().llen("rq:queue:low") == waiting + 1


def test_a_client_that_does_not_close_does_not_delay_others(web: ProcfileStack) -> None:
    with contextlib.ExitStack() as opened:
        clients = [opened.enter_context(connect(web)) for _ in range(CLIENTS)]
        began = time.monotonic()
        for number, sock in enumerate(clients):
            sock.sendall(start_request(f"open-{number}", close=True))
        for sock in clients:
            assert read_answers(sock, count=1)[0][0] == 201
        # gunicorn waits two seconds for each of them to close, originally in its event loop.
        assert time.monotonic() - began < SOON_SECONDS


@pytest.mark.skipif(
    Coverage.current() is not None, reason="coverage makes web several times slower; this is about time"
)
def test_many_new_clients_are_accepted_while_the_event_loop_is_busy(web: ProcfileStack) -> None:
    stop = threading.Event()

    def keep_busy() -> None:
        with connect(web) as sock:
            while not stop.is_set():
                sock.sendall(start_request("busy"))
                read_answers(sock, count=1)

    busy = [threading.Thread(target=keep_busy) for _ in range(2 * CLIENTS)]
    for thread in busy:
        thread.start()
    try:
        with contextlib.ExitStack() as opened:
            began = time.monotonic()
            clients = [opened.enter_context(connect(web)) for _ in range(NEW_CLIENTS)]
            for number, sock in enumerate(clients):
                sock.sendall(start_request(f"new-{number}"))
            for sock in clients:
                assert read_answers(sock, count=1)[0][0] == 201
            assert time.monotonic() - began < SOON_SECONDS
    finally:
        stop.set()
        for thread in busy:
            thread.join()


def test_pipelined_requests_are_answered_in_order(web: ProcfileStack) -> None:
    with connect(web) as sock:
        sock.sendall(b"".join(start_request(f"ahead-{number}", close=number == 11) for number in range(12)))
        answers = read_answers(sock, count=12)
        assert sock.recv(1) == b""  # closed, as the last request demanded
    assert [status for status, _, _ in answers] == [201] * 12
    assert [headers["x-request-id"] for _, headers, _ in answers] == [f"ahead-{number}" for number in range(12)]


def test_a_request_with_a_truncated_body_starts_no_task(web: ProcfileStack) -> None:
    before = web.redis().llen("rq:queue:low")
    with connect(web) as sock:
        sock.sendall(start_request("cut-off")[:-5])
    assert web.post("/tasks", {"name": "upload"}).status == 201
    assert web.redis().llen("rq:queue:low") == before + 1


@pytest.mark.skipif(IS_EMBEDDED, reason="stops a Redis of its own")
def test_the_event_loop_answers_while_redis_hangs(servers: tuple[Database, RedisServer], make_stack: MakeStack) -> None:
    server = RedisServer()
    server.start()
    stack = ProcfileStack(
        database=servers[0],
        redis_server=server,
        roles=("web",),
        environment={"WEB_WORKERS": "1", "WEB_THREADS": "4", "REDIS_TIMEOUT_SECONDS": "1"},
    )
    try:
        stack.start()
        assert stack.post("/tasks", {"name": "upload"}).status == 201
        server.pause()
        statuses: list[int] = []

        def post() -> None:
            statuses.append(stack.post("/tasks", {"name": "upload"}).status)

        clients = [threading.Thread(target=post) for _ in range(12)]
        began = time.monotonic()
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        # One batch of 1 s, perhaps a second one queued behind it, then threads: four at a time would take 3 s more.
        assert statuses == [503] * 12
        assert time.monotonic() - began < SOON_SECONDS
        held = threading.Thread(target=post)
        held.start()
        live = stack.get("/health/live")
        assert live.status == 200
        assert live.seconds < 0.9, "the event loop continued while a thread waited a second for Redis"
        held.join()
        server.resume()
        stack.wait_for(
            lambda: stack.post("/tasks", {"name": "upload"}).status == 201,
            deadline_seconds=30,
            what="tasks are accepted again",
        )
    finally:
        server.resume()
        stack.close()
        server.remove()
