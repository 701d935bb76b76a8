"""Limits of JSON bodies: depth and numbers. The time to read or refuse a body grows with its length only."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from tasks_app import task_types
from tasks_app.api.request_serializers import read_new_task
from tasks_app.domain.json_limits import HIGHEST, LOWEST, PARAMS_LEVELS
from tests.api.conftest import Post, assert_problem, wrong_fields

NAME = "takes_any_json"
# A body of 64 KiB is read in milliseconds; with quadratic time it would take seconds.
AT_ONCE_SECONDS = 1.0


class AnyParams(serializers.Serializer[Any]):
    any = serializers.JSONField()


@pytest.fixture(autouse=True)
def _type() -> Iterator[None]:
    class TakesAnyJson(task_types.TaskType):
        name = NAME
        params_serializer = AnyParams

    task_types.register(TakesAnyJson)
    yield
    task_types.unregister(NAME)


def nested(levels: int) -> str:
    """Return the JSON of lists nested this deep."""
    return "[" * levels + "]" * levels


def body_of(any_json: str) -> bytes:
    return f'{{"name": "{NAME}", "params": {{"any": {any_json}}}}}'.encode()


@pytest.mark.django_db(transaction=True)
def test_a_body_of_the_documented_depth_is_returned_unchanged(
    post: Post, client: Client, mirror: Callable[[], None]
) -> None:
    deepest = nested(PARAMS_LEVELS - 1)
    one = post("/tasks", body_of(deepest))
    assert one.status_code == 201, one.content
    many = post("/tasks/bulk", b'{"tasks": [' + body_of(deepest) + b"]}")
    assert many.status_code == 201, many.content
    mirror()
    for task_id in (one.json()["id"], many.json()["tasks"][0]["id"]):
        assert client.get(f"/tasks/{task_id}").json()["params"] == {"any": json.loads(deepest)}


@pytest.mark.parametrize("levels", [PARAMS_LEVELS, 40, 120, 254, 255, 256, 511, 1000, 1020, 1023, 1024, 5000, 30_000])
@pytest.mark.parametrize("path", ["/tasks", "/tasks/bulk"])
def test_deeper_nesting_is_refused(post: Post, path: str, levels: int) -> None:
    body = body_of(nested(levels))
    body = b'{"tasks": [' + body + b"]}" if path.endswith("bulk") else body
    answer = assert_problem(post(path, body), 400)
    assert wrong_fields(answer) <= {"params", "tasks.0.params", "body"}


@pytest.mark.parametrize("number", [LOWEST, -1, 0, 2**53 + 1, 2**63, HIGHEST])
def test_integers_of_64_bits_are_returned_exactly(post: Post, number: int) -> None:
    answer = post("/tasks", body_of(f"[{number}]"))
    assert answer.status_code == 201, answer.content
    assert answer.json()["params"] == {"any": [number]}


@pytest.mark.parametrize("number", [LOWEST - 1, HIGHEST + 1, 10**19 * 2, -(10**30), 10**400, 10**4000])
@pytest.mark.parametrize("shape", ["{}", "[{}]", '{{"a": [1, {}]}}'])
def test_integers_over_64_bits_are_refused(post: Post, number: int, shape: str) -> None:
    answer = assert_problem(post("/tasks", body_of(shape.format(number))), 400)
    where = {"{}": "", "[{}]": ".0", '{{"a": [1, {}]}}': ".a.1"}[shape]
    assert wrong_fields(answer) == {f"params.any{where}" if number < 10**400 else "body"}


def test_numbers_of_any_size_may_be_floats(post: Post) -> None:
    answer = post("/tasks", body_of("[1e19, 1.5e300, -2.0e25, 18446744073709551616.0]"))
    assert answer.json()["params"] == {"any": [1e19, 1.5e300, -2.0e25, 2.0**64]}


@pytest.mark.parametrize("value", [2**64, -(2**70), [[10**5000]], float("nan"), [float("inf")], json.loads(nested(17))])
def test_the_command_line_and_the_admin_have_the_same_limits(value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        read_new_task({"name": NAME, "params": {"any": value}})
    assert set(refused.value.detail) == {"params"}


def test_a_duplicate_key_among_thousands_is_found_at_once(post: Post) -> None:
    body = b"{" + b",".join(b'"%d":1' % number for number in range(7_000)) + b',"6999":2}'
    began = time.perf_counter()
    answer = assert_problem(post("/tasks", body), 400)
    assert time.perf_counter() - began < AT_ONCE_SECONDS
    assert "'6999'" in json.dumps(answer)


def test_a_duplicate_key_in_a_bulk_is_found_at_once(post: Post) -> None:
    body = b'{"tasks": [{' + b",".join(b'"k%d":1' % number for number in range(40_000)) + b',"k39999":2}]}'
    began = time.perf_counter()
    assert_problem(post("/tasks/bulk", body), 400)
    assert time.perf_counter() - began < 2 * AT_ONCE_SECONDS


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tasks", {f"k{number}": 1 for number in range(5_000)}),
        ("/tasks", {"name": "upload", "params": {f"k{number}": 1 for number in range(5_000)}}),
        ("/tasks/bulk", {f"k{number}": 1 for number in range(100_000)}),
        ("/tasks/bulk", {"tasks": [{f"k{number}": 1 for number in range(100_000)}]}),
        ("/tasks/bulk", {"tasks": [{f"k{number}": 1 for number in range(100)}] * 1000}),
        ("/tasks/bulk", {"tasks": [{"name": "x" * 3000}] * 1000}),
        ("/tasks/bulk", {"tasks": [{"name": "upload", "priority": "x" * 3000}] * 1000}),
        ("/tasks", {"name": "upload", "priority": "x" * 60_000}),
        ("/tasks", {"x" * 60_000: "upload"}),
    ],
)
def test_a_refusal_is_bounded_whatever_is_refused(post: Post, path: str, body: Any) -> None:
    response = post(path, json.dumps(body).encode())
    answer = assert_problem(response, 400)
    assert len(response.content) < 100_000
    assert 1 <= len(answer["errors"]) <= 100
    assert len(answer["detail"]) <= 1_100
