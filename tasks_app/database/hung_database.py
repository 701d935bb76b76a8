"""A circuit breaker: for a second after a database hung, queries to it fail at once instead of waiting for a timeout.

Owns which databases have hung, in this process's memory. Must not know the queries.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

from django.db import InterfaceError, OperationalError

HUNG_SECONDS: Final = 0.5  # a query that fails later hung; a dead connection fails at once
REST_SECONDS: Final = 1.0
_hung_until: Final[dict[str, float]] = {}  # by alias; on this process's monotonic clock


def is_resting(alias: str) -> bool:
    """Return whether this database hung a moment ago and must not be queried yet."""
    return monotonic() < _hung_until.get(alias, 0.0)


@contextmanager
def noted_hangs(alias: str) -> Iterator[None]:
    """Context for queries of this database. Raises OperationalError at once if the database hung a moment ago."""
    if is_resting(alias):
        raise OperationalError(2013, "The database did not answer a moment ago; the query was not sent.")
    began = monotonic()
    try:
        yield
    except (OperationalError, InterfaceError):
        if monotonic() - began > HUNG_SECONDS:
            _hung_until[alias] = monotonic() + REST_SECONDS
        raise
