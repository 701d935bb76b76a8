"""The parameter that names another task. Must not know whose task it is (services/authorization checks that)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rest_framework import serializers

from tasks_app.task_types.named_ids import find_ids


class TaskIdField(serializers.UUIDField):
    """The id of one of the caller's tasks. Another caller's task is refused at the start, like one that does not exist.

    The owner is not checked by validation, which does not know the caller, but by `services.start_tasks`, for every
    way to start a task. The field may be inside lists, dictionaries and nested serializers, under any `source`. A
    `validate` method must leave the value in its place: a value that was moved elsewhere is not checked.
    """


def find_task_ids(
    params_serializer: type[serializers.Serializer[Any]], params: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    """Yield the path and the value of every task id that params name: `taskId`, `tasks.0.id`."""
    return find_ids(params_serializer, params, kind=TaskIdField)
