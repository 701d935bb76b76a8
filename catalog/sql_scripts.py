"""The two SQL scripts for setting up a database by hand: init.sql (the tables) and test_context.sql (fixed rows).

Owns their text. init.sql creates the tables as all migrations leave them and lists these migrations, so that `migrate`
finds none to apply. Django writes its SQL for MariaDB. Must not change the connected database.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any, Final

from django.db import models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from catalog.sample_rows import make_rows

INIT: Final = "init.sql"
TEST_CONTEXT: Final = "test_context.sql"
OLDEST_MARIADB: Final = (10, 7)  # the first version with the type uuid, which the scripts use
_NEW_LINE: Final = "\n    "
_NEXT_COLUMN: Final = re.compile(r", (?=`\w+` \w|CONSTRAINT )")
_INIT_HEADER: Final = """\
-- The tables of longtasks, for an empty database on MariaDB 10.7 or newer.
-- Written by `manage.py write_sql` from the migrations listed at its end. Do not edit.
--
--   mariadb --database NAME < catalog/sql/init.sql
--   manage.py migrate --fake-initial    finds no migration to apply, and writes the content types and permissions

SET NAMES utf8mb4;

-- `manage.py migrate` does the same. Omit this statement if the database is utf8mb4 with your own choice of collation.
ALTER DATABASE CHARACTER SET utf8mb4;
"""
_CONTEXT_HEADER: Final = """\
-- The fixed rows of `manage.py load_test_context`. Existing rows stay unchanged.
-- Written by `manage.py write_sql` from catalog/sample_rows.py. Do not edit.
--
--   mariadb --database NAME < catalog/sql/test_context.sql

SET NAMES utf8mb4;
"""


class UnsuitableServer(Exception):
    """The connected server is not a MariaDB that can generate the scripts; the message says what to do."""


def make_scripts(connection: Any) -> dict[str, str]:
    """Return the text of each script by file name. Raises UnsuitableServer unless connected to MariaDB 10.7 or newer."""
    if connection.vendor != "mysql" or not connection.mysql_is_mariadb or connection.mysql_version < OLDEST_MARIADB:
        raise UnsuitableServer(
            f"The scripts are SQL for MariaDB 10.7 or newer, and this database is {_name_server(connection)}: "
            "name a MariaDB in DATABASE_URL (it may be empty, nothing is written to it), or run `make sql`."
        )
    return {INIT: "\n".join(_list_init(connection)), TEST_CONTEXT: "\n".join(_list_test_context(connection))}


def _name_server(connection: Any) -> str:
    version = ".".join(str(part) for part in connection.get_database_version())
    return f"{connection.display_name} {version}"


def _list_init(connection: Any) -> Iterator[str]:
    loader = MigrationLoader(None)
    applied = dict.fromkeys(key for leaf in loader.graph.leaf_nodes() for key in loader.graph.forwards_plan(leaf))
    yield _INIT_HEADER
    tables = [model for model in loader.project_state().apps.get_models() if model._meta.can_migrate(connection)]
    with connection.schema_editor(collect_sql=True) as editor:
        for model in (MigrationRecorder.Migration, *sorted(tables, key=lambda model: model._meta.db_table)):
            editor.create_model(model)  # also creates the tables of many-to-many fields
    tables_sql = [statement for statement in editor.collected_sql if statement.startswith("CREATE TABLE")]
    yield from map(_break_lines, tables_sql)
    yield from (statement for statement in editor.collected_sql if statement not in tables_sql)
    recorded = connection.ops.quote_name(MigrationRecorder.Migration._meta.db_table)
    yield f"\nINSERT INTO {recorded} (`app`, `name`, `applied`) VALUES"
    yield ",\n".join(f"    ('{app}', '{name}', UTC_TIMESTAMP(6))" for app, name in applied) + ";\n"


def _break_lines(statement: str) -> str:
    """Return a CREATE TABLE with one line per column."""
    head, _, columns = statement.removesuffix(");").partition(" (")
    return "\n".join((f"{head} (", f"    {_NEXT_COLUMN.sub(f',{_NEW_LINE}', columns)}", ");", ""))


def _list_test_context(connection: Any) -> Iterator[str]:
    yield _CONTEXT_HEADER
    connection.ensure_connection()
    for rows in make_rows():
        fields = type(rows[0])._meta.concrete_fields
        names = ", ".join(connection.ops.quote_name(field.column) for field in fields)
        yield f"INSERT IGNORE INTO {connection.ops.quote_name(type(rows[0])._meta.db_table)}\n    ({names})\nVALUES"
        yield ",\n".join(f"    ({', '.join(_list_values(row, connection))})" for row in rows) + ";\n"


def _list_values(row: models.Model, connection: Any) -> Iterator[str]:
    """Return the literals of a row, as the driver writes them into an INSERT."""
    for field in type(row)._meta.concrete_fields:
        value = field.get_db_prep_save(field.value_from_object(row), connection)
        plain = str(value) if isinstance(value, uuid.UUID) else value
        yield connection.connection.literal(plain).decode()
