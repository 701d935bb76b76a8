"""How long to wait before the next try: a delay that doubles, with jitter.

Owns the formula. Must not know what is tried again.
"""

from __future__ import annotations

import random
from typing import Final

from tasks_app.task_types import get_retry_pauses

MAX_DOUBLINGS: Final = 30  # an outage of hours has thousands of tries: 2**1024 does not fit into a float


def get_delay_seconds(
    failures: int, *, first_seconds: float, max_seconds: float, jitter: tuple[float, float] = (0.8, 1.2)
) -> float:
    """Return the delay after so many failures, in seconds: doubling from `first_seconds`, then times the jitter."""
    delay_seconds = min(max_seconds, first_seconds * 2 ** min(failures - 1, MAX_DOUBLINGS))
    return float(delay_seconds * random.uniform(*jitter))  # noqa: S311 (jitter is not a secret)


def get_retry_delay_seconds(name: str, failures: int) -> float:
    """Return the delay before the next attempt of a task of that type: between its pauses, or the settings', ±20 %."""
    first_seconds, max_seconds = get_retry_pauses(name)
    return get_delay_seconds(failures, first_seconds=first_seconds, max_seconds=max_seconds)
