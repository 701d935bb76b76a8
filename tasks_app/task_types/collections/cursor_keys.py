"""The key of a collection: the fields by which its rows are read in order, and the JSON form of their values.

Owns which fields may be a key, and the exact way of a value to JSON and back. Must not compare two values: the order is
the database's own (collations, and MariaDB's order of UUIDs).
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db import connections, models, router

from tasks_app.errors import HopelessError

Values = tuple[Any, ...]

# Subclasses count as well: the auto fields are integers, and e-mail, slug and URL are texts.
_KINDS: Final[tuple[type[models.Field], ...]] = (
    models.IntegerField,
    models.UUIDField,
    models.CharField,
    models.TextField,
    models.DecimalField,
    models.DateField,
)
_SQLITE_DIGITS: Final = 15  # it stores a decimal as a float
_ACCEPTED: Final = "integers, UUIDs, texts, decimals, dates and datetimes"


@dataclass(frozen=True, slots=True)
class CursorKey:
    """The fields of a key, in their order."""

    names: tuple[str, ...]  # as a query names them: a foreign key by its column, `user_id`
    fields: tuple[models.Field, ...]  # of the values; of a foreign key the field that it refers to

    def read(self, row: models.Model) -> Values:
        """Return the values of a row."""
        return tuple(getattr(row, name) for name in self.names)

    def encode(self, values: Sequence[Any]) -> list[Any]:
        """Return values as JSON holds them."""
        return [_encode(value) for value in values]

    def decode(self, stored: object, *, what: str) -> Values:
        """Return the values from their JSON form. Raises HopelessError if they are not of this key."""
        if not isinstance(stored, list) or len(stored) != len(self.fields):
            raise HopelessError(
                f"The task's {what} is {str(stored)[:200]}, and its cursor_fields are {', '.join(self.names)}: "
                "they have changed since the task was started. Start it again."
            )
        return tuple(field.to_python(value) for field, value in zip(self.fields, stored, strict=True))


def find_key(model: type[models.Model], cursor_fields: Sequence[str]) -> CursorKey:
    """Return the key of a model: `cursor_fields`, or the primary key if there are none.

    Raises ValueError, which says what is accepted, if a field is unknown, nullable or of another kind, if the fields are
    not unique together, or if no index begins with them.
    """
    known = {name: field for field in model._meta.concrete_fields for name in (field.name, field.attname)}
    primary = _list_primary(model)
    names = [_name_of(known.get(name), name, model) for name in cursor_fields] or [field.attname for field in primary]
    columns = [known[name] for name in names]
    if len(set(names)) < len(names):
        raise ValueError(f"cursor_fields name a field twice: {', '.join(names)}.")
    for field in columns:
        if field.null:
            raise ValueError(
                f"cursor_fields: {model._meta.label}.{field.name} may be null, and the order of nulls is undefined. "
                "Use fields that are not null."
            )
        if not isinstance(_target_of(field), _KINDS):
            raise ValueError(
                f"cursor_fields: {model._meta.label}.{field.name} is a {type(_target_of(field)).__name__}; accepted: "
                f"{_ACCEPTED}."
            )
        _check_digits(field, model)
    names = _check_index(model, names, primary=[field.attname for field in primary])
    return CursorKey(tuple(names), tuple(_target_of(known[name]) for name in names))


def _list_primary(model: type[models.Model]) -> list[models.Field]:
    """Return the columns of the primary key, which may be composite (from Django 5.2 on)."""
    return list(getattr(model._meta, "pk_fields", None) or [model._meta.pk])


def _name_of(field: models.Field | None, name: str, model: type[models.Model]) -> str:
    if field is None:
        raise ValueError(f"cursor_fields: {model._meta.label} has no field {name!r}.")
    return str(field.attname)


def _target_of(field: Any) -> models.Field:
    while field.is_relation:
        field = field.target_field
    return field


def _check_digits(field: models.Field, model: type[models.Model]) -> None:
    target = _target_of(field)
    if not isinstance(target, models.DecimalField) or connections[router.db_for_write(model)].vendor != "sqlite":
        return
    if target.max_digits is None or target.max_digits > _SQLITE_DIGITS:
        raise ValueError(
            f"cursor_fields: {model._meta.label}.{field.name} has up to {target.max_digits} digits, and SQLite keeps "
            f"{_SQLITE_DIGITS} of a decimal: the cursor would not be the key of its row. Use other cursor_fields."
        )


def _check_index(model: type[models.Model], names: list[str], *, primary: list[str]) -> list[str]:
    """Return the names that the order needs: fields behind a unique set change nothing, and MySQL would sort by them."""
    uniques = [list(primary), *_list_uniques(model)]
    if not any(set(unique) <= set(names) for unique in uniques):
        raise ValueError(
            f"cursor_fields ({', '.join(names)}) of {model._meta.label} are not unique together, so rows could be skipped. "
            f"Add the primary key: ({', '.join([*names, *primary])})."
        )
    lengths = [len(unique) for unique in uniques if set(unique) == set(names[: len(unique)])]
    names = names[: min(lengths, default=len(names))]
    indexes = [*uniques, *([*index, *primary] for index in _list_indexes(model))]
    if not any(index[: len(names)] == list(names) for index in indexes):
        raise ValueError(
            f"No index of {model._meta.label} begins with the cursor_fields ({', '.join(names)}) in this order, so each "
            "page would sort the table. Add an index, or use the primary key."
        )
    return names


def _list_uniques(model: type[models.Model]) -> Iterable[list[str]]:
    meta = model._meta
    yield from ([field.attname] for field in meta.concrete_fields if field.unique)
    yield from (_attnames(model, names) for names in meta.unique_together)
    for constraint in meta.constraints:
        if not isinstance(constraint, models.UniqueConstraint) or constraint.condition is not None:
            continue
        if constraint.fields and constraint.deferrable is None:  # MySQL, MariaDB and SQLite create no deferrable one
            yield _attnames(model, constraint.fields)


def _list_indexes(model: type[models.Model]) -> Iterable[list[str]]:
    meta = model._meta
    yield from ([field.attname] for field in meta.concrete_fields if field.db_index)  # type: ignore[attr-defined]
    for index in meta.indexes:
        is_ascending = not any(order for _, order in index.fields_orders)
        if index.fields and index.condition is None and is_ascending:
            yield _attnames(model, index.fields)


def _attnames(model: type[models.Model], names: Iterable[str]) -> list[str]:
    attnames: Mapping[str, str] = {field.name: field.attname for field in model._meta.concrete_fields}
    return [attnames.get(name, name) for name in names]


def _encode(value: Any) -> Any:
    match value:
        case UUID() | Decimal():
            return str(value)
        case datetime.date():  # and datetimes, with their microseconds and their zone
            return value.isoformat()
    return value
