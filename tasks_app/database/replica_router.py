"""Chooses the database of a read: the replica (DATABASE_READ_URL) for reads that may be stale, else the primary.

Owns the router and the fallback for an unavailable replica. Must not know what is read. Only reads through
`read_lagging` use the replica; workers, mirror, rescue and commands never do.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, TypeVar

from django.db import DEFAULT_DB_ALIAS, DatabaseError

from tasks_app.conf import settings
from tasks_app.database.error_causes import is_database_error

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")
REPLICA: Final = "replica"
ROUTER: Final = "tasks_app.database.replica_router.ReplicaRouter"  # another project may have a replica of its own use
UNAVAILABLE_SECONDS: Final = 5.0  # how long a failed replica is not used

_may_lag: ContextVar[bool] = ContextVar("may_lag", default=False)


class _Rest:
    """The time until which this process does not use the replica."""

    until = 0.0


class ReplicaRouter:
    """Routes reads inside `read_lagging` to the replica. Installed if DATABASE_READ_URL is set."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return REPLICA if _may_lag.get() else None

    def db_for_write(self, model: Any, **hints: Any) -> str:
        # By default Django would write to the database that the instance was read from.
        return DEFAULT_DB_ALIAS

    def allow_relation(self, first: Any, second: Any, **hints: Any) -> bool:
        return True

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return False if db == REPLICA else None


def has_replica() -> bool:
    """Return whether a replica is configured."""
    return REPLICA in settings.DATABASES and ROUTER in settings.DATABASE_ROUTERS


def read_lagging(step: Callable[[], Answer]) -> Answer:
    """Run a read that may be stale on the replica; on the primary if there is no replica or it is unavailable.

    The step must fetch its rows before it returns: a queryset that is evaluated later would read the primary.
    """
    if not has_replica() or time.monotonic() < _Rest.until:
        return step()
    token = _may_lag.set(True)
    try:
        return step()
    except DatabaseError as error:
        if not (is_database_error(error) or _has_old_tables(error)):
            raise
        _Rest.until = time.monotonic() + UNAVAILABLE_SECONDS
        logger.warning("the replica is unavailable: reads go to the primary for %g s: %s", UNAVAILABLE_SECONDS, error)
    finally:
        _may_lag.reset(token)
    return step()


def _has_old_tables(error: DatabaseError) -> bool:
    """Return whether a replica lacks the last migration: a column (1054), table (1146) or index (1176) is unknown."""
    return bool(error.args) and error.args[0] in (1054, 1146, 1176)
