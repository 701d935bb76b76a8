"""Sample data for the tests of task types: rows of any model, and a CSV file of records that its columns accept.

Owns the value of a field for the n-th row. Values depend on the number alone, so that a test can be repeated.
"""

from __future__ import annotations

import csv
import datetime
import io
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from django.db import models

from tasks_app.conf import settings
from tasks_app.task_types.task_params import convert

_START: Final = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
_LEVELS: Final = 8  # of rows that refer to others


class NoSampleValue(ValueError):
    """A field needs a value that the test has to give."""


def _text(field: models.Field[Any, Any], number: int) -> str:
    most = field.max_length or 255
    text = f"{field.name} {number}"
    return text if len(text) <= most else str(number)[-most:]


def _decimal(field: Any, number: int) -> Decimal:
    whole = (field.max_digits or 10) - (field.decimal_places or 0)
    return Decimal(number % 10 ** max(1, whole)) if whole > 0 else Decimal(0)


def _time(field: models.Field[Any, Any], number: int) -> datetime.datetime:
    moment = _START + datetime.timedelta(hours=number)
    return moment if settings.USE_TZ else moment.replace(tzinfo=None)


# By Django's field classes, subclasses first.
_VALUES: Final[Sequence[tuple[type[models.Field[Any, Any]], Callable[[Any, int], Any]]]] = (
    (models.BooleanField, lambda field, number: False),
    (models.EmailField, lambda field, number: f"name{number}@example.com"),
    (models.URLField, lambda field, number: f"https://example.com/{number}"),
    (models.SlugField, lambda field, number: f"name-{number}"),
    (models.FileField, lambda field, number: f"file-{number}.txt"),
    (models.CharField, _text),
    (models.TextField, _text),
    (models.IntegerField, lambda field, number: number),
    (models.FloatField, lambda field, number: float(number)),
    (models.DecimalField, _decimal),
    (models.DateTimeField, _time),
    (models.DateField, lambda field, number: _START.date() + datetime.timedelta(days=number)),
    (models.TimeField, lambda field, number: datetime.time(number % 24, number % 60)),
    (models.DurationField, lambda field, number: datetime.timedelta(seconds=number)),
    (models.UUIDField, lambda field, number: uuid.UUID(int=number)),
    (models.GenericIPAddressField, lambda field, number: f"192.0.2.{number % 256}"),
    (models.JSONField, lambda field, number: {"number": number}),
    (models.BinaryField, lambda field, number: str(number).encode()),
)


def make_rows(model: type[models.Model], number: int, **values: Any) -> list[Any]:
    """Insert rows of a model; return them. Required fields get simple values, and rows that they refer to are made.

    `values` are those of all rows; a function gets the number of the row: `phone=lambda number: f"0{number}"`.
    Raises NoSampleValue for a field whose kind is not known.
    """
    return _make_rows(model, number, values, level=0)


def make_csv(model: type[models.Model], columns: Sequence[str], number: int) -> bytes:
    """Return a CSV file with a header and `number` records of these fields of a model.

    Rows that a record refers to are made.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    first = model._meta.base_manager.count() + 1
    fields = [model._meta.get_field(name) for name in columns]
    for row in range(first, first + number):
        writer.writerow([_to_cell(_sample(field, row, level=0)) for field in fields])
    return text.getvalue().encode()


def list_needed(model: type[models.Model]) -> list[models.Field[Any, Any]]:
    """Return the fields that a new row needs a value for."""
    return [field for field in model._meta.concrete_fields if _is_needed(field)]


def _make_rows(model: type[models.Model], number: int, values: Mapping[str, Any], *, level: int) -> list[Any]:
    first = model._meta.base_manager.count() + 1
    rows = []
    for row in range(first, first + number):
        given = {name: value(row) if callable(value) else value for name, value in values.items()}
        made = {
            field.name: _sample(field, row, level=level)
            for field in list_needed(model)
            if field.name not in given and field.attname not in given
        }
        rows.append(model._meta.base_manager.create(**made | given))
    return rows


def _is_needed(field: Any) -> bool:
    if isinstance(field, models.AutoField) or getattr(field, "generated", False) or not field.column:
        return False
    if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False):
        return False
    return not (field.null or field.has_default() or field.has_db_default())


def _sample(field: Any, number: int, *, level: int) -> Any:
    if isinstance(field, models.ForeignKey):  # a OneToOneField too
        if level >= _LEVELS:
            raise NoSampleValue(f"{field} refers to rows that refer to others without end: give it to make_rows.")
        return _make_rows(field.related_model, 1, {}, level=level + 1)[0]
    if choices := [value for value, _ in field.flatchoices]:
        return choices[number % len(choices)]
    for kind, make in _VALUES:
        if isinstance(field, kind):
            return make(field, number)
    raise NoSampleValue(
        f"{field} is a {type(field).__name__}, for which there is no sample value: give it to make_rows."
    )


def _to_cell(value: Any) -> Any:
    plain = convert(value)
    if isinstance(plain, bool):
        return "true" if plain else "false"
    return json.dumps(plain) if isinstance(plain, (dict, list)) else plain
