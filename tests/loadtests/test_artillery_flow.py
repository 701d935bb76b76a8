"""What a virtual user does: requests, loops, thinking, captures, expectations."""

from typing import Any

import pytest

from tests.loadtests.conftest import LoadTests
from tests.loadtests.stub_api import StubApi

UPLOAD = {"name": "upload", "description": "user upload"}


def one_user(*flow: dict[str, Any], **config: Any) -> dict[str, Any]:
    return {"config": {"target": "http://127.0.0.1:1", **config}, "scenarios": [{"flow": list(flow)}]}


def rising(*, count: int, increment: int, hold_for: float, url: str = "/tasks") -> dict[str, Any]:
    request = {"post": {"url": url, "json": UPLOAD, "expect": [{"statusCode": 201}]}}
    return {"loop": [{"count": count, "increment": increment, "holdFor": hold_for, "flow": [request]}]}


def test_methods_headers_bodies_and_queries_are_sent(load_tests: LoadTests, api: StubApi) -> None:
    run = load_tests.artillery(
        one_user(
            {"get": {"url": "/echo", "qs": {"a": "1", "b": "x y"}}},
            {"post": {"url": "/echo", "json": {"list": [1, {"deep": True}]}, "headers": {"X-One": "mine"}}},
            {"put": {"url": "/echo", "body": "plain"}},
            {"delete": {"url": "/echo"}},
            {"patch": {"url": "/echo", "form": {"a": "b c"}}},
            defaults={"headers": {"X-One": "default", "X-Two": "two"}},
        )
    )
    assert run.code == 0, run.stderr
    get, post, put, delete, patch = api.requests
    assert [received.method for received in api.requests] == ["GET", "POST", "PUT", "DELETE", "PATCH"]
    assert get.path == "/echo?a=1&b=x%20y"
    assert (get.headers["x-one"], post.headers["x-one"], post.headers["x-two"]) == ("default", "mine", "two")
    assert (post.body, put.body, delete.body, patch.body) == ({"list": [1, {"deep": True}]}, "plain", "", "a=b%20c")


def test_templates_are_replaced(load_tests: LoadTests, api: StubApi) -> None:
    run = load_tests.artillery(
        one_user(
            {
                "post": {
                    "url": "/echo/{{ name }}",
                    "headers": {"X-Uuid": "{{ $uuid }}"},
                    "json": {
                        "number": "{{ number }}",
                        "text": "no {{number}}, {{ nested.list[1] }}",
                        "random": "{{ $randomNumber(5, 5) }}",
                        "word": "{{ $randomString(4) }}",
                        "env": "{{ $env.FROM_ENV }}",
                    },
                }
            },
            variables={"name": "x", "number": 3, "nested": {"list": ["a", "b"]}},
        ),
        FROM_ENV="outside",
    )
    assert run.code == 0, run.stderr
    (received,) = api.requests
    assert received.path == "/echo/x"
    assert len(received.headers["x-uuid"]) == 36
    word = received.body.pop("word")
    assert len(word) == 4
    assert received.body == {"number": 3, "text": "no 3, b", "random": 5, "env": "outside"}


def test_loops_repeat_by_count_range_and_list_and_nest(load_tests: LoadTests, api: StubApi) -> None:
    inner = {"loop": [{"get": {"url": "/echo?{{ $loopCount }}"}}], "count": 2}
    run = load_tests.artillery(
        one_user(
            {"loop": [{"get": {"url": "/echo?outer"}}, inner], "count": "{{ times }}"},
            {"loop": [{"get": {"url": "/echo?{{ $loopCount }}"}}], "count": "7-9"},
            {"loop": [{"get": {"url": "/echo?{{ $loopElement }}"}}], "over": ["x", "y"]},
            {"loop": [{"count": 2, "flow": [{"get": {"url": "/echo?block"}}]}]},
            variables={"times": 2},
        )
    )
    assert run.code == 0, run.stderr
    queries = [received.path.partition("?")[2] for received in api.requests]
    assert queries == ["outer", "0", "1"] * 2 + ["7", "8"] + ["x", "y"] + ["block"] * 2


def test_think_waits_and_log_prints(load_tests: LoadTests, api: StubApi) -> None:
    get = {"get": {"url": "/echo"}}
    run = load_tests.artillery(one_user(get, {"think": 1}, get, {"think": "200ms"}, {"log": "said {{ target }}"}))
    first, second = api.requests
    assert 1 <= second.at - first.at < 3
    assert run.report["aggregate"]["summaries"]["vusers.session_length"]["min"] >= 1200
    assert f"said {api.url}" in run.stderr


