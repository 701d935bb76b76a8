"""Checks whether this process can serve: Redis, the database, its migrations, and the mirror's lag.

Owns the checks of /health/ready. Each is cheap: one write to Redis without an effect, one SELECT, one read of the stream;
migrations are compared on each call until they are complete, and then once a minute.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import redis
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from tasks_app.conf import settings
from tasks_app.queues import full_redis, redis_connection
from tasks_app.queues.thread_connection import describe_refusal
from tasks_app.read_model import mirror_lag

MIGRATIONS_SECONDS: Final = 60.0
_complete_at: dict[str, float] = {}  # by alias; on this process's monotonic clock


def find_faults() -> dict[str, str]:
    """Return the reason of each failed check by its name; empty if this process can serve."""
    faults: dict[str, str] = {}
    for name, check in _CHECKS.items():
        try:
            reason = check()
        except (redis.ConnectionError, redis.TimeoutError, DatabaseError, InterfaceError) as error:
            reason = f"does not answer ({type(error).__name__})"
        except redis.RedisError as error:
            reason = f"refuses writes ({describe_refusal(error)})"
        if reason:
            faults[name] = reason
    return faults


def _check_redis() -> str:
    # A write, because a Redis that accepts no task still answers a PING.
    full_redis.check_writes(redis_connection.get_connection(), room=True)
    return ""


def _check_database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return ""


def _check_migrations() -> str:
    now = time.monotonic()
    if now - _complete_at.get(connection.alias, -MIGRATIONS_SECONDS) < MIGRATIONS_SECONDS:
        return ""
    missing = _list_known_migrations() - set(MigrationRecorder(connection).applied_migrations())
    if missing:
        return f"{len(missing)} not applied, such as {'.'.join(min(missing))}"
    _complete_at[connection.alias] = now
    return ""


def _list_known_migrations() -> set[tuple[str, str]]:
    loader: Any = MigrationLoader(None, ignore_no_migrations=True)
    return set(loader.disk_migrations)


def _check_mirror() -> str:
    seconds = mirror_lag.get_lag_seconds(redis_connection.get_connection())
    bound = settings.LONGTASKS.ready_lag_seconds
    return f"{seconds:.0f} s behind, {bound:g} are allowed" if seconds > bound else ""


_CHECKS: Final[Mapping[str, Callable[[], str]]] = {
    "redis": _check_redis,
    "database": _check_database,
    "migrations": _check_migrations,
    "mirror": _check_mirror,
}
