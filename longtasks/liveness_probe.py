"""`python -m longtasks.liveness_probe worker|mirror`: the liveness probe of the processes without a port; exits 0 or 1.

Owns the two checks, which read the latest heartbeats of this host from Redis. Exits 0 while Redis is unavailable, because a
restart would not help. Must not write.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import Any

import redis
from django.core.exceptions import ImproperlyConfigured

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings.development")


def is_worker_alive() -> bool:
    """Return whether a worker of this host sent a heartbeat within the last minute, after which its key in Redis expires."""
    from tasks_app.queues import redis_connection, redis_keys

    prefix = redis_keys.worker_key(f"{socket.gethostname().replace(':', '-')}-").encode()
    connection = redis_connection.get_connection()
    keys: Any = connection.smembers(redis_keys.WORKERS_KEY)
    return any(connection.exists(key) for key in keys if key.startswith(prefix))


def is_mirror_alive() -> bool:
    """Return whether the mirror keeps up: a stuck mirror lags more than twice what /health/ready allows."""
    from django.conf import settings

    from tasks_app.queues import redis_connection, snapshot_stream

    connection = redis_connection.get_connection()
    oldest_at = snapshot_stream.get_oldest_at(connection)
    now, _ = connection.time()
    return oldest_at is None or now - oldest_at.timestamp() < 2 * settings.LONGTASKS.ready_lag_seconds


CHECKS = {"worker": is_worker_alive, "mirror": is_mirror_alive}


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in CHECKS:
        sys.stderr.write("usage: python -m longtasks.liveness_probe worker|mirror\n")
        return 2
    import django

    try:
        django.setup()
        return 0 if CHECKS[arguments[0]]() else 1
    except redis.RedisError:
        return 0
    except ImproperlyConfigured as error:
        sys.stderr.write(f"longtasks: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
