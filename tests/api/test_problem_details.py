"""Every refusal is a problem that names what was wrong, and starts nothing."""

import json
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory, override_settings
from rest_framework import exceptions

from longtasks.http.page_middleware import KNOWN_HOSTS, HostAndLengthMiddleware
from tasks_app.api import problem_details
from tasks_app.api.base_viewset import BaseViewSet
from tests.api.conftest import Post, assert_problem, wrong_fields

NAME = {"name": "upload"}


@pytest.fixture(autouse=True)
def _nothing_is_enqueued(redis: Any) -> Any:
    yield
    assert redis.keys("rq:*") == []


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"name"}),
        ({"name": None}, {"name"}),
        ({"name": ""}, {"name"}),
        ({"name": 7}, {"name"}),
        ({"name": ["upload"]}, {"name"}),
        ({"name": "nothing"}, {"name"}),
        ({"name": "Upload"}, {"name"}),
        ({"name": " upload"}, {"name"}),
        ({"name": "x" * 5000}, {"name"}),
        ({"name": "up\0load"}, {"name"}),
        ({**NAME, "description": 5}, {"description"}),
        ({**NAME, "description": True}, {"description"}),
        ({**NAME, "description": None}, {"description"}),
        ({**NAME, "description": "x" * 256}, {"description"}),
        ({**NAME, "description": "a\0b"}, {"description"}),
        ({**NAME, "priority": "urgent"}, {"priority"}),
        ({**NAME, "priority": 11}, {"priority"}),
        ({**NAME, "priority": ["low"]}, {"priority"}),
        ({**NAME, "params": None}, {"params"}),
        ({**NAME, "params": []}, {"params"}),
        ({**NAME, "params": "numRecords"}, {"params"}),
        ({**NAME, "params": {"numRecords": 0}}, {"params.numRecords"}),
        ({**NAME, "params": {"numRecords": -1}}, {"params.numRecords"}),
        ({**NAME, "params": {"numRecords": 10_000_001}}, {"params.numRecords"}),
        ({**NAME, "params": {"numRecords": 10**30}}, {"params.numRecords"}),
        ({**NAME, "params": {"numRecords": 1.5}}, {"params.numRecords"}),
        ({**NAME, "params": {"numRecords": "100"}}, {"params.numRecords"}),
        ({**NAME, "params": {"numRecords": True}}, {"params.numRecords"}),
        ({**NAME, "params": {"numRecords": None}}, {"params.numRecords"}),
        ({**NAME, "params": {"numRecords": {}}}, {"params.numRecords"}),
        ({**NAME, "params": {"records": 1}}, {"params.records"}),
        ({"name": "purge"}, {"params.taskId"}),
        ({"name": "purge", "params": {"taskId": 5}}, {"params.taskId"}),
        ({"name": "purge", "params": {"taskId": "5"}}, {"params.taskId"}),
        ({**NAME, "callback": 1}, {"callback"}),
        ({**NAME, "Name": "upload"}, {"Name"}),
        ({**NAME, "description": 1, "more": 1, "params": {"numRecords": 0}}, {"description", "more", "params.numRecords"}),
    ],
    ids=lambda value: json.dumps(value)[:50] if isinstance(value, dict) else "",
)  # fmt: skip
def test_a_wrong_body_names_its_fields(post: Post, body: Any, fields: set[str]) -> None:
    assert wrong_fields(assert_problem(post("/tasks", body), 400)) == fields


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"{", b"nonsense", b'{"name": "upload"', b'{"name": "upload"} x', b"{'name': 'upload'}",
        b'{"name": "upload", "params": {"numRecords": NaN}}', b'{"name": "upload", "params": {"numRecords": Infinity}}',
        b'{"name": "upload", "params": {"numRecords": 1e400}}', b'{"name": "upload", "description": "\xff"}',
        b'{"name": "upload", "description": "\\ud800"}', b'\xef\xbb\xbf{"name": "upload"}', b'"upload"', b"null", b"true", b"1",
        b"[]", b'[{"name": "upload"}]', b'{"name": "upload", "name": "upload"}',
        b'{"name": "upload", "params": {"numRecords": 1, "numRecords": 2}}',
        b'{"name": "upload", "description": "a: b", "na\\u006de": "upload"}',
        b"[" * 5000 + b"]" * 5000, b'{"a":' * 900 + b"1" + b"}" * 900,
        b'{"description": ":", "a":' + b"[" * 1000 + b"]" * 1000 + b"}",
    ],
    ids=lambda body: body.decode(errors="replace")[:40],
)  # fmt: skip
def test_a_body_that_is_not_a_json_object_is_400(post: Post, body: bytes) -> None:
    problem = assert_problem(post("/tasks", body), 400)
    assert problem["errors"]
    assert problem["type"] == "urn:longtasks:problem:invalid"


def test_no_more_than_a_hundred_errors_are_listed(post: Post) -> None:
    body = {**NAME, **{f"f{number}": 1 for number in range(500)}}
    assert len(assert_problem(post("/tasks", body), 400)["errors"]) == 100


@pytest.mark.parametrize("path", ["/tasks", "/tasks/", "/queues/low/pause"])
def test_a_body_over_64_kib_is_413(post: Post, path: str) -> None:
    assert_problem(post(path, b'{"name": "upload", "description": "' + b"x" * 65536 + b'"}'), 413)


