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
from typing import Any, Final, NoReturn

import redis
from django.db import DatabaseError, InterfaceError, OperationalError, connections
from django.db.backends.signals import connection_created

from tasks_app.errors import StoreUnavailable
from tasks_app.line import AWAY

# MySQL's and MariaDB's numbers: https://mariadb.com/kb/en/mariadb-error-code-reference/
MYSQL_CODES: Final = frozenset(
    {
        1020,  # record has changed since last read (snapshot isolation of MariaDB)
        1040,  # too many connections
        1047,  # unknown command: a Galera node that has left its cluster
        1053,  # server shutdown in progress
        1205,  # lock wait timeout
        1213,  # deadlock, also Galera's certification failure
        1290,  # read-only: a primary that has become a replica
        1792,  # the same, inside a transaction
        1836,  # read-only mode
        1927,  # connection was killed
        2002,  # can't connect through the socket
        2003,  # can't connect
        2006,  # server has gone away
        2013,  # lost connection during query
        2014,  # commands out of sync: a connection that a signal interrupted
        2026,  # TLS connection error
        2055,  # lost connection, system error
        4031,  # disconnected for inactivity
    }
)
SQLITE_WORDS: Final = ("locked", "busy", "disk i/o error", "unable to open")
REDIS_ERRORS: Final = (*AWAY, redis.exceptions.NoScriptError)


def is_database_error(error: BaseException) -> bool:
    """Tell whether the error means that the database is away or busy, rather than that a statement is wrong."""
    if isinstance(error, InterfaceError):
        return True
    if not isinstance(error, OperationalError):
        return False
    code = error.args[0] if error.args else None
    if isinstance(code, int):
        return code in MYSQL_CODES or 1158 <= code <= 1161
    return any(word in str(error).lower() for word in SQLITE_WORDS)


def is_infrastructure_error(error: BaseException) -> bool:
    """Tell whether the error is the infrastructure's: it is waited for, and costs no attempt."""
    return is_database_error(error) or isinstance(error, REDIS_ERRORS)


@contextmanager
def mapped_errors() -> Iterator[None]:
    """Turn the errors of a database that is away into StoreUnavailable, for commands and queries."""
    try:
        yield
    except DatabaseError as error:
        if is_database_error(error):
            raise StoreUnavailable(type(error).__name__) from error
        raise


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
    for alias in connections:
        config = connections[alias].settings_dict
        if connections[alias].vendor == "mysql":
            limits = dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), whole)
            given = config["OPTIONS"]
            config["OPTIONS"] = given | {name: min(most, given.get(name, most)) for name, most in limits.items()}


def exit_at_once() -> NoReturn:
    """End this process without taking the interpreter apart, which costs 0.3 s of processor time that a deploy waits for.

    For processes that have let go of everything.
    """
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


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
        time.sleep(pause_seconds * random.uniform(0.5, 1.0))
        if self._while_waiting is not None:
            self._while_waiting()
