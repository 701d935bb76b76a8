"""How long a process waits for the database: for a connection, for a lock, for an answer.

Owns these settings of the connections. Must not retry.
"""

from __future__ import annotations

import math
from typing import Any

from django.db import connections
from django.db.backends.signals import connection_created


def limit_idle_time(seconds: float) -> None:
    """Let the database drop this process's connections when it falls silent for so long, in a transaction too.

    A worker that was stopped (SIGSTOP) in the middle of a chunk would hold its locks against the one that takes
    over. MySQL and MariaDB only: `wait_timeout` counts between two statements.
    """

    def set_wait_timeout(sender: object, connection: Any, **_: object) -> None:
        if connection.vendor == "mysql":
            with connection.cursor() as cursor:
                cursor.execute("SET SESSION wait_timeout = %s", [max(1, math.ceil(seconds))])

    connection_created.connect(set_wait_timeout, weak=False, dispatch_uid="limit_silence")


def limit_answer_time(seconds: float) -> None:
    """Let this process wait no longer for an answer of the database, which may hang without closing anything.

    Whole seconds, as the driver takes them. MySQL and MariaDB only, and for connections that are opened from now on.
    """
    whole = max(1, math.floor(seconds))
    for config in _mysql_configs():
        limits = dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), whole)
        given = config["OPTIONS"]
        config["OPTIONS"] = given | {name: min(most, given.get(name, most)) for name, most in limits.items()}


def allow_statement_time(seconds: float) -> None:
    """Let this process wait so long for a statement: for one that has another way to notice a database that hangs."""
    for config in _mysql_configs():
        config["OPTIONS"] = config["OPTIONS"] | dict.fromkeys(("read_timeout", "write_timeout"), math.ceil(seconds))


def _mysql_configs() -> list[dict[str, Any]]:
    return [connections[alias].settings_dict for alias in connections if connections[alias].vendor == "mysql"]
