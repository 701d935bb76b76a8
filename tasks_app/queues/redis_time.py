"""Reads Redis's time. redis_clock estimates it without a command."""

from __future__ import annotations

from typing import Any

import redis


def read_time(connection: redis.Redis[Any]) -> float:
    """Return Redis's time in seconds since 1970, as in the scores of registries and the ids of the stream."""
    seconds, microseconds = connection.time()
    return float(seconds + microseconds / 1e6)
