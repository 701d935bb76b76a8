"""catalog/sql: both files match write_sql, and give the same database as migrate and load_test_context."""

import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from catalog import sql_scripts
from catalog.models import MODELS
from loadtests.started.servers import IS_EMBEDDED, Database, MariaDB
from loadtests.started.stack import TABLES, ProcfileStack
from settings.env import ROOT

on_mariadb = pytest.mark.skipif(IS_EMBEDDED, reason="the scripts are SQL for MariaDB")
LIMITED = "byhand"
SQL = ROOT / "catalog" / "sql"
MADE_BY_HAND, MIGRATED = "by_hand", "migrated"
SCHEMA = {
    "columns": "table_name, ordinal_position, column_name, column_default, is_nullable, column_type, character_set_name,"
    " collation_name, column_key, extra, generation_expression",
    "statistics": "table_name, index_name, seq_in_index, column_name, non_unique, collation, sub_part, index_type",
    "table_constraints": "table_name, constraint_name, constraint_type",
    "key_column_usage": "table_name, constraint_name, ordinal_position, column_name, referenced_table_name,"
    " referenced_column_name",
    "referential_constraints": "table_name, constraint_name, update_rule, delete_rule, referenced_table_name",
    "check_constraints": "table_name, constraint_name, level, check_clause",
    "tables": "table_name, engine, row_format, table_collation",
}


def load(database: MariaDB, name: str, script: str) -> None:
    """Load a script as a DBA would."""
    with (SQL / script).open("rb") as text:
        subprocess.run(
            ["mariadb", "--no-defaults", f"--socket={database.socket_path}", "--user=root", "--database", name],
            stdin=text,
            check=True,
            timeout=60,
        )


def read_schema(database: Database, name: str) -> dict[str, list[Any]]:
    return {
        view: sorted(
            database.query(name, f"SELECT {columns} FROM information_schema.{view} WHERE {owner(view)} = DATABASE()"),
            key=repr,
        )
        for view, columns in SCHEMA.items()
    }


def owner(view: str) -> str:
    return "table_schema" if view in ("columns", "statistics", "tables") else "constraint_schema"


@pytest.mark.django_db
@on_mariadb
def test_the_files_are_what_the_command_writes(tmp_path: Path) -> None:
    call_command("write_sql", "--directory", str(tmp_path), verbosity=0)
    for name in (sql_scripts.INIT, sql_scripts.TEST_CONTEXT):
        written = (tmp_path / name).read_text(encoding="utf-8")
        assert (SQL / name).read_text(encoding="utf-8") == written, "run `make sql` and commit the result"


@pytest.mark.django_db
@pytest.mark.skipif(not IS_EMBEDDED, reason="for SQLite")
def test_another_database_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"this database is SQLite \d.*make sql"):
        call_command("write_sql", "--directory", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


class HandMadeStack(ProcfileStack):
    """A stack with the tables of init.sql; `migrate --fake-initial` follows, as the file's header says."""

    def make_tables(self) -> str:
        assert isinstance(self.database, MariaDB)
        self.database.query("", f"DROP DATABASE IF EXISTS `{self.database_name}`")
        self.database.query("", f"CREATE DATABASE `{self.database_name}` CHARACTER SET latin1")  # the file widens it
        load(self.database, self.database_name, sql_scripts.INIT)
        load(self.database, self.database_name, sql_scripts.TEST_CONTEXT)
        # The privileges that the service needs, according to docs/operations.md.
        self.database.query("", f"CREATE OR REPLACE USER {LIMITED} IDENTIFIED BY ''")
        self.database.query("", f"GRANT SELECT, INSERT, UPDATE, DELETE ON `{self.database_name}`.* TO {LIMITED}")
        self.environment["DATABASE_URL"] = self.environment["DATABASE_URL"].replace("root@", f"{LIMITED}@", 1)
        return self.manage("migrate", "--fake-initial")


@pytest.fixture
def by_hand(servers: tuple[Database, Any]) -> Generator[HandMadeStack, None, None]:
    database, redis_server = servers
    stack = HandMadeStack(database=database, redis_server=redis_server)
    with stack.redis() as client:
        client.flushdb()
    try:
        yield stack
    finally:
        stack.close()
        database.query("", f"DROP USER IF EXISTS {LIMITED}")


@on_mariadb
@pytest.mark.django_db
def test_both_files_and_two_uploads_give_the_counts_of_the_demo(by_hand: HandMadeStack) -> None:
    assert "No migrations to apply" in by_hand.make_tables()

    # pytest-django's database was created by migrate.
    migrated = str(connection.settings_dict["NAME"])
    made, wanted = (read_schema(by_hand.database, name) for name in (by_hand.database_name, migrated))
    for view, rows in wanted.items():
        assert len(rows) > 10, view
        assert made[view] == rows, view
    applied = "SELECT app, name FROM django_migrations ORDER BY app, name"
    assert by_hand.sql(applied) == by_hand.database.query(migrated, applied)
    permissions = "SELECT codename FROM auth_permission ORDER BY codename"
    assert by_hand.sql(permissions) == by_hand.database.query(migrated, permissions)

    call_command("load_test_context", verbosity=0)
    for model in MODELS:
        table = model._meta.db_table
        names = [field.column for field in model._meta.concrete_fields]
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {', '.join(names)} FROM {table} WHERE id < 100 ORDER BY id")
            assert by_hand.sql(f"SELECT {', '.join(names)} FROM {table} ORDER BY id") == list(cursor.fetchall())
    assert "Inserted 0 users, 0 products, 0 order_items" in by_hand.manage("load_test_context")

    before = {table: by_hand.sql(f"SELECT COUNT(*) FROM {table}")[0][0] for table in TABLES}
    assert before == {"users": 5, "products": 4, "order_items": 8}
    by_hand.ensure_running()
    low = by_hand.start_upload(records=20_000)
    high = by_hand.start_upload(records=1_000)
    for task_id in (low, high):
        assert by_hand.wait_for_end(task_id, deadline_seconds=60)["status"] == "finished"
    after = {table: by_hand.sql(f"SELECT COUNT(*) FROM {table}")[0][0] for table in TABLES}
    assert after == {table: count + 21_000 for table, count in before.items()}
