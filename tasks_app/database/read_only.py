"""A block in which a connection refuses every write, whoever attempts it.

Owns how each database is told so. Must not know what is read.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from django.db import Error, connections

from tasks_app.database.error_causes import get_code

_REFUSED_WRITE: Final = 1792  # MySQL and MariaDB: the statement writes, and the transaction is read-only
_STATEMENTS: Final = {
    "mysql": ("SET SESSION TRANSACTION READ ONLY", "SET SESSION TRANSACTION READ WRITE"),
    "sqlite": ("PRAGMA query_only = ON", "PRAGMA query_only = OFF"),
}


def is_refused_write(error: BaseException) -> bool:
    """Return whether an error means that a statement would have written inside the block."""
    if get_code(error) is not None:
        return get_code(error) == _REFUSED_WRITE
    return isinstance(error, Error) and "readonly database" in str(error)


@contextmanager
def read_only(alias: str) -> Generator[None, None, None]:
    """Let this thread's connection refuse writes inside the block, which must not be inside of a transaction."""
    connection = connections[alias]
    on, off = _STATEMENTS.get(connection.vendor, ("", ""))
    if not on:
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute(on)
    try:
        yield
    finally:
        if connection.connection is not None:  # a new connection is not read-only
            with connection.cursor() as cursor:
                cursor.execute(off)
