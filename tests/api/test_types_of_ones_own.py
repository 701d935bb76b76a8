"""Back-fills, clean-ups, imports and exports of one's own: the list of types, OpenAPI and the form come from them."""

import datetime
import enum
import re
import uuid
from collections.abc import Generator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

import jsonschema
import pytest
from django.test import Client
from rest_framework import serializers

from catalog.models import OrderItem, User
from tasks_app.admin.start_form import PREFIX, StartForm
from tasks_app.api import docs_views
from tasks_app.api.openapi.drf_spectacular_extensions import name_components
from tasks_app.task_types import TaskType, get_task_type, register, unregister
from tasks_app.task_types.collections import Backfill, Cleanup, Run
from tasks_app.task_types.exports import Export
from tasks_app.task_types.imports import Import, ImportParams
from tests.api.conftest import Post


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


@dataclass
class EveryType:
    country: str
    colour: Colour = Colour.RED
    size: Literal[1, 2] = 1
    word: Literal["a", "b"] = "a"
    maybe: Literal["a", "b"] | None = None
    cost: Decimal | None = None
    limit: int = field(default=100, metadata={"min_value": 1, "help_text": "Rows to change."})
    ratio: float = 0.5
    flag: bool = True
    price: Decimal = Decimal("1.50")
    day: datetime.date = datetime.date(2020, 1, 1)
    moment: datetime.datetime | None = None
    hour: datetime.time = datetime.time(12, 30)
    span: datetime.timedelta = datetime.timedelta(hours=1)
    key: uuid.UUID | None = None
    tags: list[str] = field(default_factory=list)


class OwnBackfill(Backfill):
    """Changes users."""

    params_class = EveryType

    def collection(self, params: EveryType) -> Any:
        return User.objects.all()

    def process(self, rows: list[Any], run: Run) -> None:
        """Change nothing."""


class OwnCleanup(Cleanup):
    """Deletes order items."""

    name = "own clean-up, with a comma"

    def collection(self, params: Any) -> Any:
        return OrderItem.objects.none()


class OwnImportParams(ImportParams):
    country = serializers.ChoiceField(choices=["de", "es"])


class OwnImport(Import):
    name = "own_import"
    params_serializer = OwnImportParams
    model = User
    fields = ("first_name",)


class OwnExport(Export):
    name = "own_export"

    def collection(self, params: Any) -> Any:
        return User.objects.all()


TYPES: list[type[TaskType]] = [OwnBackfill, OwnCleanup, OwnImport, OwnExport]
EVERY_VALUE = {
    "country": "de", "colour": "b", "size": 2, "word": "b", "maybe": "a", "cost": "0.10", "limit": 5, "ratio": 1.5,
    "flag": False, "price": "2.50",
    "day": "2021-02-03", "moment": "2021-02-03T04:05:06Z", "hour": "08:00:00", "span": "02:00:00",
    "key": "0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a11", "tags": ["x", "y"],
}  # fmt: skip


@pytest.fixture(autouse=True)
def _registered() -> Generator[None, None, None]:
    for each in TYPES:
        register(each)
    yield
    for each in TYPES:
        unregister(each.name)


def schema_of(client: Client, name: str) -> Any:
    [found] = [each for each in client.get("/task-types").json()["taskTypes"] if each["name"] == name]
    jsonschema.Draft202012Validator.check_schema(found["params"])
    return found["params"]


def test_each_type_is_listed_with_its_parameters(client: Client) -> None:
    assert schema_of(client, "own clean-up, with a comma")["properties"] == {}
    assert schema_of(client, "own_export")["properties"] == {}
    own_import = schema_of(client, "own_import")
    assert set(own_import["properties"]) == {"file", "format", "encoding", "delimiter", "country"}
    assert own_import["required"] == ["file", "country"]
    every = schema_of(client, "own_backfill")
    assert every["required"] == ["country"]
    assert every["properties"]["limit"] == {
        "type": "integer", "minimum": 1, "default": 100, "description": "Rows to change.",
    }  # fmt: skip
    assert {name: each["default"] for name, each in every["properties"].items() if "default" in each} == {
        "colour": "r", "size": 1, "word": "a", "maybe": None, "cost": None, "limit": 100, "ratio": 0.5,
        "flag": True, "price": "1.50",
        "day": "2020-01-01", "moment": None, "hour": "12:30:00", "span": "01:00:00", "key": None,
    }  # fmt: skip


