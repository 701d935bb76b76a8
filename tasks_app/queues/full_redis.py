"""Writes to a Redis that has reached maxmemory: a few small keys, and the question whether a write would pass.

Owns these exceptions. Must not be used for anything that grows.
"""

from __future__ import annotations

from typing import Any, Final

import redis

from tasks_app.queues.lua_script import Script

PROBE_KEY: Final = "longtasks:probe"  # never there


_set: Final = Script("set")


def set_when_full(connection: redis.Redis[Any], key: str, value: str, *, seconds: int = 0) -> None:
    """Set a key, for `seconds` where they are given; also in a Redis at its maxmemory: for a few small ones."""
    _set(connection, (key,), (value, seconds))


def check_writes(connection: redis.Redis[Any], *, room: bool) -> None:
    """Raise what a write would raise now, without writing anything; with `room` also when Redis is full."""
    if room:
        connection.execute_command("SETRANGE", PROBE_KEY, 0, "")  # an empty text makes no key
    else:
        connection.delete(PROBE_KEY)
