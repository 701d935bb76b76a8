"""Strict reading with DRF serializers: no unknown field, no coercion of JSON types, one shared instance.

Owns the checks that DRF leaves out. Must not know any concrete serializer.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, cached_property
from typing import Any, Final

from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.fields import empty
from rest_framework.validators import ProhibitSurrogateCharactersValidator

from tasks_app.api.flat_serializer import has_own_validation

_FIELD_NAME_CHARACTERS: Final = 64
_UNKNOWN_FIELDS: Final = 100  # the most that one object's errors name; a body may have thousands

# JSON's types by DRF's fields, subclasses first; other fields are not checked.
_JSON_TYPES: Final[tuple[tuple[type[serializers.Field[Any, Any, Any, Any]], tuple[type, ...], str], ...]] = (
    (serializers.BooleanField, (bool,), "true or false"),
    (serializers.IntegerField, (int,), "an integer"),
    (serializers.FloatField, (int, float), "a number"),
    (serializers.DecimalField, (int, float, str), "a number"),
    (serializers.MultipleChoiceField, (list,), "a list"),
    (serializers.ListField, (list,), "a list"),
    (serializers.DictField, (dict,), "an object"),
    (serializers.Serializer, (dict,), "an object"),
    (serializers.CharField, (str,), "a string"),
    (serializers.ChoiceField, (str,), "a string"),
    (serializers.UUIDField, (str,), "a string"),
    (serializers.DateTimeField, (str,), "a string"),
    (serializers.DateField, (str,), "a string"),
    (serializers.TimeField, (str,), "a string"),
    (serializers.DurationField, (str,), "a string"),
)

_IMMUTABLE: Final = (int, str, bool, float, type(None))


def _is_constant(field: serializers.Field[Any, Any, Any, Any]) -> bool:
    """Whether a field that is absent always gives the same: only DRF's own classes are known to."""
    return type(field).__module__ == serializers.Field.__module__ and (
        type(field.default) in _IMMUTABLE or (field.default is empty and not field.required)
    )


def _list_choice_types(field: serializers.Field[Any, Any, Any, Any]) -> tuple[tuple[type, ...], str] | None:
    """Return the types of a field's choices; None for a field without choices, and for one that takes a list of them."""
    if not isinstance(field, serializers.ChoiceField) or isinstance(field, serializers.MultipleChoiceField):
        return None
    types = tuple({type(choice) for choice in field.choices} & {str, int, float, bool})
    return (types, "one of the choices") if types and types != (str,) else None


class StrictReader:
    """Reads data with one serializer instance that all threads share.

    DRF deep-copies all fields for every new serializer, which costs more than the validation itself.
    `run_validation` keeps no state on the instance, so one is enough; its lazy attributes are created here.
    """

    def __init__(self, serializer: serializers.Serializer[Any]) -> None:
        self.serializer = serializer
        self.types: dict[str, tuple[tuple[type, ...], str]] = {}
        self.children: dict[str, StrictReader] = {}
        _ = serializer.validators
        for name, field in serializer.fields.items():
            if field.read_only:
                continue
            # It loops over every character in Python, and neither orjson nor a query string contains a surrogate.
            field.validators = [
                validator
                for validator in field.validators
                if not isinstance(validator, ProhibitSurrogateCharactersValidator)
            ]
            for kind, types, words in _JSON_TYPES:
                if isinstance(field, kind):
                    self.types[name] = _list_choice_types(field) or (types, words)
                    break
            else:
                self.types[name] = ((), "")
            if isinstance(field, serializers.Serializer):
                self.children[name] = StrictReader(field)

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """The result for empty data. Raises DRF's ValidationError if a field is required."""
        value: dict[str, Any] = self.serializer.run_validation({})
        return value

    @cached_property
    def _has_plain_defaults(self) -> bool:
        """Whether empty data is always valid, and always gives the same immutable values."""
        own = type(self.serializer)
        return (
            own.run_validation is serializers.Serializer.run_validation
            and own.to_internal_value is serializers.Serializer.to_internal_value
            and not has_own_validation(self.serializer)
            and all(field.read_only or _is_constant(field) for field in self.serializer.fields.values())
        )

    def read(self, data: Any) -> dict[str, Any]:
        """Return the validated data. Raises DRF's ValidationError that names every invalid field."""
        if type(data) is not dict:
            raise ValidationError(["The body must be a JSON object."])
        if not data and self._has_plain_defaults:
            return dict(self.defaults)
        wrong = self.find_wrong_shapes(data)
        try:
            value: dict[str, Any] = self.serializer.run_validation(data)
        except ValidationError as error:
            if wrong and isinstance(error.detail, dict):
                raise ValidationError({**error.detail, **wrong}) from None
            raise
        if wrong:
            raise ValidationError(wrong)
        return value

    def find_wrong_shapes(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the errors that DRF would not report: unknown fields, and values of another JSON type."""
        wrong: dict[str, Any] = {}
        unknown = 0
        for name, value in data.items():
            expected = self.types.get(name)
            if expected is None:
                unknown += 1
                if unknown <= _UNKNOWN_FIELDS:
                    wrong[name[:_FIELD_NAME_CHARACTERS]] = [f"Unknown field. Known: {', '.join(self.types) or 'none'}."]
                continue
            types, words = expected
            kind = type(value)
            if types and kind not in types and value is not None:
                # 100.0 is an integer in JSON Schema.
                if not (kind is float and types == (int,) and value.is_integer()):
                    wrong[name] = [f"Must be {words}."]
            elif name in self.children and kind is dict and (inner := self.children[name].find_wrong_shapes(value)):
                wrong[name] = inner
        return wrong


@cache
def get_reader(serializer_class: type[serializers.Serializer[Any]]) -> StrictReader:
    """Return the shared reader of a serializer class."""
    return StrictReader(serializer_class())