def test_captures_reach_the_next_request(load_tests: LoadTests, api: StubApi) -> None:
    run = load_tests.artillery(
        one_user(
            {
                "post": {
                    "url": "/tasks",
                    "json": UPLOAD,
                    "capture": [
                        {"json": "$.id", "as": "id"},
                        {"header": "location", "as": "address"},
                        {"json": "$.insertedRecords['users']", "as": "users"},
                        {"regexp": '"status": "(\\w+)"', "group": 1, "as": "status"},
                        {"json": "$.nothing", "as": "nothing", "strict": False},
                    ],
                }
            },
            {"get": {"url": "/tasks/{{ id }}", "expect": [{"statusCode": 200}, {"equals": ["{{ users }}", 0]}]}},
            {"get": {"url": "{{ address }}", "expect": {"statusCode": 200, "equals": ["{{ status }}", "finished"]}}},
        )
    )
    assert run.code == 0, run.stderr
    assert run.counters["http.codes.200"] == 2
    assert run.counters["plugins.expect.ok"] == 4


def test_a_failed_capture_ends_the_virtual_user(load_tests: LoadTests, api: StubApi) -> None:
    run = load_tests.artillery(
        one_user({"get": {"url": "/echo", "capture": {"json": "$.nothing", "as": "x"}}}, {"get": {"url": "/echo"}})
    )
    assert run.code != 0
    assert len(api.requests) == 1
    assert run.counters["vusers.failed"] == run.counters["errors.Failed capture or match"] == 1
    assert "vusers.completed" not in run.counters
    assert "vusers.session_length" not in run.report["aggregate"]["summaries"]


MET: list[dict[str, Any]] = [
    {"statusCode": 201},
    {"statusCode": [200, 201]},
    {"notStatusCode": 500},
    {"contentType": "json"},
    {"hasProperty": "insertedRecords.users"},
    {"notHasProperty": "insertedRecords.cars"},
    {"hasHeader": "Location"},
    {"headerEquals": ["content-type", "application/json"]},
    {"matchesRegexp": '"success": true'},
    {"equals": ["{{ same }}", "a"]},
    {"json": {"success": True, "insertedRecords": {"users": "Number"}}},
    {"json": {"id": "String", "success": "Boolean", "insertedRecords": "Object", "name": "{{ name }}"}},
]
NOT_MET: list[dict[str, Any]] = [
    {"statusCode": 200},
    {"statusCode": [200, 202]},
    {"notStatusCode": 201},
    {"contentType": "text/html"},
    {"hasProperty": "insertedRecords.cars"},
    {"notHasProperty": "id"},
    {"hasHeader": "x-nothing"},
    {"headerEquals": ["content-type", "text/html"]},
    {"matchesRegexp": "^nothing$"},
    {"equals": ["{{ same }}", "b"]},
    {"json": {"success": False}},
    {"json": {"success": True, "insertedRecords": {"users": "String"}}},
    {"json": {"insertedRecords": {"cars": "Number"}}},
    {"json": {"insertedRecords": []}},
]


def test_each_expectation_is_checked(load_tests: LoadTests) -> None:
    """All in one run: those that are met in one virtual user, each of the others in a virtual user of its own."""
    variables = {"same": "a", "name": "upload"}

    def scenario(expect: list[dict[str, Any]]) -> dict[str, Any]:
        return {"flow": [{"post": {"url": "/tasks", "json": UPLOAD, "expect": expect}}]}

    run = load_tests.artillery(
        {
            "config": {
                "target": "http://127.0.0.1:1",
                "variables": variables,
                "phases": [{"duration": 4, "arrivalCount": 1 + len(NOT_MET)}],
            },
            "scenarios": [scenario(MET), *(scenario([expectation]) for expectation in NOT_MET)],
        }
    )
    assert run.code != 0
    assert run.counters["plugins.expect.ok"] == len(MET)
    assert run.counters["plugins.expect.failed"] == len(NOT_MET)
    assert run.counters["vusers.failed"] == run.counters["errors.Failed expectations"] == len(NOT_MET)
    assert run.counters["vusers.completed"] == 1


