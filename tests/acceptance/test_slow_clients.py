"""Clients that send or read slowly, close half of a connection, or only hold it open."""

import contextlib
import resource
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loadtests.started.servers import Database, RedisServer
from loadtests.started.stack import ProcfileStack
from longtasks.server.connection import GATHER_SECONDS
from tests.acceptance.http_edge import QUICK, SLOW, connect, make, read_to_end, status_of
from tests.acceptance.idle_crowd import Crowd
from tests.acceptance.test_quick_requests import read_answers, start_request
from tests.acceptance.web_process import run_web

LATE_SECONDS = 8.0  # on a busy machine, after a time limit
# A fifth of what one process of web is made for: others may have fewer files, and the suite shares its cores.
# By hand with 2,000 streams, 1,000 slow clients and each start after the last: p99 2.7 ms, and 2.5 ms without them.
STREAMS = 400
SLOW_CLIENTS = 200
POSTS = 600
POSTS_A_SECOND = 100
P99_SECONDS = 0.5  # of a POST meanwhile; alone it takes some milliseconds


@pytest.fixture(scope="module")
def web(servers: tuple[Database, RedisServer]) -> Iterator[ProcfileStack]:
    """One process of web, and no worker."""
    with run_web(servers, environment={"RATE_LIMIT_PER_ADDRESS": "0"}) as stack:
        yield stack


SLOW_STARTS: dict[str, tuple[bytes, bytes]] = {
    "silence": (b"", b""),
    "head": (b"POST /tasks HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", b"x"),
    "blank lines": (b"\r\n", b"\r\n"),
    "body": (b"POST /tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n", b" "),
    "chunked body": (b"POST /tasks HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
}


def test_a_client_that_sends_or_reads_too_slowly_is_cut_off(web: ProcfileStack) -> None:
    """All kinds at once, because the limit is 20 seconds."""
    before = web.redis().llen("rq:queue:low")
    with contextlib.ExitStack() as opened:
        began = time.monotonic()
        clients = {kind: opened.enter_context(connect(web)) for kind in SLOW_STARTS}
        deaf = opened.enter_context(connect(web))
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(b"GET /schema HTTP/1.1\r\nHost: localhost\r\n\r\n" * 500)
        assert is_established(deaf)
        for kind, sock in clients.items():
            sock.sendall(SLOW_STARTS[kind][0])
        ended: dict[str, float] = {}
        while len(ended) < len(clients):
            assert time.monotonic() - began < GATHER_SECONDS + LATE_SECONDS, f"only {ended} were cut off"
            readable, _, _ = select.select([sock for kind, sock in clients.items() if kind not in ended], [], [], 0.5)
            for kind, sock in clients.items():
                if sock in readable:
                    with contextlib.suppress(ConnectionResetError):
                        assert sock.recv(65536) == b""
                    ended[kind] = time.monotonic() - began
                elif kind not in ended:
                    with contextlib.suppress(OSError):
                        sock.sendall(SLOW_STARTS[kind][1])
        assert min(ended.values()) > GATHER_SECONDS - 1, ended
        web.wait_for(lambda: not is_established(deaf), deadline_seconds=LATE_SECONDS, what="the reader is cut off, too")
    assert web.redis().llen("rq:queue:low") == before
    assert web.get("/health/live").status == 200


def is_established(sock: socket.socket) -> bool:
    """Return whether web's end of a connection is open. The client learns of its end only when it reads."""
    client, server = (f"0100007F:{port:04X}" for port in (sock.getsockname()[1], sock.getpeername()[1]))
    return any(line.split()[1:4] == [server, client, "01"] for line in Path("/proc/net/tcp").read_text().splitlines())


@pytest.mark.parametrize("line", [QUICK, SLOW, "GET /health/live", "GET /admin/login/"])
def test_a_client_that_closes_its_half_gets_its_answer(web: ProcfileStack, line: str) -> None:
    request = make(line).replace(b"Connection: close\r\n", b"")
    with connect(web) as sock:
        sock.sendall(request)
        sock.shutdown(socket.SHUT_WR)
        assert status_of(read_to_end(sock)) in (200, 201)


@pytest.mark.parametrize("cut", [1, 40], ids=["in the head", "before the last byte"])
def test_a_client_that_closes_its_half_in_a_request_starts_nothing(web: ProcfileStack, cut: int) -> None:
    before = web.redis().llen("rq:queue:low")
    request = make(QUICK)
    with connect(web) as sock:
        sock.sendall(request[:cut] if cut > 1 else request[:-1])
        sock.shutdown(socket.SHUT_WR)
        assert read_to_end(sock) == b""
    assert web.redis().llen("rq:queue:low") == before


def test_a_client_that_leaves_before_its_answers_costs_no_other_client_anything(web: ProcfileStack) -> None:
    """Its requests may start tasks or not; the connection is forgotten, and others are answered."""
    for _ in range(50):
        with connect(web) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # RST
            sock.sendall(start_request("leaves") * 3 + make(SLOW))
    assert web.post("/tasks", {"name": "upload"}).status == 201
    assert "Traceback" not in web.log_path("web").read_text()


def measure_posts(web: ProcfileStack, number: int) -> list[float]:
    """Return how many seconds each of some starts takes from the time when it is due, in ascending order.

    A client that only sent the next one after an answer would hide a pause of the event loop: it would count as one.
    """
    seconds = []
    with connect(web) as sock:
        first_due = time.monotonic()
        for position in range(number):
            due = first_due + position / POSTS_A_SECOND
            threading.Event().wait(max(0.0, due - time.monotonic()))
            sock.sendall(start_request("measured"))
            assert read_answers(sock, count=1)[0][0] == 201
            seconds.append(time.monotonic() - due)
    return sorted(seconds)


def test_idle_streams_and_slow_clients_do_not_delay_a_start(
    web: ProcfileStack, record_property: Callable[[str, object], None]
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    crowd = Crowd(web.port, task_id=web.start_upload(records=1))
    try:
        alone = measure_posts(web, POSTS)
        with crowd.present(streams=STREAMS, slow=SLOW_CLIENTS):
            crowded = measure_posts(web, POSTS)
            assert crowd.open_streams == STREAMS
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for name, seconds in (("alone", alone), ("crowded", crowded)):
        figures = f"p50 {seconds[POSTS // 2] * 1000:.1f} ms, p99 {seconds[POSTS * 99 // 100] * 1000:.1f} ms"
        record_property(name, figures)
        print(f"a start, {name}: {figures}")
    assert crowded[POSTS * 99 // 100] < P99_SECONDS
