"""The admission limit: how many tasks may wait in each queue, and when a refused client should try again.

Owns the arithmetic. lua/enqueue.lua enforces the limit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from tasks_app.conf import settings
from tasks_app.queues import queue_names
from tasks_app.queues.queue_names import HIGH


def get_bounds() -> Mapping[str, int]:
    """Return how many tasks may wait in each queue: QUEUE_BOUND in `high`, less the share QUEUE_RESERVE in the others."""
    longtasks = settings.LONGTASKS
    return _divide(longtasks.queue_bound, longtasks.queue_reserve, queue_names.QUEUES)


@lru_cache(maxsize=8)
def _divide(bound: int, reserve: float, queues: tuple[str, ...]) -> Mapping[str, int]:
    others = max(1, int(bound * (1 - reserve)))
    return MappingProxyType({name: bound if name == HIGH else others for name in queues})


def get_retry_after_seconds(*, excess: int, drained: float) -> int:
    """Return when there will be room: the excess over the rate at which tasks end; 1 to 300 seconds."""
    if drained <= 0:
        return 30
    return max(1, min(300, math.ceil(excess / drained)))
