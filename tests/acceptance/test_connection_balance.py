"""The processes of web share new connections: one that has fewer gets more of them."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest

from loadtests.started.servers import Database, RedisServer
from loadtests.started.stack import ProcfileStack
from longtasks.local_stack.child_process import wait_until
from tests.acceptance.http_edge import connect
from tests.acceptance.web_process import run_web

CLIENTS = 20
SHARE = 14  # of 20; without a preference it would be 10
LOOK = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def web(servers: tuple[Database, RedisServer]) -> Iterator[ProcfileStack]:
    with run_web(servers, environment={"WEB_WORKERS": "2"}) as stack:
        yield stack


def count_connections(web: ProcfileStack, pid: int) -> int:
    return sum(
        each.status == psutil.CONN_ESTABLISHED and each.laddr.port == web.port
        for each in psutil.Process(pid).net_connections("tcp")
    )


def open_answered(web: ProcfileStack, opened: ExitStack) -> None:
    """Open connections, each of which is kept after its first answer."""
    for _ in range(CLIENTS):
        sock: socket.socket = opened.enter_context(connect(web))
        sock.sendall(LOOK)
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")


def find_accepting_pids(web: ProcfileStack) -> list[int]:
    """Return the processes once both have accepted a connection: one may still load the code."""

    def is_accepting() -> bool:
        with ExitStack() as opened:
            open_answered(web, opened)
            pids = web.child_pids("web")
            return len(pids) == 2 and all(count_connections(web, pid) for pid in pids)

    assert wait_until(is_accepting, deadline_seconds=30)
    pids = web.child_pids("web")
    assert wait_until(lambda: not any(count_connections(web, pid) for pid in pids), deadline_seconds=30)
    return pids


def test_a_process_that_was_late_gets_most_of_the_new_connections(web: ProcfileStack) -> None:
    first, second = find_accepting_pids(web)
    with ExitStack() as opened:
        web.pause_pids([second])
        try:
            open_answered(web, opened)
        finally:
            web.resume_pids([second])
        assert (count_connections(web, first), count_connections(web, second)) == (CLIENTS, 0)
        open_answered(web, opened)
        assert count_connections(web, second) >= SHARE
