"""The migration to columns that compare bytes, forwards and back, on a database of version 1 with rows."""

import os
import subprocess
import sys
from collections.abc import Generator
from typing import Any

import pytest

from loadtests.started.servers import IS_EMBEDDED, Database
from longtasks.local_stack.child_process import wait_until
from settings.env import ROOT

NAME = "longtasks_of_version_1"
OLD = (("tasks_app", "0006"), ("catalog", "0001"))
TIMES = "'2026-01-01 00:00:00'"
RECORD = (
    "INSERT INTO tasks_app_taskrecord (id, name, description, params, owner, request_id, callback_url, created_at, priority,"
    " status, done, counts, attempts, worker, epoch, cancel_requested, updated_at)"
    " VALUES ('{id}', 'upload', '', '{{}}', '{owner}', '', '', " + TIMES + ", 'low', 'queued', 0, '{{}}', 0, '', 0, 0, "
    + TIMES + ")"
)  # fmt: skip
OWNERS = ("ana", "Ana", "Aná", "ana ", "bob")


@pytest.fixture
def database(servers: tuple[Database, Any]) -> Generator[Database, None, None]:
    made, _ = servers
    made.create_database(NAME)
    yield made
    if not IS_EMBEDDED:
        made.query("", f"DROP DATABASE IF EXISTS `{NAME}`")


def manage(database: Database, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": database.url(NAME), "DATABASE_READ_URL": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def migrate_to(database: Database, *targets: tuple[str, ...]) -> None:
    for target in targets:
        manage(database, "migrate", *target, "--noinput", "--verbosity", "0")


def count_owned(database: Database) -> dict[str, int]:
    sql = "SELECT COUNT(*) FROM tasks_app_taskrecord WHERE owner = %s"
    if IS_EMBEDDED:
        sql = sql.replace("%s", "?")
    return {owner: database.query(NAME, sql, (owner,))[0][0] for owner in OWNERS}


def list_collations(database: Database) -> set[str]:
    rows = database.query(
        NAME,
        "SELECT DISTINCT collation_name FROM information_schema.columns WHERE table_schema = DATABASE()"
        " AND table_name = 'tasks_app_taskrecord' AND column_name IN ('owner', 'name', 'status', 'priority', 'worker')",
    )
    return {collation for (collation,) in rows}


def test_rows_of_version_1_are_distinguished_by_bytes_after_the_upgrade(database: Database) -> None:
    migrate_to(database, *OLD)
    for number, owner in enumerate(OWNERS):
        text = f"{number:032x}"
        key = text if IS_EMBEDDED else f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
        database.query(NAME, RECORD.format(id=key, owner=owner))
    before = count_owned(database)
    assert before == (dict.fromkeys(OWNERS, 1) if IS_EMBEDDED else dict.fromkeys(OWNERS, 4) | {"bob": 1})
    migrate_to(database, ())
    assert count_owned(database) == dict.fromkeys(OWNERS, 1)
    assert "No changes detected" in manage(database, "makemigrations", "--check", "--dry-run")
    if not IS_EMBEDDED:
        assert list_collations(database) == {"utf8mb4_nopad_bin"}
    migrate_to(database, OLD[0])
    assert count_owned(database) == before


@pytest.mark.skipif(IS_EMBEDDED, reason="SQLite has no such collation")
def test_an_upgrade_waits_longer_than_a_request_would(database: Database) -> None:
    """Another session locks the table: the migration's statement waits longer than read_timeout."""
    import MySQLdb

    migrate_to(database, *OLD)
    busy = MySQLdb.connect(unix_socket=str(database.socket_path), user="root", database=NAME)  # type: ignore[attr-defined]
    process = None
    try:
        with busy.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT * FROM tasks_app_taskrecord")
        process = subprocess.Popen(
            [sys.executable, "manage.py", "migrate", "--noinput", "--verbosity", "0"],
            cwd=ROOT,
            env=os.environ | {"DATABASE_URL": database.url(NAME) + "&read_timeout=1", "DATABASE_READ_URL": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        waiting = (
            "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table metadata lock'"
            " AND time_ms > 2500"
        )
        assert wait_until(lambda: database.query(NAME, waiting)[0][0] == 1, deadline_seconds=60)
        busy.rollback()
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output
    finally:
        busy.close()
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()
    assert list_collations(database) == {"utf8mb4_nopad_bin"}
