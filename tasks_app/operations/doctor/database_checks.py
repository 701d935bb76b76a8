"""Checks the database: connection, configuration, migrations, number of connections, and columns that hold any text.

Owns these checks. Must not change anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from tasks_app.conf import settings
from tasks_app.database import charsets, identity_columns
from tasks_app.operations.doctor.findings import FAULT, OK, WARNING, Finding
from tasks_app.operations.doctor.settings_checks import get_settings_module

RESERVED_CONNECTIONS: Final = 10  # for people and backups
WEB_OTHER_CONNECTIONS: Final = 13  # of a web process: reads, uploads and the storing of them, the event loop's


def check_database() -> Iterator[Finding]:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA synchronous")
            if cursor.fetchone()[0] < 2:
                yield Finding(
                    FAULT,
                    "database: durability",
                    "synchronous is not FULL",
                    "Set PRAGMA synchronous to FULL, as settings/database.py does.",
                )
            if get_settings_module().endswith("production"):
                yield Finding(
                    WARNING,
                    "database",
                    "SQLite in production allows one writer at a time",
                    "Set DATABASE_URL to a MySQL or MariaDB server.",
                )
            cursor.execute("SELECT sqlite_version()")
            yield Finding(OK, "database", f"SQLite {cursor.fetchone()[0]}")
            return
        yield from _check_mysql(cursor)


def _check_mysql(cursor: Any) -> Iterator[Finding]:
    cursor.execute(
        "SELECT @@version, @@session.time_zone, @@session.sql_mode, @@global.innodb_flush_log_at_trx_commit,"
        " @@global.max_connections, @@global.read_only, @@global.local_infile"
    )
    number, time_zone, sql_mode, flush, connections, read_only, local_infile = cursor.fetchone()
    isolation_name = "tx_isolation" if "MariaDB" in number else "transaction_isolation"
    cursor.execute(f"SELECT @@session.{isolation_name}")
    isolation = str(cursor.fetchone()[0])
    if isolation.upper() != "READ-COMMITTED":
        yield Finding(
            FAULT,
            "database: isolation",
            f"{isolation}: gap locks block workers on each other, and fenced workers read old rows",
            "Remove isolation_level from DATABASE_URL; settings/database.py sets read committed.",
        )
    if time_zone not in ("+00:00", "UTC"):
        yield Finding(
            FAULT,
            "database: time zone",
            f"the session's time_zone is {time_zone}: leases and timestamps would be wrong",
            "Remove init_command from DATABASE_URL; settings/database.py sets '+00:00'.",
        )
    if "STRICT" not in sql_mode.upper():
        yield Finding(
            FAULT,
            "database: sql_mode",
            f"not strict ({sql_mode or 'empty'}): the server truncates values that do not fit, without an error",
            "Set sql_mode=STRICT_TRANS_TABLES (deploy/mariadb.cnf).",
        )
    if int(flush) != 1:
        yield Finding(
            FAULT,
            "database: durability",
            f"innodb_flush_log_at_trx_commit is {flush}: a power failure loses committed chunks",
            "SET GLOBAL innodb_flush_log_at_trx_commit = 1, and the same in deploy/mariadb.cnf.",
        )
    if settings.LONGTASKS.bulk_writer and not int(local_infile):
        yield Finding(
            WARNING,
            "database: bulk writer",
            "BULK_WRITER=1 has no effect because local_infile is off: the ORM writes the rows, which is slower",
            "SET GLOBAL local_infile = 1, and the same in deploy/mariadb.cnf; or unset BULK_WRITER.",
        )
    yield from _check_charsets()
    if int(read_only):
        yield Finding(FAULT, "database: read only", "the server refuses writes", "Point DATABASE_URL at the primary.")
    yield from _check_connections(int(connections))
    yield Finding(OK, "database", f"{number}, {isolation}, {time_zone}")


def _check_charsets() -> Iterator[Finding]:
    charset = charsets.get_narrow_default()
    if charset:
        name = connection.ops.quote_name(connection.settings_dict["NAME"])
        yield Finding(
            FAULT,
            "database: charset",
            f"the default of new tables is {charset}: new tables cannot hold every text",
            f"ALTER DATABASE {name} CHARACTER SET {charsets.WANTED};",
        )
    narrow = charsets.list_narrow_tables()
    for each in narrow:
        yield Finding(
            FAULT,
            f"database: charset of {each.table}",
            f"{each.charset} ({', '.join(each.columns)}): tasks with other characters are set aside",
            f"Run when writers can wait, because it copies the table: {each.statement}",
        )
    for loose in identity_columns.list_loose_tables():
        if loose.table in {each.table for each in narrow}:
            continue  # the statement above fixes the collation too
        yield Finding(
            FAULT,
            f"database: collation of {loose.table}",
            f"{', '.join(loose.collations)} ({', '.join(loose.columns)}): 'ana' and 'Ana' count as one owner",
            f"Run when writers can wait: {loose.statement}",
        )


def _check_connections(allowed: int) -> Iterator[Finding]:
    needed = (
        settings.WEB_WORKERS * (settings.WEB_THREADS + WEB_OTHER_CONNECTIONS)
        + 2 * settings.WORKERS
        + 2
        + RESERVED_CONNECTIONS
    )
    if allowed < needed:
        yield Finding(
            FAULT,
            "database: connections",
            f"max_connections is {allowed}; the processes of this machine alone need up to {needed}",
            f"Set max_connections to {needed} or more (deploy/mariadb.cnf), or lower WEB_WORKERS and WORKERS.",
        )


def check_migrations() -> Iterator[Finding]:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _ in plan[:3])
        yield Finding(FAULT, "migrations", f"{len(plan)} not applied: {names}", "python manage.py migrate")
    else:
        yield Finding(OK, "migrations", "all applied")
