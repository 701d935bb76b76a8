"""Which errors are the infrastructure's and not the task's, and how a process waits until it is back.

An error of the infrastructure (the database or Redis away, a deadlock, a lock that took too long) is no attempt of
the task: the chunk is tried again. Must not decide anything about tasks.
"""

from __future__ import annotations

import logging
import math
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn, TypeVar

import redis
from django.db import DatabaseError, InterfaceError, connections
from django.db.backends.signals import connection_created

from tasks_app.database.error_causes import DEADLOCK, get_code, is_database_error
from tasks_app.engine.chunk_guard import TransactionLost
from tasks_app.errors import StoreUnavailable
from tasks_app.queues.pipelined_connection import AWAY

Result = TypeVar("Result")
DEADLOCK_TRIES: Final = 5
REDIS_ERRORS: Final = (*AWAY, redis.exceptions.NoScriptError)


def is_infrastructure_error(error: BaseException) -> bool:
    """Tell whether the error is the infrastructure's: it is waited for, and costs no attempt."""
    return isinstance(error, (TransactionLost, *REDIS_ERRORS)) or is_database_error(error)


@contextmanager
def mapped_errors() -> Iterator[None]:
    """Turn the errors of a database that is away into StoreUnavailable, for commands and queries."""
    try:
        yield
    except (DatabaseError, InterfaceError) as error:
        if is_database_error(error):
            raise StoreUnavailable(type(error).__name__) from error
        raise


def repeat_after_deadlock(step: Callable[[], Result]) -> Result:
    """Run a short transaction again where another one's lock has ended it: the database asks for that (error 1213)."""
    for _ in range(DEADLOCK_TRIES - 1):
        try:
            return step()
        except DatabaseError as error:
            if get_code(error) != DEADLOCK:
                raise
    return step()


def limit_silence(seconds: float) -> None:
    """Let the database drop this process's connections when it falls silent for so long, in a transaction too.

    A worker that was stopped (SIGSTOP) in the middle of a chunk would hold its locks against the one that takes
    over. MySQL and MariaDB only: `wait_timeout` counts between two statements.
    """

    def set_wait_timeout(sender: object, connection: Any, **_: object) -> None:
        if connection.vendor == "mysql":
            with connection.cursor() as cursor:
                cursor.execute("SET SESSION wait_timeout = %s", [max(1, math.ceil(seconds))])

    connection_created.connect(set_wait_timeout, weak=False, dispatch_uid="limit_silence")


def limit_waiting(seconds: float) -> None:
    """Let this process wait no longer for an answer of the database, which may hang without closing anything.

    Whole seconds, as the driver takes them. MySQL and MariaDB only, and for connections that are opened from now on.
    """
    whole = max(1, math.floor(seconds))
    for config in _mysql_configs():
        limits = dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), whole)
        given = config["OPTIONS"]
        config["OPTIONS"] = given | {name: min(most, given.get(name, most)) for name, most in limits.items()}


def let_statements_take(seconds: float) -> None:
    """Let this process wait so long for a statement: for one that has another way to notice a database that hangs."""
    for config in _mysql_configs():
        config["OPTIONS"] = config["OPTIONS"] | dict.fromkeys(("read_timeout", "write_timeout"), math.ceil(seconds))


def _mysql_configs() -> list[dict[str, Any]]:
    return [connections[alias].settings_dict for alias in connections if connections[alias].vendor == "mysql"]


def exit_at_once(code: int = 0) -> NoReturn:
    """End this process without taking the interpreter apart, which costs 0.3 s of processor time that a deploy waits for.

    For processes that have let go of everything.
    """
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)


class GaveUp(Exception):
    """The process was asked to stop while it waited for the infrastructure."""


class Patience:
    """Waits between two tries, longer each time, up to a second; ends at once when the process shall stop."""

    def __init__(self, *, should_stop: Callable[[], bool], while_waiting: Callable[[], None] | None = None) -> None:
        self._should_stop = should_stop
        self._while_waiting = while_waiting
        self._tries = 0

    def wait(self) -> None:
        """Wait a little. Raises GaveUp when the process shall stop. Closes database connections that broke."""
        if self._tries >= 1 and self._should_stop():
            raise GaveUp  # after a second try: a deadlock is soon over
        for connection in connections.all(initialized_only=True):
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()
        pause_seconds = min(1.0, 0.02 * 2**self._tries)
        self._tries += 1
        time.sleep(pause_seconds * random.uniform(0.5, 1.0))  # noqa: S311 (jitter is no secret)
        if self._while_waiting is not None:
            self._while_waiting()
