"""Ends the database connection of a worker whose tasks are requeued: a frozen worker would keep its locks.

Owns the KILL. A worker reports the id of its connection with its heartbeat. If the server has reused the id (after a
restart), this ends another connection of the same user, which reconnects. MySQL and MariaDB only.
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
    """End the connection that the worker reported last. No effect if it reported none, or if it is gone."""
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
        logger.warning("the database connection of worker %s was ended, because its tasks are requeued", worker)
    except DatabaseError as error:
        logger.info("worker %s no longer has a database connection: %.200s", worker, error)
