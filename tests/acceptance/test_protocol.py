"""HTTP at web's edge: limits as documented, every refusal a problem, one 100 Continue, and no line for a client's mistake.

Each request goes both ways where it can: what is quick is answered in the event loop, the rest in threads.
"""

import contextlib
import json
import os
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers import Database, RedisServer
from tests.support.stack import ProcfileStack

QUICK, SLOW = "POST /tasks", "POST /tasks/bulk"
BODY = {QUICK: b'{"name": "upload"}', SLOW: b'{"tasks": [{"name": "upload"}]}'}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
AT_ONCE_SECONDS = 2.0  # on a busy machine; what is refused takes a millisecond
FILES = 40  # that web may have open in the test of their lack, beside those that it has


@pytest.fixture(scope="module", params=["auto", "python"])
def web(servers: tuple[Database, RedisServer], request: pytest.FixtureRequest) -> Iterator[ProcfileStack]:
    """One process of web, with each of gunicorn's parsers; nobody runs the tasks."""
    stack = ProcfileStack(
        database=servers[0],
        redis_server=servers[1],
        roles=("web",),
        environment={
            "WEB_WORKERS": "1",
            "WEB_THREADS": "2",
            "REDIS_TIMEOUT_SECONDS": "10",
            "GUNICORN_CMD_ARGS": f"--http-parser={request.param}",
        },
    )
    try:
        stack.start()
        yield stack
    finally:
        stack.close()


def connect(web: ProcfileStack) -> socket.socket:
    return socket.create_connection(("127.0.0.1", web.port), timeout=20)


def read_to_end(sock: socket.socket) -> bytes:
    answer = b""
    while chunk := sock.recv(65536):
        answer += chunk
    return answer


def ask(web: ProcfileStack, request: bytes) -> bytes:
    """Send a request that asks for the connection's end; return all that came back."""
    with connect(web) as sock:
        sock.sendall(request)
        return read_to_end(sock)


def make(
    line: str, *headers: str, body: bytes | None = None, version: str = "1.1", host: str = "Host: localhost"
) -> bytes:
    body = BODY.get(line, b"") if body is None else body
    lines = [f"{line} HTTP/{version}", host, "Connection: close", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(filter(None, lines)).encode("latin-1") + b"\r\n\r\n" + body


def assert_problem(answer: bytes, status: int) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer[:300]
    assert b"\r\nContent-Type: application/problem+json" in head, head
    assert json.loads(body)["status"] == status


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@contextlib.contextmanager
def no_line(web: ProcfileStack) -> Iterator[None]:
    """Nothing is logged in this block."""
    before = web.log_path("web").stat().st_size
    yield
    with web.log_path("web").open("rb") as log:
        log.seek(before)
        assert log.read().decode() == ""


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
def test_no_continue_where_the_body_is_there_or_the_client_does_not_know_it(web: ProcfileStack, line: str) -> None:
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


@pytest.mark.parametrize("line", [QUICK, SLOW])
def test_a_body_in_chunks_is_taken(web: ProcfileStack, line: str) -> None:
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


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (["Expect: 100-continue", "Content-Length: 99999999"], 413),
        (["Expect: 100-continue", "Transfer-Encoding: chunked", "Content-Length: 5"], 400),
        (["Expect: 100-continue", "Transfer-Encoding: gzip, chunked"], 501),
        (["Expect: a-miracle", "Content-Length: 100"], 417),
    ],
)
def test_no_continue_for_what_is_refused(web: ProcfileStack, headers: list[str], status: int) -> None:
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
def test_headers_up_to_the_documented_bounds_are_taken(web: ProcfileStack, line: str, headers: list[str]) -> None:
    assert status_of(ask(web, make(line, *headers))) == 201


@pytest.mark.parametrize(
    "headers",
    [[f"X-Long: {'x' * 66_000}"], [f"X-Long: {'x' * 300_000}"], [f"X-{number}: x" for number in range(197)]],
    ids=["66000 bytes", "300000 bytes", "201 lines"],
)
@pytest.mark.parametrize("line", [QUICK, SLOW])
def test_headers_beyond_them_are_a_problem(web: ProcfileStack, line: str, headers: list[str]) -> None:
    with no_line(web):
        assert_problem(ask(web, make(line, *headers)), 431)


def test_a_url_may_hold_8000_bytes(web: ProcfileStack) -> None:
    for length, status in ((5000, 404), (8000, 404), (8001, 414), (20_000, 414), (63_000, 414)):
        with no_line(web):
            assert_problem(ask(web, make("GET /nothing/" + "x" * (length - len("/nothing/")))), status)
    assert_problem(ask(web, make("G" * 8001 + " /tasks")), 414)


MALFORMED = {
    "no colon": (["nonsense"], 400),
    "space before the colon": (["X-Bomb : a"], 400),
    "NUL": (["X-Bomb: a\0b"], 400),
    "folded": (["X-Bomb: a\r\n b"], 400),
    "two lengths": (["Content-Length: 5"], 400),
    "two hosts": (["Host: localhost"], 400),
    "underscore": (["X_Bomb: a"], 0),
    "control characters": (["X-Bomb: \x1b[31m"], 400),
}


