"""A faster bulk_create: the same call with the same effect, at a third of the time a row.

Django asks every field about every value of every row, several times over, and the driver then looks at each
value again. Here each object in a column is prepared once. Knows no particular table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from operator import attrgetter
from types import NoneType
from typing import Any, Final
from uuid import UUID

from django.db import connections, models, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.constants import OnConflict

from tasks_app.database.django_internals import AnyModel, BatchedInsertQuerySet

Fields = Sequence["models.Field[Any, Any]"]
Columns = Sequence[Sequence[Any]]
BATCH_ROWS: Final = 2000  # rows of one INSERT: some 400 KB here, far below any max_allowed_packet


class BulkInsertQuerySet(BatchedInsertQuerySet[AnyModel]):
    """For models with assigned primary keys, whose values are plain values and no expressions."""

    def insert_objects(self, objs: Sequence[AnyModel], fields: Fields, batch_size: int | None) -> None:
        connection = connections[self.db]
        size = batch_size or BATCH_ROWS
        get_values = attrgetter(*[field.attname for field in fields])
        for start in range(0, len(objs), size):
            columns = zip(*map(get_values, objs[start : start + size]), strict=True)
            _insert(connection, self.model._meta.db_table, fields, list(columns), "")


def insert_columns(
    model: type[models.Model], columns: Mapping[str, Sequence[Any]], *, update: Sequence[str] = ()
) -> None:
    """Insert rows that are given as columns by attribute name, all of the same length: no instance is made.

    With `update` a row whose primary key is there already gets these columns instead. Text is handed to the driver
    as it is; any other value is prepared by its field. Up to BATCH_ROWS rows a statement.
    """
    by_name = {field.attname: field for field in model._meta.concrete_fields}
    fields = [by_name[name] for name in columns]
    connection = connections[router.db_for_write(model)]
    suffix = ""
    if update:
        suffix = connection.ops.on_conflict_suffix_sql(
            fields,
            OnConflict.UPDATE,
            [by_name[name].column for name in update],
            [model._meta.pk.column] if connection.features.supports_update_conflicts_with_target else [],
        )
    rows = len(next(iter(columns.values())))
    for start in range(0, rows, BATCH_ROWS):
        part = [values[start : start + BATCH_ROWS] for values in columns.values()]
        _insert(connection, model._meta.db_table, fields, part, suffix)


def _insert(connection: BaseDatabaseWrapper, table: str, fields: Fields, columns: Columns, suffix: str) -> None:
    insert = _insert_as_sql if connection.vendor == "mysql" else _insert_with_parameters
    insert(connection, table, fields, columns, suffix)


def _insert_with_parameters(
    connection: BaseDatabaseWrapper, table: str, fields: Fields, columns: Columns, suffix: str
) -> None:
    """For SQLite, whose driver prepares a statement once and takes rows fast."""
    prepared = [
        column if _types(column) <= {int, str, NoneType} else _convert(column, partial(_prepare, connection, field))
        for field, column in zip(fields, columns, strict=True)
    ]
    with connection.cursor() as cursor:
        cursor.executemany(
            f"{_insert_into(connection, table, fields)} {_row(fields)} {suffix}", list(zip(*prepared, strict=True))
        )


def _insert_as_sql(connection: BaseDatabaseWrapper, table: str, fields: Fields, columns: Columns, suffix: str) -> None:
    """For MySQL, whose driver writes values into the statement's text, and takes its time over each."""
    connection.ensure_connection()  # whose escaping is asked for below

    def literal(value: Any) -> str:
        return connection.connection.literal(value).decode()  # the driver's own escaping

    def prepared_literal(field: models.Field[Any, Any], value: Any) -> str:
        return literal(_prepare(connection, field, value))

    def uuid_literal(value: UUID) -> str:
        return f"'{value if connection.features.has_native_uuid_field else value.hex}'"

    literals: list[Iterable[Any]] = []
    for field, column in zip(fields, columns, strict=True):
        types = _types(column)
        if types == {int}:
            literals.append(column)
        elif types <= {int, str, NoneType}:
            literals.append(_convert_by_value(column, literal))
        elif types == {UUID} and isinstance(field, models.UUIDField):
            literals.append(_convert(column, uuid_literal))
        else:
            literals.append(_convert(column, partial(prepared_literal, field)))
    rows = ",".join([_row(fields)] * len(columns[0]))
    with connection.cursor() as cursor:
        cursor.execute(
            f"{_insert_into(connection, table, fields)} "
            + rows % tuple(chain.from_iterable(zip(*literals, strict=True)))
            + f" {suffix}"
        )


def _insert_into(connection: BaseDatabaseWrapper, table: str, fields: Fields) -> str:
    quote = connection.ops.quote_name
    return f"INSERT INTO {quote(table)} ({', '.join([quote(field.column or '') for field in fields])}) VALUES"


def _row(fields: Fields) -> str:
    return f"({', '.join(['%s'] * len(fields))})"


def _types(column: Sequence[Any]) -> set[type]:
    return set(map(type, column))


def _prepare(connection: BaseDatabaseWrapper, field: models.Field[Any, Any], value: Any) -> Any:
    """Bring a value into the form that the driver takes."""
    return field.get_db_prep_save(value, connection)


def _convert_by_value(column: Sequence[Any], convert: Callable[[Any], Any]) -> Iterable[Any]:
    """Convert each value of a column once: what text tells is mostly the same in many rows."""
    converted = {value: convert(value) for value in set(column)}
    return map(converted.__getitem__, column)


def _convert(column: Sequence[Any], convert: Callable[[Any], Any]) -> Iterable[Any]:
    """Convert each object of a column once. By identity: decimals, times and UUIDs are slow to hash."""
    converted = {key: convert(value) for key, value in dict(zip(map(id, column), column, strict=True)).items()}
    return map(converted.__getitem__, map(id, column))
