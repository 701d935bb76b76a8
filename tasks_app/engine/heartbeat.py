"""A worker's heartbeat: once a second it writes to Redis that it lives, what it is and what it runs.

Owns when it is sent. Must not judge a missed heartbeat (recovery does).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import redis

from tasks_app.queues.worker_entries import beat
from tasks_app.resilience.transient_errors import REDIS_ERRORS

logger = logging.getLogger(__name__)
INTERVAL_SECONDS: Final = 1.0


class Heartbeat:
    """The heartbeat of one worker. `describe` returns the fields of its entry."""

    def __init__(
        self,
        *,
        connection: redis.Redis[Any],
        worker: str,
        queues: Sequence[str],
        ttl_seconds: int,
        describe: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._redis = connection
        self._worker = worker
        self._queues = queues
        self._ttl_seconds = ttl_seconds
        self._describe = describe
        self._sent_at = 0.0

    def send(self) -> bool:
        """Send the heartbeat if one is due. True: it was sent. Raises Redis's errors.

        Everything is written each time, so that the entry is complete within a second after a FLUSHALL.
        """
        now = time.monotonic()
        if now - self._sent_at < INTERVAL_SECONDS:
            return False
        beat(
            self._redis,
            worker=self._worker,
            queues=self._queues,
            fields=dict(self._describe()),
            ttl_seconds=self._ttl_seconds,
        )
        self._sent_at = now
        return True

    def send_quietly(self) -> None:
        """Send the heartbeat if one is due; while Redis is unavailable, only log that."""
        try:
            self.send()
        except REDIS_ERRORS as error:
            logger.debug("no heartbeat: %s", error)
