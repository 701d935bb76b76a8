"""A serializer whose fields are independent of each other: DRF's validation, with its plan made once.

Owns that loop. For each body DRF finds out again which fields have a method or a default, and raises and catches an
exception for each absent field. tests/api/test_flat_serializer.py compares every result and error with DRF's own loop.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.fields import empty


def has_own_validation(serializer: serializers.Serializer[Any]) -> bool:
    """Return whether a serializer validates more than its fields do: by `validate` methods or validators."""
    own = type(serializer)
    return (
        bool(serializer.validators)
        or own.validate is not serializers.Serializer.validate
        or any(name.startswith("validate_") and name != "validate_empty_values" for name in dir(own))
    )


class FlatSerializer(serializers.Serializer[Any]):
    """A serializer without `validate` methods, validators, nested sources, defaults and read-only fields."""

    @cached_property
    def _plan(self) -> tuple[tuple[str, str, bool, Any], ...]:
        if has_own_validation(self):
            raise TypeError(f"{type(self).__name__} has validators: derive it from DRF's Serializer")
        for name, field in self.fields.items():
            if field.read_only or field.default is not empty or len(field.source_attrs) != 1:
                raise TypeError(f"field {name} of {type(self).__name__} is not flat")
        return tuple(
            (name, field.source_attrs[0], field.required, field.run_validation) for name, field in self.fields.items()
        )

    def run_validation(self, data: Any = empty) -> Any:
        # There is nothing to run beside the fields.
        return self.to_internal_value(data) if type(data) is dict else super().run_validation(data)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if type(data) is not dict:
            return super().to_internal_value(data)
        value: dict[str, Any] = {}
        wrong: dict[str, Any] = {}
        for name, source, is_required, validate in self._plan:
            if name in data or is_required:
                try:
                    value[source] = validate(data.get(name, empty))
                except ValidationError as error:
                    wrong[name] = error.detail
        if wrong:
            raise ValidationError(wrong)
        return value
