"""A dataclass as the parameters of a task: its serializer, and the instance from the stored JSON.

Owns which types of a field are possible and how they become fields of a serializer. Must not validate a value: the serializer
does, once, at the start of a task.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import types
import uuid
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from rest_framework import serializers

from tasks_app.errors import HopelessError
from tasks_app.task_types.task_params import encode_params

_FIELDS: Final[Mapping[type, tuple[type[serializers.Field[Any, Any, Any, Any]], Mapping[str, Any]]]] = {
    str: (serializers.CharField, {}),
    bool: (serializers.BooleanField, {}),
    int: (serializers.IntegerField, {}),
    float: (serializers.FloatField, {}),
    Decimal: (serializers.DecimalField, {"max_digits": None, "decimal_places": None}),
    datetime.datetime: (serializers.DateTimeField, {}),
    datetime.date: (serializers.DateField, {}),
    datetime.time: (serializers.TimeField, {}),
    datetime.timedelta: (serializers.DurationField, {}),
    uuid.UUID: (serializers.UUIDField, {}),
}


class EnumField(serializers.ChoiceField):
    """A member of an Enum, by its value."""

    def __init__(self, kind: type[enum.Enum], **options: Any) -> None:
        self._kind = kind
        super().__init__(choices=[(member.value, member.name) for member in kind], **options)

    def to_internal_value(self, data: Any) -> enum.Enum:
        return self._kind(super().to_internal_value(data))


def make_serializer(params_class: type) -> type[serializers.Serializer[Any]]:
    """Return a serializer with a field for each field of a dataclass; a field with a default is not required.

    The metadata of a field are further arguments of its serializer field. Raises TypeError for anything but a dataclass,
    and for a type that has no serializer field.
    """
    if not (isinstance(params_class, type) and dataclasses.is_dataclass(params_class)):
        raise TypeError(f"params_class is {params_class!r:.100}: use a class with the decorator @dataclass.")
    return type(f"{params_class.__name__}Serializer", (serializers.Serializer,), dict(_make_fields(params_class)))


def read_params(params_class: type, params: Mapping[str, Any]) -> Any:
    """Return an instance of the dataclass from the JSON that was validated at the start of the task.

    Raises HopelessError if the dataclass no longer fits it: the class has changed since.
    """
    fields = _list_fields(params_class)
    try:
        values = {
            name: None if value is None else fields[name].to_internal_value(value) for name, value in params.items()
        }
        return params_class(**values)
    except Exception as error:
        raise HopelessError(
            f"{params_class.__name__} does not fit the task's params {dict(params)!r:.300}: {error!r:.300}. It has changed "
            "since the task was started; a new parameter needs a default."
        ) from error


@cache
def _list_fields(params_class: type) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
    """Return fields that are bound to a serializer, as their `to_internal_value` needs it."""
    return dict(make_serializer(params_class)().fields)


def _make_fields(params_class: type) -> Mapping[str, serializers.Field[Any, Any, Any, Any]]:
    hints = get_type_hints(params_class)
    made = {}
    for each in dataclasses.fields(params_class):
        if not each.init:
            continue
        options: dict[str, Any] = dict(each.metadata)
        if each.default is not dataclasses.MISSING:
            # In the form that JSON has, so that an API document can show it; `read_params` converts it back.
            options["default"] = encode_params({each.name: each.default})[each.name]
        elif each.default_factory is not dataclasses.MISSING:
            options["default"] = each.default_factory
        made[each.name] = _make_field(hints[each.name], where=f"{params_class.__name__}.{each.name}", **options)
    return made


def _make_field(hint: Any, *, where: str, **options: Any) -> serializers.Field[Any, Any, Any, Any]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType) and len(arguments) == 2 and type(None) in arguments:
        [hint] = [argument for argument in arguments if argument is not type(None)]
        return _make_field(hint, where=where, allow_null=True, **options)
    if origin is Literal:
        return serializers.ChoiceField(choices=list(arguments), **options)
    if hint is list or origin is list:
        child = _make_field(arguments[0], where=where) if arguments else serializers.JSONField()
        return serializers.ListField(child=child, **options)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return EnumField(hint, **options)
    if isinstance(hint, type) and hint in _FIELDS:
        kind, needed = _FIELDS[hint]
        if hint is str and options.get("default") == "":
            options.setdefault("allow_blank", True)
        return kind(**{**needed, **options})
    accepted = "str, int, float, bool, Decimal, date, datetime, time, timedelta, UUID, Enum, Literal, a list of these, or | None"
    raise TypeError(f"{where} is of the type {hint!r:.100}; accepted: {accepted}. Use params_serializer for others.")
