"""Checks Redis: connection, writes, and a configuration that loses no task.

Owns these checks. Must not change anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import redis

from tasks_app.operations.doctor.findings import FAULT, OK, WARNING, Finding, one_line
from tasks_app.queues import (
    full_redis,
    redis_connection,
)
from tasks_app.queues.thread_connection import UNAVAILABLE_ERRORS, describe_refusal

# The fix for each error code with which Redis refuses a write.
_REFUSALS: Final = {
    "OOM": "Redis has reached maxmemory: raise it (CONFIG SET maxmemory, and redis.conf). Workers continue meanwhile.",
    "BUSY": "A script does not end: SCRIPT KILL, or SHUTDOWN NOSAVE if the script has already written.",
    "MISCONF": "Redis can't write to its disk: free disk space, and read Redis's log.",
    "LOADING": "Redis is loading its data after a start: wait.",
    "READONLY": "Point REDIS_URL at the primary.",
    "NOREPLICAS": "Start the replicas, or lower min-replicas-to-write.",
    "MASTERDOWN": "REDIS_URL names a replica that has lost its primary: point REDIS_URL at the primary.",
    "NOAUTH": "Put the password into REDIS_URL.",
    "WRONGPASS": "Put the new password into REDIS_URL, and restart all processes.",
    "NOPERM": "Grant the user of REDIS_URL the missing commands and keys (ACL SETUSER).",
    "ERR": "Raise maxclients, or find the clients with too many connections (CLIENT LIST).",
}


def check_redis() -> Iterator[Finding]:
    client = redis_connection.get_connection()
    try:
        full_redis.check_writes(client, room=True)
    except UNAVAILABLE_ERRORS as error:
        word = describe_refusal(error)
        if isinstance(error, (redis.ConnectionError, redis.TimeoutError)) and word not in _REFUSALS:
            raise  # Redis does not answer at all
        mend = _REFUSALS.get(word, "Read Redis's log.")
        yield Finding(FAULT, "redis: refuses writes", f"{word}: {one_line(error)}", mend)
        if word != "OOM":
            return  # Redis refuses the next commands too
    info: Any = client.info()
    name = "Valkey" if info.get("server_name") == "valkey" or "valkey_version" in info else "Redis"
    number = info.get("valkey_version") or info["redis_version"]
    if tuple(int(part) for part in info["redis_version"].split(".")[:2]) < (6, 2):
        yield Finding(FAULT, "redis: version", f"{name} {number}", "Use Redis 6.2 or newer (or Valkey).")
    if info.get("role") != "master":
        yield Finding(FAULT, "redis: role", f"this Redis is a {info.get('role')}", "Point REDIS_URL at the primary.")
    if not int(info.get("aof_enabled", 0)):
        yield Finding(
            FAULT,
            "redis: appendonly",
            "appendonly is off: accepted tasks are lost when Redis ends",
            "CONFIG SET appendonly yes, and the same in redis.conf (deploy/redis.conf).",
        )
    elif info.get("aof_last_write_status", "ok") != "ok":
        yield Finding(
            FAULT, "redis: disk", "the last write to the append-only file failed", "Check Redis's disk and log."
        )
    yield from _check_redis_config(client)
    yield Finding(OK, "redis", f"{name} {number}")


def _check_redis_config(client: redis.Redis[Any]) -> Iterator[Finding]:
    try:
        config: Any = client.config_get("*")
    except redis.ResponseError:
        yield Finding(
            WARNING,
            "redis: config",
            "the command CONFIG is not allowed",
            "Compare the configuration with deploy/redis.conf by hand.",
        )
        return
    if config.get("appendfsync") != "always":
        yield Finding(
            FAULT,
            "redis: appendfsync",
            f"appendfsync is {config.get('appendfsync')}: a power failure loses the tasks accepted since the last fsync",
            "CONFIG SET appendfsync always, and the same in redis.conf.",
        )
    policy = config.get("maxmemory-policy")
    if policy != "noeviction":
        yield Finding(
            FAULT,
            "redis: eviction",
            f"maxmemory-policy is {policy}: Redis may delete tasks when its memory is full",
            "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf.",
        )
    packed = config.get("hash-max-listpack-value") or config.get("hash-max-ziplist-value") or "512"
    if int(packed) < 512:
        yield Finding(
            WARNING,
            "redis: hashes",
            f"hash-max-listpack-value is {packed}: a waiting task takes about twice the memory",
            "CONFIG SET hash-max-listpack-value 512, and the same in redis.conf.",
        )