@pytest.mark.parametrize(("headers", "status"), MALFORMED.values(), ids=MALFORMED.keys())
@pytest.mark.parametrize("line", [QUICK, SLOW])
def test_what_the_parser_refuses_is_a_problem(web: ProcfileStack, line: str, headers: list[str], status: int) -> None:
    with no_line(web):
        answer = ask(web, make(line, *headers))
    if status:
        assert_problem(answer, status)
    else:
        assert status_of(answer) == 201


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET", 400),
        (b"GET /tasks", 400),
        (b"GET /tasks HTTP/9.9", 400),
        (b"GET /tasks HTTP/2.0", 400),
        (b"\xff\xfe /tasks HTTP/1.1", 400),
        (b"get /tasks HTTP/1.1", 400),
        (b"GET /t\xc3\xa4sks HTTP/1.1", 400),
        (b"POST /tasks HTTP/1.1 ", 400),
    ],
)
def test_a_line_that_is_no_request_is_a_problem(web: ProcfileStack, request_line: bytes, status: int) -> None:
    with no_line(web):
        answer = ask(web, request_line + b"\r\nHost: localhost\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert 400 <= status_of(answer) < 600, answer
    assert b"application/problem+json" in head, answer
    assert json.loads(body)["status"] == status_of(answer)


@pytest.mark.parametrize("line", [QUICK, SLOW, "GET /health/live"])
def test_http_1_1_wants_a_host(web: ProcfileStack, line: str) -> None:
    with no_line(web):
        assert_problem(ask(web, make(line, host="")), 400)
        assert status_of(ask(web, make("GET /health/live", host="", version="1.0"))) == 200


@pytest.mark.parametrize(
    "header",
    [
        f"Host: {'a' * 8000}",
        f"Host: {'a' * 60_000}",
        f"Host: {'a.' * 140}",
        "Host: [::::",
        "Host:",
    ],
    ids=["8000", "60000", "280", "broken", "empty"],
)
@pytest.mark.parametrize("line", [QUICK, SLOW, "GET /health/live", "GET /admin/"])
def test_a_host_that_is_none_is_refused_at_once_without_a_line(web: ProcfileStack, line: str, header: str) -> None:
    with no_line(web):
        began = time.monotonic()
        assert_problem(ask(web, make(line, host=header)), 400)
        assert time.monotonic() - began < AT_ONCE_SECONDS


@pytest.mark.parametrize("line", [QUICK, SLOW, "GET /admin/"])
def test_a_host_that_is_not_ours_is_refused_at_once(web: ProcfileStack, line: str) -> None:
    began = time.monotonic()
    answer = ask(web, make(line, host="Host: nobody.example.org"))
    assert_problem(answer, 400)
    assert time.monotonic() - began < AT_ONCE_SECONDS
    assert b"ALLOWED_HOSTS does not list" in answer
    assert web.log_path("web").read_text().count("nobody.example.org") <= 2, "a line a minute, of each process"


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
def test_no_header_holds_a_thread(web: ProcfileStack, line: str, header: str) -> None:
    request = make(line, header)
    if "Content-Type: a" in header:
        request = request.replace(b"Content-Type: application/json\r\n", b"")
    with no_line(web):
        began = time.monotonic()
        assert status_of(ask(web, request)) in (200, 302, 401, 406)
        assert time.monotonic() - began < AT_ONCE_SECONDS


def test_a_form_without_its_token_leaves_no_line(web: ProcfileStack) -> None:
    form = b"username=a&password=b"
    request = make("POST /admin/login/", body=form).replace(b"application/json", b"application/x-www-form-urlencoded")
    with no_line(web):
        assert status_of(ask(web, request)) == 403
        fields = b"&".join(b"a%d=1" % number for number in range(1500))
        assert status_of(ask(web, make("GET /tasks?" + fields[:7900].decode()))) == 400
        cookie = f"Cookie: csrftoken={'a' * 32}"
        many = make("POST /admin/login/", cookie, body=fields)
        many = many.replace(b"application/json", b"application/x-www-form-urlencoded")
        assert status_of(ask(web, many)) == 400


def test_web_without_file_descriptors_waits_for_some(web: ProcfileStack) -> None:
    (pid,) = web.child_pids("web")
    opened = len(os.listdir(f"/proc/{pid}/fd"))
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (opened + FILES, before[1]))
    try:
        with contextlib.ExitStack() as stack:
            socks = [stack.enter_context(connect(web)) for _ in range(2 * FILES)]
            log = Path(web.log_path("web"))
            web.wait_for(lambda: "no new connection can be accepted" in log.read_text(), deadline_seconds=20)
            # Those that were accepted are answered meanwhile.
            socks[0].sendall(make("GET /health/live"))
            assert status_of(read_to_end(socks[0])) == 200
        web.wait_for(lambda: web.get("/health/live").status == 200, deadline_seconds=20, what="web accepts again")
        assert web.child_pids("web") == [pid]
        assert log.read_text().count("no new connection can be accepted") == 1
        assert "Traceback" not in log.read_text()
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
