"""Checks that the database's tables can hold any text, that is, that their character set is utf8mb4.

Owns the check, and makes utf8mb4 the database's default before a migration creates tables. Must not convert an existing
table: with millions of rows that locks it for a long time, so an operator decides when.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final

from django.apps import AppConfig
from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from tasks_app.conf.project import is_embedded
from tasks_app.database import identity_columns
from tasks_app.database.column_changes import to_statement

logger = logging.getLogger(__name__)
WANTED: Final = "utf8mb4"
OTHERS: Final = ("ascii", "binary")  # deliberate choices, for columns that need no other characters


@dataclass(frozen=True, slots=True)
class NarrowTable:
    """One of our tables with columns that cannot hold every text."""

    table: str
    columns: tuple[str, ...]
    charset: str
    statement: str  # one or two statements that convert it; they copy the table, and writers wait meanwhile


def get_narrow_default(*, using: str = DEFAULT_DB_ALIAS) -> str:
    """Return the database's default character set if it is not utf8mb4, else ""."""
    if connections[using].vendor != "mysql":
        return ""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT default_character_set_name FROM information_schema.schemata WHERE schema_name = DATABASE()"
        )
        charset = str(cursor.fetchone()[0])
    return "" if charset == WANTED else charset


def list_narrow_tables(*, using: str = DEFAULT_DB_ALIAS) -> list[NarrowTable]:
    """Return the tables of the installed applications that have text columns with another character set."""
    connection = connections[using]
    if connection.vendor != "mysql":
        return []
    ours = set(connection.introspection.django_table_names())
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name, character_set_name FROM information_schema.columns"
            " WHERE table_schema = DATABASE() AND character_set_name NOT IN (%s, %s, %s)"
            " ORDER BY table_name, ordinal_position",
            (WANTED, *OTHERS),
        )
        found: dict[str, list[tuple[str, str]]] = {}
        for table, column, charset in cursor.fetchall():
            if table in ours:
                found.setdefault(table, []).append((column, charset))
    return [
        NarrowTable(table, tuple(column for column, _ in columns), columns[0][1], _to_statement(table, connection))
        for table, columns in found.items()
    ]


def _to_statement(table: str, connection: BaseDatabaseWrapper) -> str:
    # CONVERT gives every column the default collation, whatever else the statement says; a second statement restores
    # the collation of the identity columns.
    steps = [[f"CONVERT TO CHARACTER SET {WANTED}"], identity_columns.list_clauses(table, connection=connection)]
    return " ".join(to_statement(table, clauses, connection=connection) + ";" for clauses in steps if clauses)


def widen_default(sender: AppConfig, *, using: str, plan: Any = (), **_: Any) -> None:
    """Make utf8mb4 the default of new tables, before migrations run. Raises CommandError if the database refuses it.

    In another project, whose default it is, raises CommandError with the statement, before tables of ours are created.
    """
    is_ours = not is_embedded() or any(migration.app_label == sender.label for migration, _ in plan)
    charset = get_narrow_default(using=using) if plan and is_ours else ""
    if not charset:
        return
    connection = connections[using]
    statement = f"ALTER DATABASE {connection.ops.quote_name(connection.settings_dict['NAME'])} CHARACTER SET {WANTED}"
    if is_embedded():
        raise CommandError(
            f"The database's character set is {charset}: the new tables of {sender.label} could not hold every text. Run "
            f"this, which is the default for new tables only, then migrate again: {statement};"
        )
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    except DatabaseError as error:
        raise CommandError(
            f"The database's character set is {charset}: its new tables could not hold every text. The database refused "
            f"to change it ({error}). Run this as an administrator of the database, then migrate again: {statement};"
        ) from error
    logger.warning("the default character set of new tables was %s and is now %s", charset, WANTED)


def warn_of_narrow_tables() -> None:
    """Log one line that names the tables that cannot hold every text. For the start of a process: never raises."""
    try:
        narrow = list_narrow_tables()
    except DatabaseError:
        return  # unavailable: the caller's next query reports it
    if narrow:
        names = ", ".join(f"{each.table} ({each.charset})" for each in narrow[:20])
        logger.warning(
            "these tables are not %s, so tasks with other characters are set aside: %s. `manage.py doctor` prints the "
            "statements that convert them",
            WANTED,
            names,
        )
