"""A parameter of every field class of DRF has one form: in total, prepare_chunks, run_chunk, every answer and the admin."""

import inspect
import json
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from rest_framework import serializers

from tasks_app.admin.start_form import StartForm
from tasks_app.models import QueueState, TaskFailure
from tasks_app.task_types import Chunk, ChunkResult, TaskIdField, TaskType, register, unregister
from tests.support.engine import Worker, job, record

HERE = str(Path(__file__).parent)
ID = "0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10"
_queues = QueueState.objects.all


class Nested(serializers.Serializer[Any]):
    price = serializers.DecimalField(max_digits=9, decimal_places=2)
    day = serializers.DateField()


# Of each class: its field, what a client sends, and the one form in which the parameter is seen.
FIELDS: dict[type, tuple[Any, Any, Any]] = {
    serializers.BooleanField: (serializers.BooleanField(), True, True),
    serializers.CharField: (serializers.CharField(), "é \N{GRINNING FACE}", "é \N{GRINNING FACE}"),
    serializers.EmailField: (serializers.EmailField(), "a@b.example", "a@b.example"),
    serializers.RegexField: (serializers.RegexField("^a"), "ab", "ab"),
    serializers.SlugField: (serializers.SlugField(), "a-b", "a-b"),
    serializers.URLField: (serializers.URLField(), "https://a.example/", "https://a.example/"),
    serializers.UUIDField: (serializers.UUIDField(), ID.upper(), ID),
    TaskIdField: (serializers.UUIDField(), ID.replace("-", ""), ID),
    serializers.IPAddressField: (serializers.IPAddressField(), "::1", "::1"),
    serializers.IntegerField: (serializers.IntegerField(), -5, -5),
    serializers.BigIntegerField: (serializers.BigIntegerField(), 2**53 + 1, 2**53 + 1),
    serializers.FloatField: (serializers.FloatField(), 1.5, 1.5),
    serializers.DecimalField: (serializers.DecimalField(max_digits=9, decimal_places=2), "1.5", "1.50"),
    serializers.DateTimeField: (serializers.DateTimeField(), "2026-11-25T15:25:28+02:00", "2026-11-25T13:25:28Z"),
    serializers.DateField: (serializers.DateField(), "2026-11-25", "2026-11-25"),
    serializers.TimeField: (serializers.TimeField(), "15:25", "15:25:00"),
    serializers.DurationField: (serializers.DurationField(), "26:00:00", "1 02:00:00"),
    serializers.ChoiceField: (serializers.ChoiceField(choices=["red", "blue"]), "red", "red"),
    serializers.MultipleChoiceField: (
        serializers.MultipleChoiceField(choices=["red", "green", "blue"]),
        ["red", "blue", "red"],
        ["red", "blue"],
    ),
    serializers.FilePathField: (serializers.FilePathField(HERE), __file__, __file__),
    serializers.ListField: (serializers.ListField(child=serializers.DateField()), ["2026-11-25"], ["2026-11-25"]),
    serializers.DictField: (
        serializers.DictField(child=serializers.DecimalField(max_digits=9, decimal_places=2)),
        {"a": "1"},
        {"a": "1.00"},
    ),
    serializers.HStoreField: (serializers.HStoreField(), {"a": "1"}, {"a": "1"}),
    serializers.JSONField: (serializers.JSONField(), {"a": [1, None]}, {"a": [1, None]}),
    serializers.ModelField: (
        serializers.ModelField(model_field=TaskFailure._meta.get_field("position")),
        7,
        7,
    ),
    serializers.PrimaryKeyRelatedField: (serializers.PrimaryKeyRelatedField(queryset=_queues()), "low", "low"),
    serializers.SlugRelatedField: (serializers.SlugRelatedField("name", queryset=_queues()), "low", "low"),
    serializers.ManyRelatedField: (
        serializers.PrimaryKeyRelatedField(queryset=_queues(), many=True),
        ["low", "high"],
        ["low", "high"],
    ),
    serializers.Serializer: (
        Nested(),
        {"price": 1.5, "day": "2026-11-25"},
        {"price": "1.50", "day": "2026-11-25"},
    ),
    serializers.ListSerializer: (
        Nested(many=True),
        [{"price": "2", "day": "2026-11-25"}],
        [{"price": "2.00", "day": "2026-11-25"}],
    ),
}
# Classes without a value of a client's, and files, which no JSON carries.
WITHOUT = {
    "Field", "RelatedField", "BaseSerializer", "ModelSerializer", "HyperlinkedModelSerializer", "HiddenField",
    "ReadOnlyField", "SerializerMethodField", "StringRelatedField", "HyperlinkedIdentityField", "FileField", "ImageField",
    "HyperlinkedRelatedField",
}  # fmt: skip
NAMES = {kind: f"p{number}" for number, kind in enumerate(FIELDS)}
SENT = {NAMES[kind]: sent for kind, (_, sent, _) in FIELDS.items()}
PLAIN = {NAMES[kind]: plain for kind, (_, _, plain) in FIELDS.items()}
EveryField = type(
    "EveryField", (serializers.Serializer,), {NAMES[kind]: field for kind, (field, _, _) in FIELDS.items()}
)
SEEN: dict[str, Any] = {}


