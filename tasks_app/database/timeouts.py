"""The timeouts of this process's database connections: idle time, connecting, and waiting for a response.

Owns these settings of the connections. Must not retry.
"""

from __future__ import annotations

import math
from typing import Any

from django.db import connections
from django.db.backends.signals import connection_created


def limit_idle_time(seconds: float) -> None:
    """Make the database close connections of this process that are idle for this long, even inside a transaction.

    Otherwise a worker that is stopped (SIGSTOP) in the middle of a chunk would keep its locks, and its successor would
    wait for them. MySQL and MariaDB only: `wait_timeout` counts the time between two statements.
    """

    def set_wait_timeout(sender: object, connection: Any, **_: object) -> None:
        if connection.vendor == "mysql":
            with connection.cursor() as cursor:
                cursor.execute("SET SESSION wait_timeout = %s", [max(1, math.ceil(seconds))])

    connection_created.connect(set_wait_timeout, weak=False, dispatch_uid="limit_silence")


def limit_answer_time(seconds: float) -> None:
    """Limit how long this process waits for a response of the database, which may hang without closing a connection.

    Rounded down to whole seconds, which the driver requires. MySQL and MariaDB only; applies to new connections.
    """
    whole = max(1, math.floor(seconds))
    for config in _mysql_configs():
        limits = dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), whole)
        given = config["OPTIONS"]
        config["OPTIONS"] = given | {name: min(most, given.get(name, most)) for name, most in limits.items()}


def allow_statement_time(seconds: float) -> None:
    """Allow this process's statements this long. For a process that detects a hung database in another way."""
    for config in _mysql_configs():
        config["OPTIONS"] = config["OPTIONS"] | dict.fromkeys(("read_timeout", "write_timeout"), math.ceil(seconds))


def _mysql_configs() -> list[dict[str, Any]]:
    return [connections[alias].settings_dict for alias in connections if connections[alias].vendor == "mysql"]
