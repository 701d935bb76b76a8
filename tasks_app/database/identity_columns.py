"""Checks that this database compares the identity columns byte by byte, because a table may have been altered by hand.

Owns the check and the clauses that fix a table's columns. Must not change a table: an operator decides when.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from tasks_app.database.column_changes import to_clauses, to_statement
from tasks_app.models.text_fields import IdentityField, get_identity_collation


@dataclass(frozen=True, slots=True)
class LooseTable:
    """A table in which different values of an identity column can compare as equal."""

    table: str
    columns: tuple[str, ...]
    collations: tuple[str, ...]
    statement: str


def list_loose_tables(*, using: str = DEFAULT_DB_ALIAS) -> list[LooseTable]:
    """Return the tables whose identity columns have a collation that does not compare bytes."""
    connection = connections[using]
    wanted = get_identity_collation(connection)
    if wanted is None:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name, collation_name FROM information_schema.columns"
            " WHERE table_schema = DATABASE() AND collation_name <> %s",
            (wanted,),
        )
        others = {(table, column): collation for table, column, collation in cursor.fetchall()}
    found = []
    for table, fields in _list_fields().items():
        loose = [field for field in fields if (table, field.column) in others]
        if loose:
            clauses = to_clauses(loose, connection=connection)
            found.append(
                LooseTable(
                    table,
                    tuple(str(field.column) for field in loose),
                    tuple(sorted({others[table, str(field.column)] for field in loose})),
                    to_statement(table, clauses, connection=connection) + ";",
                )
            )
    return found


def list_clauses(table: str, *, connection: BaseDatabaseWrapper) -> list[str]:
    """Return the clauses of an ALTER TABLE that give all identity columns of a table their collation."""
    return to_clauses(_list_fields().get(table, []), connection=connection)


def _list_fields() -> dict[str, list[IdentityField]]:
    fields: dict[str, list[IdentityField]] = {}
    for model in apps.get_models():
        for field in model._meta.local_fields:
            if isinstance(field, IdentityField):
                fields.setdefault(model._meta.db_table, []).append(field)
    return fields
