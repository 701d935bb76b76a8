"""Which errors are transient: a store is unavailable, a deadlock, a lock wait that took too long.

A transient error costs the task no attempt; the step is repeated. Owns this judgement. Must not wait (store_waits) nor
decide anything about tasks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import redis
from django.db import DatabaseError, InterfaceError

from tasks_app.database.error_causes import is_database_error
from tasks_app.errors import StoreUnavailable
from tasks_app.queues.thread_connection import UNAVAILABLE_ERRORS

Result = TypeVar("Result")
REDIS_ERRORS: Final = (*UNAVAILABLE_ERRORS, redis.exceptions.NoScriptError)


def is_transient_error(error: BaseException) -> bool:
    """Whether the error comes from an unavailable store: the step waits for it, and it costs no attempt."""
    return isinstance(error, (TransactionLost, *REDIS_ERRORS)) or is_database_error(error)


@contextmanager
def mapped_database_errors() -> Iterator[None]:
    """Turn the errors of an unavailable database into StoreUnavailable, for services and queries."""
    try:
        yield
    except (DatabaseError, InterfaceError) as error:
        if is_database_error(error):
            raise StoreUnavailable(type(error).__name__) from error
        raise


class TransactionLost(Exception):
    """The database rolled the chunk's transaction back, or the connection broke: the chunk is tried again."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error)[:1000])
        self.error = error
