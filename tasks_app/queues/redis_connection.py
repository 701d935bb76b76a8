"""The connection to Redis: one pool for each process, by URL or through Sentinels.

Owns time limits and the change of primary. Must not know keys or tasks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlencode

import redis
from django_rq.connection_utils import get_redis_connection
from redis.backoff import NoBackoff
from redis.retry import Retry

from tasks_app.conf import settings
from tasks_app.errors import QueueUnavailable
from tasks_app.queues.queue_names import HIGH
from tasks_app.queues.thread_connection import UNAVAILABLE_ERRORS, RedisRefused


class LeavesIsolatedPrimary:
    """For a connection through Sentinels: drops a primary that refuses writes, and tries the next Sentinel.

    In a network partition a Sentinel on the minority side still reports the old primary, and redis-py keeps asking
    that Sentinel.
    """

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().read_response(*args, **kwargs)  # type: ignore[misc]
        except RedisRefused as error:
            self.disconnect()  # type: ignore[attr-defined]
            self.leave_isolated_primary(error)
            raise

    def leave_isolated_primary(self, answer: Exception) -> None:
        """Let the next connection query another Sentinel first, if this answer refuses writes."""
        if isinstance(answer, RedisRefused):
            sentinels = self.connection_pool.sentinel_manager.sentinels  # type: ignore[attr-defined]
            sentinels.append(sentinels.pop(0))


def get_connection(*, timeout_seconds: float | None = None) -> redis.Redis[Any]:
    """Return this process's connection to Redis (a pool, safe for threads and after a fork).

    A call fails after REDIS_TIMEOUT_SECONDS (without Sentinels: after `timeout_seconds`, if given). It never repeats a
    command by itself.
    """
    config = settings.RQ_QUEUES[HIGH]
    return _connect(config.get("URL", ""), timeout_seconds or settings.LONGTASKS.redis_timeout_seconds)


@lru_cache(maxsize=4)
def _connect(url: str, timeout_seconds: float) -> redis.Redis[Any]:
    if not url:  # Sentinels: django-rq knows how to find the primary
        client = get_redis_connection(settings.RQ_QUEUES[HIGH])
        pool = client.connection_pool
        pool.connection_class = type("PrimaryChecked", (LeavesIsolatedPrimary, pool.connection_class), {})
        return client
    address, _, query = url.partition("?")
    # Parameters in the URL would take precedence over the arguments below.
    kept = [(name, value) for name, value in parse_qsl(query) if not name.startswith("socket_")]
    return redis.Redis.from_url(
        f"{address}?{urlencode(kept)}" if kept else address,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )


@contextmanager
def mapped_redis_errors() -> Iterator[None]:
    """Turn the errors of a Redis that is unavailable, hung, loading or read-only into QueueUnavailable."""
    try:
        yield
    except UNAVAILABLE_ERRORS as error:
        raise QueueUnavailable(type(error).__name__) from error
