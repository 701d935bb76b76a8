"""A circuit breaker: fails queries to a database at once for a second after it hung, without a further timeout.

Owns which databases have hung, in this process's memory. Must not know the queries.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

from django.db import InterfaceError, OperationalError

HUNG_SECONDS: Final = 0.5  # a connection that is dead says so at once
REST_SECONDS: Final = 1.0
_hung_until: Final[dict[str, float]] = {}  # by alias; by this process's monotonic clock


def is_resting(alias: str) -> bool:
    """Return whether this database hung a moment ago, so that it must not be queried now."""
    return monotonic() < _hung_until.get(alias, 0.0)


@contextmanager
def noted_hangs(alias: str) -> Iterator[None]:
    """Context for queries of this database. Raises OperationalError at once if the database hung a moment ago."""
    if is_resting(alias):
        raise OperationalError(2013, "It did not answer a moment ago, and is not asked again at once.")
    began = monotonic()
    try:
        yield
    except (OperationalError, InterfaceError):
        if monotonic() - began > HUNG_SECONDS:
            _hung_until[alias] = monotonic() + REST_SECONDS
        raise
