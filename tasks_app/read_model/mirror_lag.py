"""How far the mirror is behind the stream, in seconds.

Owns that measure. Reads Redis only.
"""

from __future__ import annotations

from typing import Any, Final

import redis

from tasks_app.queues import snapshot_stream
from tasks_app.queues.redis_time import read_time

STUCK_SECONDS: Final = 30.0  # how long one entry may block all others with errors that look like an outage


def get_lag_seconds(connection: redis.Redis[Any]) -> float:
    """Return the age of the oldest snapshot that no mirror has applied yet, in seconds; 0 if there is none."""
    oldest_at = snapshot_stream.get_oldest_at(connection)
    if oldest_at is None:
        return 0.0
    return max(0.0, read_time(connection) - oldest_at.timestamp())
