"""Parameters and totals of every kind: encoded the same way everywhere, and refused without a 500."""

import json
import uuid
from collections.abc import Generator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from tasks_app.admin.start_form import StartForm
from tasks_app.models import QueueState
from tasks_app.queues import job_snapshots
from tasks_app.task_types import Chunk, ChunkResult, TaskType, register, unregister
from tasks_app.task_types.task_params import PARAMS_BYTES, encode_params
from tests.api.conftest import Post, assert_problem, wrong_fields

ID = "0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10"


class Inner(serializers.Serializer[Any]):
    price = serializers.DecimalField(max_digits=9, decimal_places=2)
    days = serializers.ListField(child=serializers.DateField(), default=list)


class EveryParam(serializers.Serializer[Any]):
    decimal = serializers.DecimalField(max_digits=9, decimal_places=2, required=False)
    at = serializers.DateTimeField(required=False)
    day = serializers.DateField(required=False)
    hour = serializers.TimeField(required=False)
    pause = serializers.DurationField(required=False)
    key = serializers.UUIDField(required=False)
    colors = serializers.MultipleChoiceField(choices=["red", "green", "blue"], required=False)
    queue = serializers.PrimaryKeyRelatedField(queryset=QueueState.objects.all(), required=False)
    queues = serializers.PrimaryKeyRelatedField(queryset=QueueState.objects.all(), many=True, required=False)
    inner = Inner(required=False)
    number = serializers.IntegerField(required=False)
    real = serializers.FloatField(required=False)
    anything = serializers.JSONField(required=False)
    upload = serializers.FileField(required=False)
    raw = serializers.JSONField(binary=True, required=False)


class Unstorable(serializers.Serializer[Any]):
    """Its value has a class that JSON cannot represent."""

    thing = serializers.CharField()

    def validate_thing(self, value: str) -> object:
        return {"object": object(), "bytes": b"x", "nan": Decimal("NaN"), "surrogate": "caf\udce9"}[value]


SEEN: list[Mapping[str, Any]] = []


class Every(TaskType):
    name = "every_param"
    params_serializer = EveryParam

    def total(self, params: Mapping[str, Any]) -> int | None:
        SEEN.append(params)
        return 1

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        return ChunkResult(1, {})


class Refusing(Every):
    name = "unstorable_param"
    params_serializer = Unstorable


class TotalParams(serializers.Serializer[Any]):
    which = serializers.CharField()


class Unshowable:
    def __repr__(self) -> str:
        raise SystemExit


TOTALS: dict[str, Any] = {
    "huge": 2**70, "negative": -1, "nan": float("nan"), "text": "5", "real": 5.0, "true": True, "odd": Unshowable(),
}  # fmt: skip
RAISED: dict[str, BaseException] = {
    "zero": ZeroDivisionError(),
    "exit": SystemExit(0),
    "interrupt": KeyboardInterrupt(),
}


class OddTotal(Every):
    name = "odd_total"
    params_serializer = TotalParams
    count_names = ("rows",)
    shareable = True

    def total(self, params: Mapping[str, Any]) -> int | None:
        if params["which"] in RAISED:
            raise RAISED[params["which"]]
        return TOTALS[params["which"]]  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def task_types() -> Generator[None, None, None]:
    known = (Every, Refusing, OddTotal)
    for each in known:
        register(each)
    SEEN.clear()
    yield
    for each in known:
        unregister(each.name)


KINDS: dict[str, tuple[Any, Any]] = {
    "decimal": ("1.50", "1.50"),
    "at": ("2026-11-25T15:25:28+02:00", "2026-11-25T13:25:28Z"),
    "day": ("2026-11-25", "2026-11-25"),
    "hour": ("15:25:28", "15:25:28"),
    "pause": ("1 02:00:00", "1 02:00:00"),
    "key": (ID.upper(), ID),
    "colors": (["red", "blue", "red"], ["red", "blue"]),
    "queue": ("low", "low"),
    "queues": (["low", "high"], ["low", "high"]),
    "inner": ({"price": 1.5, "days": ["2026-11-25"]}, {"price": "1.50", "days": ["2026-11-25"]}),
    "number": (5, 5),
    "real": (1.5, 1.5),
    "anything": ({"a": [1, "é 🎉", None]}, {"a": [1, "é 🎉", None]}),
}


@pytest.fixture
def queues(db: None) -> None:
    for name in ("low", "high"):
        QueueState.objects.get_or_create(name=name)


@pytest.mark.parametrize("kind", KINDS)
def test_total_answer_and_worker_get_the_same_plain_values(post: Post, queues: None, kind: str) -> None:
    sent, plain = KINDS[kind]
    response = post("/tasks", {"name": "every_param", "params": {kind: sent}})
    assert response.status_code == 201, response.content
    body = response.json()
    assert body["params"] == {kind: plain}
    assert [{kind: plain}] == SEEN
    snapshot = job_snapshots.get_snapshot(body["id"])
    assert snapshot is not None
    assert snapshot.params == {kind: plain}


