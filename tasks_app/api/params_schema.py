"""The parameters of a task type as JSON Schema (2020-12), derived from the serializer that validates them.

Owns what a form needs: types, bounds, choices, defaults. Must not validate a value: the serializer does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from rest_framework import serializers

from tasks_app.api.strict_validation import get_reader
from tasks_app.task_types.rest_framework_internals import has_own_label

_LEVELS: Final = 16  # of nested objects and lists; a serializer may contain itself
_CHOICES: Final = 1_000  # most choices that one field lists; a field may read its choices from a table

Schema = dict[str, Any]


def _describe_number(kind: str) -> Callable[[Any], Schema]:
    def describe(field: Any) -> Schema:
        bounds = {"minimum": field.min_value, "maximum": field.max_value}
        return {"type": kind, **{name: bound for name, bound in bounds.items() if bound is not None}}

    return describe


def _describe_choice(field: Any) -> Schema:
    choices = list(field.choices.items())[:_CHOICES]
    return {"oneOf": [{"const": value, "title": str(title)} for value, title in choices]}


def _describe_text(field: Any) -> Schema:
    schema: Schema = {"type": "string"}
    if field.min_length or not field.allow_blank:
        schema["minLength"] = field.min_length or 1
    if field.max_length is not None:
        schema["maxLength"] = field.max_length
    return schema


# By DRF's field classes, subclasses first; a field of any other class accepts any JSON.
_KINDS: Final[tuple[tuple[type[serializers.Field[Any, Any, Any, Any]], Callable[[Any], Schema]], ...]] = (
    (serializers.BooleanField, lambda field: {"type": "boolean"}),
    (serializers.IntegerField, _describe_number("integer")),
    (serializers.FloatField, _describe_number("number")),
    (serializers.DecimalField, lambda field: _describe_number("number")(field) | {"type": ["number", "string"]}),
    (
        serializers.MultipleChoiceField,
        lambda field: {"type": "array", "items": _describe_choice(field), "uniqueItems": True},
    ),
    (serializers.ChoiceField, _describe_choice),
    (serializers.UUIDField, lambda field: {"type": "string", "format": "uuid"}),
    (serializers.DateTimeField, lambda field: {"type": "string", "format": "date-time"}),
    (serializers.DateField, lambda field: {"type": "string", "format": "date"}),
    (serializers.TimeField, lambda field: {"type": "string"}),
    (serializers.DurationField, lambda field: {"type": "string"}),
    (serializers.CharField, _describe_text),
)


def describe_params(serializer_class: type[serializers.Serializer[Any]]) -> Schema:
    """Return the JSON Schema of a task type's params: an object whose unknown fields are refused."""
    return _describe_object(get_reader(serializer_class).serializer, _LEVELS)


def _describe_object(serializer: serializers.Serializer[Any], levels: int) -> Schema:
    fields = {str(name): field for name, field in serializer.fields.items() if not field.read_only}
    return {
        "type": "object",
        "properties": {name: _describe_field(field, levels - 1) for name, field in fields.items()},
        "required": [name for name, field in fields.items() if field.required],
        "additionalProperties": False,
    }


def _describe_field(field: Any, levels: int) -> Schema:
    schema = _describe_kind(field, levels)
    if field.allow_null and "type" in schema:
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        schema["type"] = [*types, "null"]
    if field.allow_null and "oneOf" in schema and None not in field.choices:
        schema["oneOf"].append({"const": None, "title": "–"})
    if has_own_label(field):
        schema["title"] = str(field.label)
    if field.help_text:
        schema["description"] = str(field.help_text)
    # A callable may read the clock or a table: it is called when the task starts.
    if field.default is not serializers.empty and not callable(field.default):
        schema["default"] = field.default
    return schema


def _describe_kind(field: Any, levels: int) -> Schema:
    if levels <= 0:
        return {}
    if isinstance(field, serializers.Serializer):
        return _describe_object(field, levels)
    if isinstance(field, (serializers.ListField, serializers.ListSerializer)):
        return {"type": "array", "items": _describe_field(field.child, levels - 1)}
    if isinstance(field, serializers.DictField):
        return {"type": "object"}
    return next((describe(field) for kind, describe in _KINDS if isinstance(field, kind)), {})
