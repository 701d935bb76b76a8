"""How long to wait before the next attempt: growing pauses with jitter.

Owns the formula. Must not know tasks.
"""

from __future__ import annotations

import random

from django.conf import settings


def get_retry_delay_seconds(failures: int) -> float:
    """Return the pause before the next attempt: doubling from RETRY_FIRST_SECONDS, with ±20 % jitter."""
    longtasks = settings.LONGTASKS
    pause = min(longtasks.retry_max_seconds, longtasks.retry_first_seconds * 2 ** (failures - 1))
    return pause * random.uniform(0.8, 1.2)  # noqa: S311 (jitter is no secret)