@pytest.mark.parametrize("name", EVERY_VALUE)
def test_the_schema_accepts_what_a_start_accepts(client: Client, post: Post, name: str) -> None:
    schema = jsonschema.Draft202012Validator(schema_of(client, "own_backfill"))
    for value in (EVERY_VALUE[name], None, True, 7, "seven", [], {}, 1.25):
        params = {"country": "de", name: value}
        accepted = post("/tasks", {"name": "own_backfill", "params": params}).status_code == 201
        if accepted:
            assert schema.is_valid(params), params
        elif schema.is_valid(params):
            # JSON Schema's formats are not checked here, and a text may be too odd for its kind.
            assert isinstance(value, str), params
    assert schema.is_valid({"country": "de", name: EVERY_VALUE[name]})


def test_all_values_at_once_are_stored_as_they_were_sent(post: Post) -> None:
    answer = post("/tasks", {"name": "own_backfill", "params": EVERY_VALUE})
    assert answer.status_code == 201, answer.content
    assert answer.json()["params"] == EVERY_VALUE


def test_openapi_has_one_schema_for_each_type(client: Client) -> None:
    docs_views._generate_schema.cache_clear()
    schemas = client.get("/schema").json()["components"]["schemas"]
    docs_views._generate_schema.cache_clear()
    kinds = {each["title"]: each["properties"]["params"]["$ref"] for each in schemas["NewTask"]["oneOf"]}
    assert len(set(kinds.values())) == len(kinds)
    for each in TYPES:
        component = kinds[each.name].rpartition("/")[2]
        assert re.fullmatch(r"[A-Za-z0-9._-]+", component)
        assert set(schemas[component].get("properties", {})) == set(schema_of(client, each.name)["properties"])


def test_components_of_similar_names_differ() -> None:
    assert name_components(["a b", "a,b", "A_B", "a_b_2", "ab"]) == [
        "A_BParams", "A_B_2Params", "A_B_3Params", "A_B_2_2Params", "AbParams",
    ]  # fmt: skip


def test_the_form_has_a_field_for_each_parameter() -> None:
    form = StartForm(get_task_type("own_backfill"))
    assert [name for name in form.fields if name.startswith(PREFIX)] == [f"{PREFIX}{name}" for name in EVERY_VALUE]
    assert [name for name in StartForm(get_task_type("own_import")).fields if name.startswith(PREFIX)] == [
        f"{PREFIX}{name}" for name in ("file", "format", "encoding", "delimiter", "country")
    ]


def test_the_form_gives_the_same_params_as_the_api() -> None:
    texts = {**EVERY_VALUE, "tags": '["x", "y"]'}
    texts.pop("flag")  # not ticked
    form = StartForm(get_task_type("own_backfill"), {"priority": "low"} | {PREFIX + k: v for k, v in texts.items()})
    assert form.is_valid(), form.errors
    assert form.cleaned_data["params"] == EVERY_VALUE


def test_the_form_as_it_is_shown_starts_a_task_with_the_defaults() -> None:
    shown = StartForm(get_task_type("own_backfill"))
    data = {name: shown.get_initial_for_field(field, name) for name, field in shown.fields.items()}
    data = {name: shown[name].value() for name in data}
    form = StartForm(get_task_type("own_backfill"), {**data, f"{PREFIX}country": "de", f"{PREFIX}tags": "[]"})
    assert form.is_valid(), form.errors
    assert form.cleaned_data["params"]["size"] == 1
    assert form.cleaned_data["params"]["hour"] == "12:30:00"
