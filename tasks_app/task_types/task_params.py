"""The parameters of a task as they are stored: plain JSON, made once when the task is started.

Owns the form in which `total`, `prepare_chunks`, `run_chunk` and every response see them. Must not validate them (the
task type's serializer does).
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from django.db.models import Manager, Model, QuerySet
from django.utils.duration import duration_string
from django.utils.functional import Promise
from rest_framework.exceptions import ValidationError

from tasks_app.domain.error_text import describe_value
from tasks_app.domain.plain_json import JsonCopy, NotJson

PARAMS_BYTES: Final = 128 * 1024  # as JSON; a request of one task holds 64 KiB
_SHORT: Final = 1_000  # characters of a text that needs no further check
_DECIMAL_DIGITS: Final = 1_000  # of a decimal written out; beyond, it is written with its exponent


def encode_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return validated parameters as plain JSON values.

    Decimals become texts, as DRF writes them; dates, times and durations ISO 8601, in UTC with a Z; UUIDs texts;
    model instances their primary key; sets sorted lists. Raises DRF's ValidationError, which names the parameter, for a
    value that JSON cannot hold.
    """
    if all(map(_is_plain, params.values())):
        return dict(params)
    encoded: dict[str, Any] = {}
    wrong: dict[str, Any] = {}
    for name, value in params.items():
        try:
            encoded[str(name)] = _copy(value)
        except NotJson as error:
            where = f"{error.path[:200]} " if error.path else ""
            wrong[str(name)] = [
                f"The value {where}cannot be stored: {describe_value(error.value)}. Accepted: {error.accepted}."
            ]
    if wrong:
        raise ValidationError(wrong)
    if len(json.dumps(encoded, ensure_ascii=False).encode()) > PARAMS_BYTES:
        raise ValidationError([f"Too long: more than {PARAMS_BYTES} bytes of JSON."])
    return encoded


def _is_plain(value: object) -> bool:
    """Whether a value is plain JSON already and needs no copy."""
    kind = type(value)
    if kind is int:
        return -(2**63) <= value < 2**63  # type: ignore[operator]
    if kind is str:
        return len(value) < _SHORT and value.isascii()  # type: ignore[arg-type, attr-defined]
    return kind is bool or value is None


def _copy(value: object) -> Any:
    return JsonCopy(most_bytes=PARAMS_BYTES, convert=convert).copy(value)


def convert(value: Any) -> Any:
    """Return a value of a type that JSON lacks in the form of API responses; other values unchanged."""
    match value:
        case UUID() | Promise() | PurePath():
            return str(value)
        case datetime.datetime():
            return value.isoformat().replace("+00:00", "Z")
        case datetime.date() | datetime.time():
            return value.isoformat()
        case datetime.timedelta():
            return duration_string(value)
        case Decimal() if value.is_finite():
            exponent = abs(int(value.as_tuple().exponent))
            return str(value) if exponent > _DECIMAL_DIGITS else f"{value:f}"
        case Enum():
            return value.value
        case Model():
            return value.pk
        case QuerySet() | Manager():
            return list(value.all())
        case set() | frozenset():
            return _sort([_copy(item) for item in value])
    return value


def _sort(items: list[Any]) -> list[Any]:
    try:
        return sorted(items)
    except TypeError:  # of several types
        return sorted(items, key=json.dumps)
