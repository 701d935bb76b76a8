"""Asks Redis for its time. A process that need not ask estimates it: redis_clock."""

from __future__ import annotations

from typing import Any

import redis


def read_time(connection: redis.Redis[Any]) -> float:
    """Return Redis's time in seconds since 1970. The scores of registries and the ids of the stream count by it."""
    seconds, microseconds = connection.time()
    return float(seconds + microseconds / 1e6)
