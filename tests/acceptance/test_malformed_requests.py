"""Malformed requests: each refusal is a problem, comes at once, and logs no line."""

import json
import time

import pytest

from loadtests.started.stack import ProcfileStack
from tests.acceptance.http_edge import AT_ONCE_SECONDS, QUICK, SLOW, ask, assert_problem, make, no_line, status_of

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
def test_a_request_that_the_parser_refuses_gets_a_problem(
    web: ProcfileStack, line: str, headers: list[str], status: int
) -> None:
    with no_line(web):
        answer = ask(web, make(line, *headers))
    if status:
        assert_problem(answer, status)
    else:
        assert status_of(answer) == 201


@pytest.mark.parametrize(
    "framing",
    [
        ["Transfer-Encoding: chunked", "Content-Length: 5"],
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: xchunked"],
        ["Transfer-Encoding : chunked"],
    ],
    ids=", ".join,
)
@pytest.mark.parametrize("line", [QUICK, SLOW])
def test_a_doubtful_end_of_the_body_is_refused_and_what_follows_is_not_read(
    web: ProcfileStack, line: str, framing: list[str]
) -> None:
    head = "\r\n".join([f"{line} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *framing])
    with no_line(web):
        answer = ask(web, head.encode() + b"\r\n\r\n0\r\n\r\n" + make("GET /health/live"))
    assert answer.count(b"HTTP/1.1 ") == 1
    assert status_of(answer) in (400, 501)
    assert_problem(answer, status_of(answer))


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
def test_an_invalid_request_line_gets_a_problem(web: ProcfileStack, request_line: bytes, status: int) -> None:
    with no_line(web):
        answer = ask(web, request_line + b"\r\nHost: localhost\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert 400 <= status_of(answer) < 600, answer
    assert b"application/problem+json" in head, answer
    assert json.loads(body)["status"] == status_of(answer)


@pytest.mark.parametrize("line", [QUICK, SLOW, "GET /health/live"])
def test_http_1_1_requires_a_host(web: ProcfileStack, line: str) -> None:
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
def test_an_invalid_host_is_refused_at_once_and_not_logged(web: ProcfileStack, line: str, header: str) -> None:
    with no_line(web):
        began = time.monotonic()
        assert_problem(ask(web, make(line, host=header)), 400)
        assert time.monotonic() - began < AT_ONCE_SECONDS


@pytest.mark.parametrize("line", [QUICK, SLOW, "GET /admin/"])
def test_a_foreign_host_is_refused_at_once(web: ProcfileStack, line: str) -> None:
    began = time.monotonic()
    answer = ask(web, make(line, host="Host: nobody.example.org"))
    assert_problem(answer, 400)
    assert time.monotonic() - began < AT_ONCE_SECONDS
    assert b"ALLOWED_HOSTS does not list" in answer
    assert web.log_path("web").read_text().count("nobody.example.org") <= 2, "a line a minute, of each process"


def test_a_form_without_csrf_token_is_not_logged(web: ProcfileStack) -> None:
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
