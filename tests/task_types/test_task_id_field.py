"""tasks_app/task_types/task_id_field.py: a task id in the params is found at any depth; `undoes` must name one."""

import uuid
from typing import Any

import pytest
from rest_framework import serializers

from tasks_app.domain.callers import ANONYMOUS, Caller
from tasks_app.errors import NamedTaskUnknown
from tasks_app.services import authorization, start_tasks
from tasks_app.services.start_tasks import NewTask
from tasks_app.task_types import TaskIdField, TaskType, get_task_type, list_task_types, register
from tasks_app.task_types.task_id_field import find_task_ids
from tasks_app.task_types.task_params import encode_params

ID = "0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10"


class Inner(serializers.Serializer[Any]):
    number = serializers.IntegerField(default=1)
    ofTask = TaskIdField(source="of_task", required=False)


class Outer(serializers.Serializer[Any]):
    taskId = TaskIdField(source="task", required=False, allow_null=True)
    plain = serializers.UUIDField(required=False)
    tasks = serializers.ListField(child=TaskIdField(), required=False)
    byName = serializers.DictField(child=TaskIdField(), required=False)
    deep = serializers.DictField(child=serializers.ListField(child=TaskIdField()), required=False)
    inner = Inner(required=False)
    inners = Inner(many=True, required=False)
    merged = Inner(source="*", required=False)
    far = TaskIdField(source="a.b", required=False)


@pytest.mark.parametrize(
    ("params", "paths"),
    [
        ({}, []),
        ({"plain": ID}, []),
        ({"taskId": None}, []),
        ({"taskId": ID}, ["taskId"]),
        ({"tasks": [ID, ID]}, ["tasks.0", "tasks.1"]),
        ({"byName": {"x": ID}}, ["byName.x"]),
        ({"deep": {"x": [], "y": [ID]}}, ["deep.y.0"]),
        ({"inner": {"ofTask": ID}}, ["inner.ofTask"]),
        ({"inners": [{}, {"ofTask": ID}]}, ["inners.1.ofTask"]),
        ({"merged": {"ofTask": ID}}, ["merged.ofTask"]),
        ({"far": ID}, ["far"]),
    ],
)
def test_ids_are_found_at_any_depth(params: dict[str, Any], paths: list[str]) -> None:
    serializer = Outer(data=params)
    serializer.is_valid(raise_exception=True)
    for form in (serializer.validated_data, encode_params(serializer.validated_data)):
        assert [(path, str(value)) for path, value in find_task_ids(Outer, form)] == [(path, ID) for path in paths]


class Node(serializers.Serializer[Any]):
    """Contains itself."""

    def get_fields(self) -> dict[str, Any]:
        return {"taskId": TaskIdField(required=False), "nodes": Node(many=True, required=False)}


def test_a_recursive_serializer_is_searched_to_the_end() -> None:
    params = {"nodes": [{}, {"nodes": [{"taskId": ID}]}]}
    assert list(find_task_ids(Node, params)) == [("nodes.1.nodes.0.taskId", ID)]


@pytest.mark.parametrize("value", ["x", 5, {"id": ID}, [ID], True, ""])
def test_a_value_that_is_not_an_id_is_an_unknown_task(db: None, value: Any) -> None:
    """No serializer validated it, because a program started the task."""
    [(path, _)] = find_task_ids(get_task_type("purge").params_serializer, {"taskId": value})
    assert path == "taskId"
    for caller in (ANONYMOUS, Caller(owner="ann", scope="write")):
        with pytest.raises(NamedTaskUnknown):
            start_tasks.start_task(task=NewTask("purge", {"taskId": value}), caller=caller)


def test_without_a_caller_no_task_can_be_named(db: None) -> None:
    own = start_tasks.start_task(task=NewTask("upload", {"numRecords": 1})).snapshot.id
    with pytest.raises(NamedTaskUnknown):
        start_tasks.start_task(task=NewTask("purge", {"taskId": own}))


def test_many_ids_cost_one_round_trip_and_few_queries(db: None, django_assert_num_queries: Any) -> None:
    ann = Caller(owner="ann", scope="write")
    purges = [("purge", {"taskId": str(uuid.uuid4())}) for _ in range(1500)]
    with django_assert_num_queries(2), pytest.raises(NamedTaskUnknown) as refused:
        authorization.check_starts(purges, caller=ann, where="tasks.{}.")
    assert len(refused.value.fields) == 1500


class PlainParams(serializers.Serializer[Any]):
    task = serializers.UUIDField()
    taskId = TaskIdField(source="other")
    tasks = serializers.ListField(child=TaskIdField())


@pytest.mark.parametrize("name", ["task", "taskId", "tasks", "missing"])
def test_undoes_must_name_a_task_id_parameter(name: str) -> None:
    known = list_task_types()
    with pytest.raises(ValueError, match=rf"task type Odd: undoes is '{name}'; accepted: .* TaskIdField"):
        register(type("Odd", (TaskType,), {"name": "odd", "params_serializer": PlainParams, "undoes": name}))
    assert list_task_types() == known
