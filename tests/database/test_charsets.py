"""Tables store any text under any default charset; doctor and processes report old tables that do not."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Generator
from typing import Any

import pytest
from django.db import DEFAULT_DB_ALIAS, connection

from loadtests.started.servers import IS_EMBEDDED, Database
from settings.env import ROOT
from tasks_app.apps import TasksAppConfig
from tasks_app.database import charsets, identity_columns
from tasks_app.operations.doctor import report

pytestmark = pytest.mark.skipif(IS_EMBEDDED, reason="SQLite supports UTF-8 only")
NAME = "longtasks_narrow"
TEXT = "Zażółć 🚀"


@pytest.fixture
def make_database(servers: tuple[Database, Any]) -> Generator[Callable[[str], Database], None, None]:
    database, _ = servers

    def make(charset: str) -> Database:
        database.query("", f"DROP DATABASE IF EXISTS `{NAME}`")
        database.query("", f"CREATE DATABASE `{NAME}` CHARACTER SET {charset}")
        return database

    yield make
    database.query("", f"DROP DATABASE IF EXISTS `{NAME}`")


def migrate(url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "migrate", "--noinput", "--verbosity", "0"],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": url, "DATABASE_READ_URL": ""},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("charset", ["latin1", "utf8mb3"])
def test_migrate_makes_tables_that_hold_any_text(make_database: Callable[[str], Database], charset: str) -> None:
    database = make_database(charset)
    done = migrate(database.url(NAME))
    assert done.returncode == 0, done.stderr
    narrow = database.query(
        NAME,
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = DATABASE()"
        " AND character_set_name NOT IN ('utf8mb4')",
    )
    assert list(narrow) == []
    text = f"CONVERT(X'{TEXT.encode().hex()}' USING utf8mb4)"
    database.query(NAME, f"INSERT INTO tasks_app_queuestate (name, paused_by, reason) VALUES ('low', '', {text})")
    assert database.query(NAME, "SELECT HEX(reason) FROM tasks_app_queuestate") == [(TEXT.encode().hex().upper(),)]


def test_migrate_refuses_in_one_line_where_the_default_cannot_be_changed(
    make_database: Callable[[str], Database],
) -> None:
    database = make_database("latin1")
    database.query("", "CREATE OR REPLACE USER narrow@localhost IDENTIFIED BY ''")
    database.query("", f"GRANT CREATE, SELECT, INSERT, INDEX, REFERENCES ON `{NAME}`.* TO narrow@localhost")
    try:
        done = migrate(database.url(NAME).replace("root@", "narrow@"))
    finally:
        database.query("", "DROP USER narrow@localhost")
    assert done.returncode != 0
    [line] = [line for line in done.stderr.splitlines() if "CommandError" in line]
    assert f"ALTER DATABASE `{NAME}` CHARACTER SET utf8mb4;" in line
    assert "latin1" in line
    assert "Traceback" not in done.stderr
    assert list(database.query(NAME, "SHOW TABLES")) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("charset", ["latin1", "utf8mb3"])
def test_the_doctor_and_a_process_at_its_start_name_old_tables(
    charset: str, redis: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE tasks_app_queuestate MODIFY reason varchar(255) CHARACTER SET {charset} NOT NULL")
        cursor.execute("ALTER TABLE tasks_app_apitoken MODIFY digest varchar(64) CHARACTER SET ascii NOT NULL")
    try:
        findings = {each.check: each for each in report.examine() if "charset" in each.check}
        with caplog.at_level(logging.WARNING):
            charsets.warn_of_narrow_tables()
        [narrow] = charsets.list_narrow_tables()
        assert narrow.columns == ("reason",)
        finding = findings["database: charset of tasks_app_queuestate"]
        assert "ALTER TABLE `tasks_app_queuestate` CONVERT TO CHARACTER SET utf8mb4;" in finding.mend
        assert "reason" in finding.found
        assert len(findings) == 1
        [line] = [each.getMessage() for each in caplog.records if each.name == "tasks_app.database.charsets"]
        assert f"tasks_app_queuestate ({charset})" in line
    finally:
        with connection.cursor() as cursor:
            for statement in narrow.statement.split("; "):
                cursor.execute(statement)
            cursor.execute("ALTER TABLE tasks_app_apitoken CONVERT TO CHARACTER SET utf8mb4")
    assert charsets.list_narrow_tables() == []
    # The narrow table's statement keeps the collation of identity columns; the bare one does not, and the doctor warns.
    findings = {each.check: each for each in report.examine() if "collation" in each.check}
    assert list(findings) == ["database: collation of tasks_app_apitoken"]
    finding = findings["database: collation of tasks_app_apitoken"]
    assert "(owner, scope, digest, prefix, created_by)" in finding.found
    with connection.cursor() as cursor:
        cursor.execute(finding.mend.partition(": ")[2])
    assert identity_columns.list_loose_tables() == []


@pytest.mark.django_db(transaction=True)
def test_the_default_charset_is_checked_only_before_a_migration() -> None:
    config = TasksAppConfig.create("tasks_app")
    quoted = connection.ops.quote_name(connection.settings_dict["NAME"])
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {quoted} CHARACTER SET latin1")
    try:
        charsets.widen_default(config, using=DEFAULT_DB_ALIAS, plan=[])
        assert charsets.get_narrow_default() == "latin1"
        found = {each.check: each.mend for each in report.examine()}
        assert found["database: charset"] == f"ALTER DATABASE {quoted} CHARACTER SET utf8mb4;"
        charsets.widen_default(config, using=DEFAULT_DB_ALIAS, plan=["something"])
        assert charsets.get_narrow_default() == ""
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER DATABASE {quoted} CHARACTER SET utf8mb4")
