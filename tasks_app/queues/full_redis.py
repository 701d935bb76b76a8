"""Writes a few small keys even when Redis has reached maxmemory, and checks whether Redis accepts writes.

Owns these exceptions to the memory limit. Must not be used for anything that grows.
"""

from __future__ import annotations

from typing import Any, Final

import redis

from tasks_app.queues.lua_script import Script

PROBE_KEY: Final = "longtasks:probe"  # never exists

_set: Final = Script("set")


def set_when_full(connection: redis.Redis[Any], key: str, value: str, *, seconds: int = 0) -> None:
    """Set a small key, even in a Redis at maxmemory. With `seconds` it expires."""
    _set(connection, (key,), (value, seconds))


def check_writes(connection: redis.Redis[Any], *, room: bool) -> None:
    """Raise the error that a write would raise now, without writing. With `room` also when Redis is full."""
    if room:
        connection.execute_command("SETRANGE", PROBE_KEY, 0, "")  # an empty value creates no key
    else:
        connection.delete(PROBE_KEY)
