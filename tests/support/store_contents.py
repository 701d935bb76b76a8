"""All that the stores hold, so that a test can tell that nothing was stored."""

from __future__ import annotations

from typing import Any

from django.db import connection

from tasks_app.queues import redis_connection


def read_contents() -> dict[str, Any]:
    """Return the rows of every table and the value of every key in Redis."""
    found: dict[str, Any] = {}
    with connection.cursor() as cursor:
        for table in sorted(connection.introspection.table_names(cursor)):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            found[table] = sorted(map(repr, cursor.fetchall()))
    redis = redis_connection.get_connection()
    found["redis"] = {key: redis.dump(key) for key in redis.scan_iter()}
    return found
