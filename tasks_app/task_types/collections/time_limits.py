"""Reads of a plan that the server ends after some time: a table may be too large to be read before the first chunk.

Owns the limit of MySQL and MariaDB, and its errors. Must not be used inside a transaction: the error may have ended it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from django.db import OperationalError, connections

Result = TypeVar("Result")
_LEAST_SECONDS: Final = 0.001  # the servers read 0 as "no limit"
_STOPPED_CODES: Final = (1969, 3024)  # of MariaDB and of MySQL
_SELECT: Final = "SELECT"


class OutOfTime(Exception):
    """The server has ended the read at its time limit."""


def read_in_time(read: Callable[[], Result], *, alias: str, seconds: float) -> Result:
    """Return what `read` returns. Each of its statements has so many seconds. Raises OutOfTime.

    SQLite has no such limit.
    """
    connection: Any = connections[alias]
    if connection.vendor != "mysql":
        return read()
    seconds = max(_LEAST_SECONDS, seconds)
    try:
        with connection.execute_wrapper(partial(_limit, seconds=seconds, is_mariadb=connection.mysql_is_mariadb)):
            return read()
    except OperationalError as error:
        if error.args and error.args[0] in _STOPPED_CODES:
            raise OutOfTime(f"The server has ended a read after {seconds:g} s.") from error
        raise


def _limit(
    execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any, *, seconds: float, is_mariadb: bool
) -> Any:
    """Django's execute wrapper: add the limit to a SELECT."""
    if isinstance(sql, str) and sql.startswith(_SELECT):
        if is_mariadb:
            sql = f"SET STATEMENT max_statement_time={seconds:.3f} FOR {sql}"
        else:
            sql = f"{_SELECT} /*+ MAX_EXECUTION_TIME({round(seconds * 1000)}) */{sql.removeprefix(_SELECT)}"
    return execute(sql, params, many, context)
