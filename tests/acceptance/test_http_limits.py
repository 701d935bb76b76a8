"""Limits of HTTP as documented: one 100 Continue, the size of headers and URLs, the time for a header, and file descriptors."""

import contextlib
import os
import resource
import time
from pathlib import Path

import pytest

from loadtests.started.stack import ProcfileStack
from tests.acceptance.http_edge import (
    AT_ONCE_SECONDS,
    BODY,
    QUICK,
    SLOW,
    ask,
    assert_problem,
    connect,
    make,
    no_line,
    read_to_end,
    status_of,
)

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
FILES = 40  # file descriptors that web may open in addition, in the test of their lack


@pytest.mark.parametrize("line", [QUICK, SLOW])
def test_one_continue_for_one_expectation(web: ProcfileStack, line: str) -> None:
    head, body = make(line, "Expect: 100-continue")[: -len(BODY[line])], BODY[line]
    with connect(web) as sock:
        sock.sendall(head)
        assert sock.recv(65536) == CONTINUE
        sock.sendall(body)
        answer = read_to_end(sock)
    assert b"100 Continue" not in answer
    assert status_of(answer) == 201


@pytest.mark.parametrize("line", [QUICK, SLOW])
def test_a_chunked_body_is_accepted_within_the_limit(web: ProcfileStack, line: str) -> None:
    body = BODY[line]
    head = make(line, "Expect: 100-continue", body=b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    with connect(web) as sock:
        sock.sendall(head)
        assert sock.recv(65536) == CONTINUE
        for letter in body:
            sock.sendall(b"1\r\n%c\r\n" % letter)
        sock.sendall(b"0\r\n\r\n")
        answer = read_to_end(sock)
    assert b"100 Continue" not in answer
    assert status_of(answer) == 201
    large = b"".join(b"10000\r\n" + b" " * 65536 + b"\r\n" for _ in range(65))
    assert status_of(ask(web, head.replace(b"Expect: 100-continue\r\n", b"") + large)) == 413


@pytest.mark.parametrize("line", [QUICK, SLOW])
def test_no_continue_if_the_body_has_arrived_or_the_client_speaks_http_1_0(web: ProcfileStack, line: str) -> None:
    answer = ask(web, make(line, "Expect: 100-continue"))
    assert b"100 Continue" not in answer
    assert status_of(answer) == 201
    request = make(line, "Expect: 100-continue", version="1.0")
    with connect(web) as sock:
        sock.sendall(request[: -len(BODY[line])])
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(65536)
        sock.settimeout(20)
        sock.sendall(BODY[line])
        assert status_of(read_to_end(sock)) == 201


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (["Expect: 100-continue", "Content-Length: 99999999"], 413),
        (["Expect: 100-continue", "Transfer-Encoding: chunked", "Content-Length: 5"], 400),
        (["Expect: 100-continue", "Transfer-Encoding: gzip, chunked"], 501),
        (["Expect: a-miracle", "Content-Length: 100"], 417),
    ],
)
def test_no_continue_for_a_refused_request(web: ProcfileStack, headers: list[str], status: int) -> None:
    request = "\r\n".join(["POST /tasks HTTP/1.1", "Host: localhost", *headers]).encode() + b"\r\n\r\n"
    with no_line(web):
        assert_problem(ask(web, request), status)


@pytest.mark.parametrize(
    "headers",
    [
        [f"X-Long: {'x' * 8191}"],
        [f"X-Long: {'x' * 60_000}"],
        [f"X-{number}: x" for number in range(65)],
        [f"X-{number}: {'x' * 300}" for number in range(195)],
    ],
    ids=["8191 bytes", "60000 bytes", "65 more", "200 lines"],
)
@pytest.mark.parametrize("line", [QUICK, SLOW])
def test_headers_up_to_the_documented_limits_are_accepted(web: ProcfileStack, line: str, headers: list[str]) -> None:
    assert status_of(ask(web, make(line, *headers))) == 201


@pytest.mark.parametrize(
    "headers",
    [[f"X-Long: {'x' * 66_000}"], [f"X-Long: {'x' * 300_000}"], [f"X-{number}: x" for number in range(197)]],
    ids=["66000 bytes", "300000 bytes", "201 lines"],
)
@pytest.mark.parametrize("line", [QUICK, SLOW])
def test_headers_over_the_documented_limits_get_a_problem(web: ProcfileStack, line: str, headers: list[str]) -> None:
    with no_line(web):
        assert_problem(ask(web, make(line, *headers)), 431)


def test_a_url_may_hold_8000_bytes(web: ProcfileStack) -> None:
    for length, status in ((5000, 404), (8000, 404), (8001, 414), (20_000, 414), (63_000, 414)):
        with no_line(web):
            assert_problem(ask(web, make("GET /nothing/" + "x" * (length - len("/nothing/")))), status)
    assert_problem(ask(web, make("G" * 8001 + " /tasks")), 414)


@pytest.mark.parametrize(
    ("line", "header"),
    [
        ("GET /health/live", 'Cookie: a="' + "\\" * 60_000 + '"'),
        ("GET /admin/", 'Cookie: a="' + "\\" * 15_000 + '"'),
        ("GET /health/live", 'X: x\r\nContent-Type: a;"' + ";" * 60_000),
        ("GET /health/live", "X-Request-ID: " + "a" * 60_000),
        ("GET /health/live", "Accept: " + "a;" * 30_000),
        ("GET /health/live", "If-None-Match: " + '"' * 60_000),
        ("GET /admin/", "Accept-Language: " + "a-" * 30_000),
        ("GET /tasks", "Authorization: Bearer " + "a " * 30_000),
        ("GET /tasks", "Prefer: " + "wait=" * 12_000),
        ("GET /tasks", "Idempotency-Key: " + "a" * 60_000),
    ],
)
def test_no_header_blocks_a_thread(web: ProcfileStack, line: str, header: str) -> None:
    request = make(line, header)
    if "Content-Type: a" in header:
        request = request.replace(b"Content-Type: application/json\r\n", b"")
    with no_line(web):
        began = time.monotonic()
        assert status_of(ask(web, request)) in (200, 302, 401, 406)
        assert time.monotonic() - began < AT_ONCE_SECONDS


def test_web_without_free_file_descriptors_waits_for_one(web: ProcfileStack) -> None:
    (pid,) = web.child_pids("web")
    opened = len(os.listdir(f"/proc/{pid}/fd"))
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (opened + FILES, before[1]))
    try:
        with contextlib.ExitStack() as stack:
            socks = [stack.enter_context(connect(web)) for _ in range(2 * FILES)]
            log = Path(web.log_path("web"))
            web.wait_for(lambda: "no new connection can be accepted" in log.read_text(), deadline_seconds=20)
            # Accepted connections are answered meanwhile.
            socks[0].sendall(make("GET /health/live"))
            assert status_of(read_to_end(socks[0])) == 200
        web.wait_for(lambda: web.get("/health/live").status == 200, deadline_seconds=20, what="web accepts again")
        assert web.child_pids("web") == [pid]
        assert log.read_text().count("no new connection can be accepted") == 1
        assert "Traceback" not in log.read_text()
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