def test_failed_expectations_may_be_counted_only(load_tests: LoadTests) -> None:
    get = {"get": {"url": "/echo", "expect": [{"statusCode": 500}]}}
    run = load_tests.artillery(one_user(get, get, plugins={"expect": {"reportFailuresAsErrors": False}}))
    assert run.code != 0
    assert run.counters["plugins.expect.failed"] == 2
    assert run.counters["vusers.completed"] == 1


def test_an_error_status_alone_is_no_failure(load_tests: LoadTests) -> None:
    run = load_tests.artillery(one_user({"get": {"url": "/tasks/none"}}))
    assert run.code == 0, run.stderr
    assert run.counters["http.codes.404"] == run.counters["vusers.completed"] == 1


def test_no_answer_is_a_failure(load_tests: LoadTests) -> None:
    run = load_tests.artillery(one_user({"get": {"url": "/echo"}}), TARGET="http://127.0.0.1:9")
    assert run.code != 0
    assert run.counters["errors.ECONNREFUSED"] == run.counters["vusers.failed"] == run.counters["http.requests"] == 1
    assert "http.responses" not in run.counters


@pytest.mark.alone
def test_the_documents_loop_raises_the_rate_step_by_step(load_tests: LoadTests, api: StubApi) -> None:
    run = load_tests.artillery(one_user(rising(count=3, increment=2, hold_for=2), {"think": 1}))
    assert run.code == 0, run.stderr
    assert run.counters["http.codes.201"] == run.counters["plugins.expect.ok"] == 4 + 8 + 12
    assert run.counters["vusers.created"] == run.counters["vusers.completed"] == 1
    due = [2 * step + number / (2 + 2 * step) for step in range(3) for number in range(4 + 4 * step)]
    late = [received.at - moment for received, moment in zip(api.requests, due, strict=True)]
    assert max(late) - min(late) < 0.8  # another rate, or all of a step at once, would differ by a second or more
    assert run.report["aggregate"]["summaries"]["vusers.session_length"]["min"] >= 7000


def test_the_rising_rate_does_not_wait_for_slow_answers(load_tests: LoadTests, api: StubApi) -> None:
    api.delay_seconds = 5
    run = load_tests.artillery(one_user(rising(count=2, increment=5, hold_for=1)))
    assert run.code == 0, run.stderr
    assert run.counters["http.codes.201"] == 5 + 10
    assert api.requests[-1].at - api.requests[0].at < api.delay_seconds


def test_a_failure_in_a_rising_loop_fails_the_user_at_its_end(load_tests: LoadTests, api: StubApi) -> None:
    run = load_tests.artillery(
        one_user(rising(count=2, increment=2, hold_for=0.5, url="/echo"), {"get": {"url": "/echo"}})
    )
    assert run.code != 0
    assert api.count() == {"POST": 1 + 2}
    assert run.counters["plugins.expect.failed"] == run.counters["errors.Failed expectations"] == 3
    assert run.counters["vusers.failed"] == 1


@pytest.mark.parametrize(
    ("script", "word"),
    [
        (one_user({"get": {"url": "/", "beforeRequest": "hook"}}), "beforeRequest"),
        (one_user({"get": {"url": "/", "expect": [{"cdnHit": True}]}}), "cdnHit"),
        (one_user({"function": "hook"}), "function"),
        (one_user({"loop": [{"get": {"url": "/"}}]}), "would never end"),
        (one_user({"loop": [{"get": {"url": "/"}}], "whileTrue": "hook"}), "whileTrue"),
        (
            one_user({"loop": [{"count": 2, "holdFor": 3, "flow": [{"get": {"url": "/"}}]}]}),
            "holdFor without increment",
        ),
        (one_user({"get": {}}), "an URL must be specified"),
        (one_user({"get": {"url": "/"}}, payload={"path": "x.csv"}), "payload"),
        (one_user({"get": {"url": "/"}}, phases=[{"duration": 1, "arrivalRate": 0.5}]), "whole number"),
        (one_user({"get": {"url": "/"}}, phases=[{"duration": "soon", "arrivalRate": 1}]), "soon"),
        (one_user({"get": {"url": "/"}}, phases=[{"duration": 1}]), "who arrives"),
        (one_user({"get": {"url": "/"}}, phases=[{"duration": "9h", "arrivalRate": 1}]), "length of the run"),
    ],
)
def test_words_that_are_not_known_are_refused_before_a_request(
    load_tests: LoadTests, api: StubApi, script: dict[str, Any], word: str
) -> None:
    run = load_tests.artillery(script)
    assert run.code != 0
    assert word in run.stderr
    assert api.requests == []
