"""Ends the database connection of a worker that was taken over: one that stands still would keep its locks.

Owns the KILL. A worker tells its connection's number with its heartbeat. A number that was given out anew meanwhile
(after a restart of the server) belongs to another connection of this user, which reconnects. MySQL and MariaDB only.
"""

from __future__ import annotations

import logging
from typing import Any

import redis
from django.db import DatabaseError, connections, router

from tasks_app.models import TaskCheckpoint
from tasks_app.queues import redis_keys

logger = logging.getLogger(__name__)
FIELD = "db_connection"


def end_connection_of(connection: redis.Redis[Any], *, worker: str) -> None:
    """End the connection that the worker told last; nothing where it told none, or where it is gone."""
    database = connections[router.db_for_write(TaskCheckpoint)]
    if database.vendor != "mysql":
        return
    number: Any = connection.hget(redis_keys.worker_key(worker), FIELD)
    if not number or not number.isdigit() or number == b"0":
        return
    connection.hdel(redis_keys.worker_key(worker), FIELD)
    try:
        with database.cursor() as cursor:
            cursor.execute(f"KILL {int(number)}")
        logger.warning("the database connection of worker %s was ended: its tasks were taken back", worker)
    except DatabaseError as error:
        logger.info("worker %s has no database connection any more: %.200s", worker, error)