def test_a_body_of_just_64_kib_is_read(post: Post) -> None:
    body = b'{"nothing": 1}'
    assert_problem(post("/tasks", body + b" " * (65536 - len(body))), 400)
    assert_problem(post("/tasks", body + b" " * (65537 - len(body))), 413)


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "application/jsonp",
     "application/json; charset=latin-1", "application/merge-patch+json", ""],
)  # fmt: skip
def test_another_media_type_is_415(post: Post, content_type: str) -> None:
    assert_problem(post("/tasks", b'{"name": "upload"}', content_type=content_type), 415)


@pytest.mark.parametrize(
    "accept", ["text/html", "application/xml, text/*", "application/json;q=0", "*/*;q=0.0", "x" * 9000]
)
@pytest.mark.parametrize("path", ["/tasks", "/health/live"])
def test_an_accept_header_without_json_is_406(client: Client, path: str, accept: str) -> None:
    assert_problem(client.get(path, headers={"Accept": accept}), 406)


@pytest.mark.parametrize(
    "accept", ["*/*", "application/*", "text/html, */*;q=0.1", "application/json;q=0.5, text/html;q=0", ""]
)
def test_an_accept_header_with_json_gets_json(client: Client, accept: str) -> None:
    assert client.get("/health/live", headers={"Accept": accept}).status_code == 200


TASK = "/tasks/0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/tasks", {"GET", "POST"}), ("/tasks/bulk", {"POST"}), (TASK, {"GET"}), (f"{TASK}/cancel", {"POST"}),
        (f"{TASK}/retry", {"POST"}), (f"{TASK}/events", {"GET"}), ("/queues", {"GET"}), ("/queues/low/pause", {"POST"}),
        ("/queues/low/resume", {"POST"}), ("/health/live", {"GET"}), ("/health/ready", {"GET"}), ("/schema", {"GET"}),
    ],
)  # fmt: skip
def test_other_methods_are_405_with_allow(client: Client, path: str, allowed: set[str]) -> None:
    complete = allowed | {"OPTIONS"} | ({"HEAD"} if "GET" in allowed else set())
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"} - allowed:
        response = client.generic(method, path, b"{}", content_type="application/json")
        assert_problem(response, 405)
        assert set(response["Allow"].split(", ")) == complete
    response = client.options(path)
    assert (response.status_code, set(response["Allow"].split(", "))) == (204, complete)


@pytest.mark.parametrize(
    "path", ["/nothing", "/task", "/tasksx", "/tasks//", f"{TASK}/x", "/queues/low", "/tasks.json", "/%00", "/%ff"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("debug", [True, False])
def test_an_unknown_route_is_404(client: Client, method: str, path: str, debug: bool) -> None:
    with override_settings(DEBUG=debug):
        assert_problem(client.generic(method, path), 404)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "task_id", ["0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10", "1", "x" * 500, "0198f2a4", "%00", "%F0%9F%98%80", "..%2e"]
)
@pytest.mark.parametrize(
    ("method", "action"), [("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/retry")]
)
def test_an_unknown_or_malformed_id_is_404(client: Client, method: str, action: str, task_id: str) -> None:
    body = assert_problem(client.generic(method, f"/tasks/{task_id}{action}"), 404)
    assert body["type"] == "urn:longtasks:problem:unknown-task"


@pytest.mark.parametrize("key", ["", " ", "a b", "ñ", "x" * 256, "a\tb"])
def test_an_unusable_key_is_400(post: Post, key: str) -> None:
    response = post("/tasks", NAME, **{"Idempotency-Key": key})
    assert wrong_fields(assert_problem(response, 400)) == {"Idempotency-Key"}


def test_a_failing_view_shows_no_trace(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(BaseViewSet):
        def list(self, request: Any) -> Any:
            raise RuntimeError("secret of the house")

    response = Failing.as_view({"get": "list"})(RequestFactory().get("/"))
    assert response.status_code == 500
    assert response["Content-Type"] == "application/problem+json"
    assert b"secret" not in response.content
    assert "secret of the house" in caplog.text


def test_djangos_own_handlers_answer_problems() -> None:
    request = RequestFactory().get("/")
    answers = [
        problem_details.handler400(request),
        problem_details.handler403(request),
        problem_details.handler404(request),
        problem_details.handler500(request),
    ]
    assert [answer.status_code for answer in answers] == [400, 403, 404, 500]
    assert {answer["Content-Type"] for answer in answers} == {"application/problem+json"}


def test_an_unknown_host_is_400(client: Client) -> None:
    with override_settings(ALLOWED_HOSTS=["example.org"], DEBUG=False):
        for _ in range(2):  # known hosts are remembered
            assert client.get("/nothing", headers={"Host": "example.org"}).status_code == 404
            assert_problem(client.get("/nothing", headers={"Host": "evil.example"}), 400)


def test_the_memory_of_hosts_is_bounded(rf: RequestFactory) -> None:
    middleware = HostAndLengthMiddleware(lambda request: HttpResponse())
    with override_settings(ALLOWED_HOSTS=[".example.org"]):
        for number in range(2 * KNOWN_HOSTS):
            assert middleware(rf.get("/tasks", headers={"Host": f"{number}.example.org"})).status_code == 200
    assert len(middleware._known_hosts) == KNOWN_HOSTS


@pytest.mark.parametrize(
    ("exception", "status", "header"),
    [
        (exceptions.Throttled(wait=3.2), 429, ("Retry-After", "4")),
        (exceptions.NotAuthenticated(), 401, None),
        (exceptions.PermissionDenied(), 403, None),
    ],
)
def test_drfs_refusals_are_problems(exception: Exception, status: int, header: tuple[str, str] | None) -> None:
    response = problem_details.problem_response(exception, {})
    assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json")
    if header:
        assert response[header[0]] == header[1]
