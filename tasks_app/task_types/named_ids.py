"""Finds the ids of one kind (tasks, files) that a task's parameters name, at any depth.

Owns the walk through a serializer's fields. Must not know whose they are (services/authorization checks that).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from rest_framework import serializers

_LEVELS: Final = 16  # nesting of objects and lists in a request's params; a serializer may contain itself
FieldClass = type[serializers.Field[Any, Any, Any, Any]]


def find_ids(
    params_serializer: type[serializers.Serializer[Any]], params: Mapping[str, Any], *, kind: FieldClass
) -> Iterator[tuple[str, Any]]:
    """Yield the path and the value of every id in params whose field is of a kind: `taskId`, `tasks.0.id`."""
    for field in _fields_with_ids(params_serializer, kind):  # type: ignore[arg-type]
        yield from _find(field, params, "", kind)


def has_ids(params_serializer: type[serializers.Serializer[Any]], *, kind: FieldClass) -> bool:
    """Return whether params of this serializer may name ids of a kind."""
    return bool(_fields_with_ids(params_serializer, kind))  # type: ignore[arg-type]


@cache
def _fields_with_ids(
    params_serializer: type[serializers.Serializer[Any]], kind: FieldClass
) -> tuple[serializers.Field, ...]:
    return tuple(field for field in params_serializer().fields.values() if _has_ids(field, kind))


def _has_ids(field: serializers.Field | None, kind: FieldClass, levels: int = _LEVELS) -> bool:
    if isinstance(field, serializers.Serializer):
        return levels > 0 and any(_has_ids(inner, kind, levels - 1) for inner in field.fields.values())
    if isinstance(field, (serializers.ListSerializer, serializers.ListField, serializers.DictField)):
        return levels > 0 and _has_ids(field.child, kind, levels - 1)
    return isinstance(field, kind)


def _find(field: serializers.Field, parent: Any, path: str, kind: FieldClass) -> Iterator[tuple[str, Any]]:
    """Yield the ids of a field whose value is in `parent`, under the field's source."""
    value = parent
    for name in field.source_attrs:  # none of source="*"
        if not isinstance(value, Mapping) or name not in value:
            return
        value = value[name]
    yield from _find_in_value(field, value, f"{path}.{field.field_name}" if path else str(field.field_name), kind)


def _find_in_value(
    field: serializers.Field | None, value: Any, path: str, kind: FieldClass
) -> Iterator[tuple[str, Any]]:
    if value is None:
        return
    if isinstance(field, kind):
        yield path, value
    elif isinstance(field, serializers.Serializer):
        for inner in field.fields.values():
            yield from _find(inner, value, path, kind)
    elif isinstance(field, (serializers.ListSerializer, serializers.ListField)):
        for index, item in enumerate(value if isinstance(value, (list, tuple)) else [value]):
            yield from _find_in_value(field.child, item, f"{path}.{index}", kind)
    elif isinstance(field, serializers.DictField):
        for name, item in value.items() if isinstance(value, Mapping) else [("", value)]:
            yield from _find_in_value(field.child, item, f"{path}.{name}", kind)
