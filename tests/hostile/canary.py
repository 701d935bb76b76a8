"""The canary: finds what an earlier task left in its process and session.

Owns the checks; `damage` owns what is left.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

from django.db import connection
from django.utils import timezone, translation


def find_leftovers() -> list[str]:
    """Return the traces of earlier tasks in this process."""
    found = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    found += [f"{number.name} is ignored" for number, handler in handlers.items() if handler == signal.SIG_IGN]
    if Path.cwd() == Path("/"):
        found.append("the current directory is /")
    if os.environ.get("PATH") == "/nowhere" or "DATABASE_URL" not in os.environ:
        found.append("the environment has changed")
    if os.environ.get("TZ") == "Asia/Kathmandu" or time.timezone == -20700:
        found.append("the process's time zone")
    mask = os.umask(0o022)
    os.umask(mask)
    if mask == 0o777:
        found.append("the umask is 777")
    if translation.get_language() == "es":
        found.append("the language is es")
    if timezone.get_current_timezone_name() == "Asia/Kathmandu":
        found.append("Django's time zone")
    if sys.stdout is None or sys.stderr is None:
        found.append("a standard stream is None")
    for number in (0, 1, 2):
        with contextlib.suppress(OSError):
            os.fstat(number)
            continue
        found.append(f"file {number} is closed")
    if not connection.in_atomic_block or len(connection.savepoint_ids) > 0:
        found.append(f"{len(connection.savepoint_ids)} savepoints are open")
    if connection.vendor == "mysql":
        found += _find_session_leftovers()
    return found


def _find_session_leftovers() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT @@sql_mode, @@time_zone, @@foreign_key_checks, @@tx_isolation, @@character_set_client, DATABASE(),"
            " IS_USED_LOCK('hostile') = CONNECTION_ID()"
        )
        mode, zone, keys, isolation, charset, database, lock = cursor.fetchone()
    checks = {
        "sql_mode": mode == "",
        "time_zone": zone == "+05:45",
        "foreign_key_checks": keys == 0,
        "isolation": isolation == "READ-UNCOMMITTED",
        "character set": charset == "latin1",
        "database": database == "information_schema",
        "a user lock": bool(lock),
    }
    return [f"the session's {name}" for name, is_left in checks.items() if is_left]
