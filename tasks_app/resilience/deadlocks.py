"""Repeats a short transaction that the database ended as the victim of a deadlock.

Owns the number of tries. Must not wrap anything that is not idempotent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.db import DatabaseError

from tasks_app.database.error_causes import DEADLOCK, get_code
from tasks_app.resilience.transient_errors import Result

DEADLOCK_TRIES: Final = 5


def repeat_after_deadlock(step: Callable[[], Result]) -> Result:
    """Run a short transaction, and repeat it after a deadlock, as the database requests (error 1213)."""
    for _ in range(DEADLOCK_TRIES - 1):
        try:
            return step()
        except DatabaseError as error:
            if get_code(error) != DEADLOCK:
                raise
    return step()
