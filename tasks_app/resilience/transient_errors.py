"""Which errors are the infrastructure's and not the task's, and how a process waits until it is back.

An error of the infrastructure (the database or Redis away, a deadlock, a lock that took too long) is no attempt of
the task: the chunk is tried again. Must not decide anything about tasks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import redis
from django.db import DatabaseError, InterfaceError

from tasks_app.database.error_causes import is_database_error
from tasks_app.errors import StoreUnavailable
from tasks_app.queues.pipelined_connection import AWAY

Result = TypeVar("Result")
REDIS_ERRORS: Final = (*AWAY, redis.exceptions.NoScriptError)


def is_transient_error(error: BaseException) -> bool:
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


class TransactionLost(Exception):
    """The database rolled the chunk's transaction back, or the connection broke: the chunk is to be tried again."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error)[:1000])
        self.error = error