def test_bulk_and_command_line_encode_parameters_too(post: Post, queues: None) -> None:
    params = {kind: sent for kind, (sent, _) in KINDS.items()}
    plain = {kind: value for kind, (_, value) in KINDS.items()}
    bulk = post("/tasks/bulk", {"tasks": [{"name": "every_param", "params": params}] * 2})
    assert [task["params"] for task in bulk.json()["tasks"]] == [plain, plain]

    said = StringIO()
    call_command("task", "start", "every_param", "--params", json.dumps(params), "--json", stdout=said)
    assert json.loads(said.getvalue())["params"] == plain


def test_the_admins_form_encodes_parameters_too(queues: None) -> None:
    form = StartForm(
        Every(),
        {
            "priority": "low", "params-decimal": "1.50", "params-colors": ["red", "blue"], "params-key": ID,
            "params-at": "2026-11-25T15:25:28+02:00", "params-pause": "1 02:00:00", "params-queue": '"low"',
        },
    )  # fmt: skip
    assert form.is_valid(), form.errors
    params = form.to_task(owner="").params
    assert params == {kind: KINDS[kind][1] for kind in ("decimal", "at", "pause", "key", "colors", "queue")}


def test_the_admins_form_names_a_parameter_that_cannot_be_stored() -> None:
    form = StartForm(Refusing(), {"priority": "low", "params-thing": "object"})
    assert not form.is_valid()
    assert "cannot be stored" in str(form.errors["params-thing"])


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"number": 2**70}, "params.number"),
        ({"number": -(2**70)}, "params.number"),
        ({"inner": {"price": "x"}}, "params.inner.price"),
        ({"upload": "x"}, "params.upload"),
        ({"queue": "nobody"}, "params.queue"),
    ],
)
def test_a_parameter_that_cannot_be_stored_is_refused_by_name(
    post: Post, queues: None, params: Any, field: str
) -> None:
    problem = assert_problem(post("/tasks", {"name": "every_param", "params": params}), 400)
    assert wrong_fields(problem) == {field}


@pytest.mark.parametrize("thing", ["object", "bytes", "nan", "surrogate"])
def test_a_value_of_a_foreign_class_is_refused_by_name(post: Post, thing: str) -> None:
    body = {"name": "unstorable_param", "params": {"thing": thing}}
    assert wrong_fields(assert_problem(post("/tasks", body), 400)) == {"params.thing"}
    assert wrong_fields(assert_problem(post("/tasks/bulk", {"tasks": [body]}), 400)) == {"tasks.0.params.thing"}
    with pytest.raises(CommandError, match=r"params\.thing: The value cannot be stored"):
        call_command("task", "start", "unstorable_param", "--params", json.dumps(body["params"]))


@pytest.mark.parametrize("which", [*TOTALS, *RAISED])
def test_an_invalid_total_is_not_a_client_error(post: Post, which: str) -> None:
    response = post("/tasks", {"name": "odd_total", "params": {"which": which}})
    assert response.status_code == 201, response.content
    assert response.json()["progress"] == {"done": 0, "total": None, "isEstimate": False}
    snapshot = job_snapshots.get_snapshot(response.json()["id"])
    assert snapshot is not None
    assert (snapshot.total, snapshot.weight) == (None, 0)
    assert post("/tasks/bulk", {"tasks": [{"name": "odd_total", "params": {"which": which}}]}).status_code == 201


class Color(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Decimal("1E+3"), "1000"),
        (Decimal("1E+999999"), "1E+999999"),
        (datetime(2024, 1, 1, 1, 2, 3, 4, tzinfo=UTC), "2024-01-01T01:02:03.000004Z"),
        (datetime(2024, 1, 1), "2024-01-01T00:00:00"),
        (date(2024, 1, 1), "2024-01-01"),
        (time(1, 2), "01:02:00"),
        (timedelta(days=1, seconds=1), "1 00:00:01"),
        (uuid.UUID(ID), ID),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"a", 1}), ["a", 1]),
        ((1, (2,)), [1, [2]]),
        (Color.RED, "red"),
        (QueueState, None),
        (Path("/tmp/x"), "/tmp/x"),
        (True, True),
        (None, None),
        ("é", "é"),
        (2**64 - 1, 2**64 - 1),
    ],
)
def test_values_have_one_plain_form(value: Any, plain: Any) -> None:
    if plain is None and value is not None:
        with pytest.raises(ValidationError, match="cannot be stored"):
            encode_params({"x": value})
        return
    encoded = encode_params({"x": value})
    assert encoded == {"x": plain}
    assert json.loads(json.dumps(encoded)) == encoded


def test_the_size_of_params_is_limited() -> None:
    with pytest.raises(ValidationError, match="bytes of JSON"):
        encode_params({"x": "y" * PARAMS_BYTES})
    with pytest.raises(ValidationError, match="bytes of JSON"):
        encode_params({f"x{n}": "y" * 40_000 for n in range(4)})
    with pytest.raises(ValidationError, match="at most 30 levels"):
        encode_params({"x": deep(100)})
