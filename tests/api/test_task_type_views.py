"""GET /task-types: the task types, and their parameters as a JSON Schema that agrees with what a start accepts."""

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from django.test import Client
from rest_framework import serializers

from tasks_app.task_types import TaskType, register, unregister
from tests.api.conftest import Post, assert_problem, wrong_fields

NAME = "every field"


class Inner(serializers.Serializer[Any]):
    count = serializers.IntegerField(allow_null=True, required=False)


class EveryParams(serializers.Serializer[Any]):
    flag = serializers.BooleanField(default=True, help_text="Whether.")
    ratio = serializers.FloatField(min_value=0, max_value=1.5, required=False)
    price = serializers.DecimalField(max_digits=5, decimal_places=2, required=False)
    colour = serializers.ChoiceField(choices=[("r", "Red"), ("b", "Blue")], label="Which colour")
    tags = serializers.MultipleChoiceField(choices=["a", "b"], required=False)
    day = serializers.DateField(required=False)
    at = serializers.DateTimeField(required=False)
    title = serializers.CharField(max_length=10, required=False)
    note = serializers.CharField(allow_blank=True, required=False)
    numbers = serializers.ListField(child=serializers.IntegerField(min_value=1), required=False)
    inner = Inner(required=False)
    inners = Inner(many=True, required=False)
    free = serializers.JSONField(required=False)
    made = serializers.CharField(default=lambda: "by a function")
    shown = serializers.CharField(read_only=True)


@pytest.fixture
def every_field() -> Iterator[None]:
    @register
    class EveryField(TaskType):
        name = NAME
        description = "A type with fields of all kinds."
        params_serializer = EveryParams

    yield
    unregister(NAME)


def get_types(client: Client) -> dict[str, Any]:
    answer = client.get("/task-types")
    assert answer.status_code == 200
    return {each["name"]: each for each in answer.json()["taskTypes"]}


def test_the_catalogs_types_are_listed_with_their_parameters(client: Client) -> None:
    found = get_types(client)
    assert found["upload"] == {
        "name": "upload",
        "description": "Inserts users, products and order items.",
        "queue": "low",
        "counts": ["users", "products", "order_items"],
        "insertedRecords": ["users", "products", "order_items"],
        "supportsDryRun": False,
        "params": {
            "type": "object",
            "properties": {"numRecords": {"type": "integer", "minimum": 1, "maximum": 10_000_000, "default": 100}},
            "required": [],
            "additionalProperties": False,
        },
    }
    assert found["purge"]["params"]["properties"] == {"taskId": {"type": "string", "format": "uuid"}}
    assert found["purge"]["params"]["required"] == ["taskId"]


@pytest.mark.usefixtures("every_field")
def test_each_kind_of_field_is_described(client: Client) -> None:
    params = get_types(client)[NAME]["params"]
    jsonschema.Draft202012Validator.check_schema(params)
    assert params["required"] == ["colour"]
    integer = {"type": ["integer", "null"]}
    inner = {"type": "object", "properties": {"count": integer}, "required": [], "additionalProperties": False}
    assert params["properties"] == {
        "flag": {"type": "boolean", "description": "Whether.", "default": True},
        "ratio": {"type": "number", "minimum": 0, "maximum": 1.5},
        "price": {"type": ["number", "string"]},
        "colour": {
            "oneOf": [{"const": "r", "title": "Red"}, {"const": "b", "title": "Blue"}],
            "title": "Which colour",
        },
        "tags": {
            "type": "array",
            "items": {"oneOf": [{"const": "a", "title": "a"}, {"const": "b", "title": "b"}]},
            "uniqueItems": True,
        },
        "day": {"type": "string", "format": "date"},
        "at": {"type": "string", "format": "date-time"},
        "title": {"type": "string", "minLength": 1, "maxLength": 10},
        "note": {"type": "string"},
        "numbers": {"type": "array", "items": {"type": "integer", "minimum": 1}},
        "inner": inner,
        "inners": {"type": "array", "items": inner},
        "free": {},
        "made": {"type": "string", "minLength": 1},
    }


@pytest.mark.usefixtures("every_field")
@pytest.mark.parametrize(
    ("params", "good"),
    [
        ({"colour": "r"}, True), ({}, False), ({"colour": "x"}, False), ({"colour": "r", "ratio": 2}, False),
        ({"colour": "r", "flag": "yes"}, False), ({"colour": "r", "title": ""}, False), ({"colour": "r", "note": ""}, True),
        ({"colour": "r", "numbers": [0]}, False), ({"colour": "r", "inner": {"count": None}}, True),
        ({"colour": "r", "tags": ["a", "c"]}, False), ({"colour": "r", "shown": "x"}, False),
        ({"colour": "r", "free": [1]}, True),
    ],
)  # fmt: skip
def test_the_schema_accepts_what_a_start_accepts(client: Client, post: Post, params: Any, good: bool) -> None:
    schema = get_types(client)[NAME]["params"]
    assert jsonschema.Draft202012Validator(schema).is_valid(params) is good
    assert (post("/tasks", {"name": NAME, "params": params}).status_code == 201) is good


def test_an_unchanged_list_is_304(client: Client) -> None:
    first = client.get("/task-types")
    assert first["Cache-Control"] == "no-cache"
    assert client.get("/task-types", headers={"If-None-Match": first["ETag"]}).status_code == 304
    assert client.get("/task-types", headers={"If-None-Match": '"other"'}).status_code == 200


def test_an_unknown_query_parameter_is_refused(client: Client) -> None:
    assert wrong_fields(assert_problem(client.get("/task-types?x=1"), 400)) == {"x"}


def test_a_description_that_is_not_text_is_refused() -> None:
    with pytest.raises(ValueError, match="description is 5"):

        @register
        class Wrong(TaskType):
            name = "wrong"
            description = 5  # type: ignore[assignment]
            params_serializer = EveryParams