class EveryFieldTask(TaskType):
    name = "every_field"
    params_serializer = EveryField

    def total(self, params: Mapping[str, Any]) -> int | None:
        SEEN["total"] = dict(params)
        return 2

    def prepare_chunks(self, chunks: Any) -> Any:
        SEEN["prepare_chunks"] = dict(chunks[0].params)

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        SEEN["run_chunk"] = dict(chunk.params)
        SEEN["state"] = dict(chunk.state)
        return ChunkResult(1, {}, dict(chunk.params))  # the state of a chunk may hold whatever params hold


@pytest.fixture(autouse=True)
def _task_type(transactional_db: None) -> Generator[None, None, None]:
    for name in ("low", "high"):
        QueueState.objects.get_or_create(name=name)
    SEEN.clear()
    register(EveryFieldTask)
    EveryFieldTask.max_limit = 1
    yield
    unregister("every_field")


def test_every_field_class_of_drf_is_here() -> None:
    classes = {
        name
        for name, kind in vars(serializers).items()
        if inspect.isclass(kind) and issubclass(kind, serializers.Field)
    }
    assert classes - {kind.__name__ for kind in FIELDS} == WITHOUT & classes


def test_each_is_seen_in_one_form_from_the_request_to_the_last_chunk(client: Client) -> None:
    answer = client.post("/tasks", {"name": "every_field", "params": SENT}, content_type="application/json")
    assert answer.status_code == 201, answer.content
    task_id = answer.json()["id"]
    Worker().run()

    assert record(task_id).status == "finished", record(task_id).error
    forms = {
        "POST": answer.json()["params"],
        "GET": client.get(f"/tasks/{task_id}").json()["params"],
        "job": job(task_id).params,
        "row": record(task_id).params,
        **SEEN,
    }
    for where, params in forms.items():
        assert params == PLAIN, where
        assert json.dumps(params, sort_keys=True) == json.dumps(PLAIN, sort_keys=True), where  # 1 is not 1.0


def test_the_admins_form_gives_the_same() -> None:
    texts = {
        name: value if isinstance(value, (str, list)) and not _is_json(name) else json.dumps(value)
        for name, value in SENT.items()
    }
    form = StartForm(EveryFieldTask(), {"priority": "low", **{f"params-{name}": text for name, text in texts.items()}})
    assert form.is_valid(), form.errors
    assert form.to_task(owner="").params == PLAIN


def test_a_similar_task_starts_with_them(client: Client, admin_client: Client) -> None:
    answer = client.post("/tasks", {"name": "every_field", "params": SENT}, content_type="application/json")
    shown = admin_client.get(f"/admin/tasks_app/taskrecord/start/?type=every_field&from={answer.json()['id']}")
    form = shown.context["form"]
    data = {"priority": "low"}
    for name, field in form.fields.items():
        value = form.initial.get(name, field.initial)
        if name.startswith("params-"):
            data[name] = field.prepare_value(value) if hasattr(field, "prepare_value") else value
    again = StartForm(EveryFieldTask(), data)
    assert again.is_valid(), again.errors
    assert again.to_task(owner="").params == PLAIN


def _is_json(name: str) -> bool:
    """Whether the form takes a parameter as JSON."""
    return type(StartForm(EveryFieldTask()).fields[f"params-{name}"]).__name__ == "JSONField"
