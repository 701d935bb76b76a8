"""The declaration of a task type is validated when it is registered."""

from typing import Any

import pytest
from rest_framework import serializers

from tasks_app.checkpoints.as_snapshot import with_checkpoint
from tasks_app.models import TaskCheckpoint
from tasks_app.task_types import TaskType, get_task_type, list_task_types, register, unregister
from tests.support.engine import job, start


class Params(serializers.Serializer[Any]):
    task = serializers.CharField()


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        *(("name", value) for value in ("", "a" * 65, "a|b", "a\n", "a\0", "\udce9", None, 5, b"x")),
        *(("params_serializer", value) for value in (None, Params(), dict, serializers.CharField)),
        *(("count_names", value) for value in ("rows", ["rows"], ("",), ("a b",), ("a" * 65,), ("a|b",), (5,), ("a", "a"))),
        ("count_names", tuple(f"n{number}" for number in range(33))),
        *(("max_limit", value) for value in (0, -1, 1.5, True, None)),
        ("first_limit", 0),
        ("shareable", "yes"),
        ("splittable", 1),
        ("undoes", None),
        ("isolates_failures", "yes"),
        *(("attempts", value) for value in (0, -1, 1.0, True, 1001, "5")),
        *(("retry_first_seconds", value) for value in (-1, True, float("nan"), float("inf"), "5")),
        ("retry_max_seconds", -0.1),
    ],
)  # fmt: skip
def test_an_invalid_declaration_is_refused_with_its_cause(attribute: str, value: Any) -> None:
    fine = {"name": "declared", "params_serializer": Params}
    known = list_task_types()
    with pytest.raises(ValueError, match=rf"task type Odd: {attribute} is .*; accepted: "):
        register(type("Odd", (TaskType,), fine | {attribute: value}))
    assert list_task_types() == known


def test_all_faults_of_a_declaration_are_reported_at_once() -> None:
    with pytest.raises(ValueError, match=r"name is None.*params_serializer is None.*max_limit is 0"):
        register(type("Odd", (TaskType,), {"max_limit": 0}))


def test_a_type_that_isolates_failures_must_be_able_to_skip_a_record() -> None:
    fine = {"name": "declared", "params_serializer": Params, "isolates_failures": True}
    with pytest.raises(ValueError, match="does not implement skip_record"):
        register(type("Odd", (TaskType,), fine))


def test_a_valid_declaration_is_registered() -> None:
    register(type("Fine", (TaskType,), {"name": "é" * 64, "params_serializer": Params, "count_names": ("a.b-c_1",)}))
    try:
        assert get_task_type("é" * 64).count_names == ("a.b-c_1",)
    finally:
        unregister("é" * 64)


def test_uncounted_names_stay_zero_and_the_end_sets_the_total() -> None:
    snapshot = job(start("unknown_total"))
    failed = with_checkpoint(snapshot, TaskCheckpoint(counts={}, outcome="failed"))
    assert (failed.counts, failed.total) == ({"users": 0}, None)
    finished = with_checkpoint(snapshot, TaskCheckpoint(done=3, counts={"other": 1}, outcome="finished"))
    assert (finished.counts, finished.done, finished.total) == ({"users": 0, "other": 1}, 3, 3)
