"""The drain rate: how many tasks of each queue end per second. Admission computes Retry-After of a full queue from it.

Owns the keys with the rates in Redis. Must not know the stream: the mirror reports each committed batch.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from redis import Redis

from tasks_app.queues import full_redis, queue_names, redis_keys

INTERVAL_SECONDS: Final = 1.0
EXPIRY_SECONDS: Final = 60


class DrainRate:
    """Counts ended tasks by queue and publishes a moving average of their rate."""

    def __init__(self) -> None:
        self._ended: Counter[str] = Counter()
        self._rates = dict.fromkeys(queue_names.QUEUES, 0.0)
        self._published_at = time.monotonic()

    def add(self, ended: Mapping[str, int]) -> None:
        """Count tasks that ended, by queue."""
        self._ended.update(ended)

    def publish(self, connection: Redis[Any]) -> None:
        """Write the rates to Redis, once per INTERVAL_SECONDS at most. Each key expires after EXPIRY_SECONDS."""
        elapsed = time.monotonic() - self._published_at
        if elapsed < INTERVAL_SECONDS:
            return
        for name in queue_names.QUEUES:
            rate = self._ended[name] / elapsed
            self._rates[name] = rate if not self._rates[name] else 0.7 * self._rates[name] + 0.3 * rate
            if self._rates[name] >= 0.01:
                full_redis.set_when_full(
                    connection, redis_keys.drain_key(name), f"{self._rates[name]:.2f}", seconds=EXPIRY_SECONDS
                )
            self._ended[name] = 0
        self._published_at = time.monotonic()
