"""The admission limit: how many tasks may wait in each queue, and when a refused client should try again.

Owns the arithmetic. lua/enqueue.lua enforces the limit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from django.conf import settings

from tasks_app.queues import queue_names
from tasks_app.queues.queue_names import HIGH


def get_bounds() -> Mapping[str, int]:
    """Return how many tasks may wait in each queue: QUEUE_BOUND in `high`, less the share QUEUE_RESERVE in the others."""
    longtasks = settings.LONGTASKS
    others = max(1, int(longtasks.queue_bound * (1 - longtasks.queue_reserve)))
    return {name: longtasks.queue_bound if name == HIGH else others for name in queue_names.QUEUES}


def get_retry_after_seconds(*, excess: int, drained: float) -> int:
    """Return when there will be room: the excess over the rate at which tasks end; 1 to 300 seconds."""
    if drained <= 0:
        return 30
    return max(1, min(300, math.ceil(excess / drained)))
