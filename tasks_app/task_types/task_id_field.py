"""The parameter that names another task, and how to find all of them in a task's parameters.

Owns finding the named ids, at any depth. Must not know whose tasks they are (services/authorization checks that).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from rest_framework import serializers

_LEVELS: Final = 16  # nesting of objects and lists in a request's params; a serializer may contain itself


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
    for field in _fields_with_ids(params_serializer):
        yield from _find(field, params, "")


@cache
def _fields_with_ids(params_serializer: type[serializers.Serializer[Any]]) -> tuple[serializers.Field, ...]:
    return tuple(field for field in params_serializer().fields.values() if _has_ids(field))


def _has_ids(field: serializers.Field | None, levels: int = _LEVELS) -> bool:
    if isinstance(field, serializers.Serializer):
        return levels > 0 and any(_has_ids(inner, levels - 1) for inner in field.fields.values())
    if isinstance(field, (serializers.ListSerializer, serializers.ListField, serializers.DictField)):
        return levels > 0 and _has_ids(field.child, levels - 1)
    return isinstance(field, TaskIdField)


def _find(field: serializers.Field, parent: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the ids of a field whose value is in `parent`, under the field's source."""
    value = parent
    for name in field.source_attrs:  # none of source="*"
        if not isinstance(value, Mapping) or name not in value:
            return
        value = value[name]
    yield from _find_in_value(field, value, f"{path}.{field.field_name}" if path else str(field.field_name))


def _find_in_value(field: serializers.Field | None, value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if value is None:
        return
    if isinstance(field, TaskIdField):
        yield path, value
    elif isinstance(field, serializers.Serializer):
        for inner in field.fields.values():
            yield from _find(inner, value, path)
    elif isinstance(field, (serializers.ListSerializer, serializers.ListField)):
        for index, item in enumerate(value if isinstance(value, (list, tuple)) else [value]):
            yield from _find_in_value(field.child, item, f"{path}.{index}")
    elif isinstance(field, serializers.DictField):
        for name, item in value.items() if isinstance(value, Mapping) else [("", value)]:
            yield from _find_in_value(field.child, item, f"{path}.{name}")
