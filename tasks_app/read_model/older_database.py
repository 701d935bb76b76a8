"""Notes that the database is older than Redis: the mirror's cursor went back.

Owns the note, a Redis key. recovery/restored_database.py acts on it.
"""

from __future__ import annotations

from typing import Any, Final

import redis

from tasks_app.domain import stream_ids
from tasks_app.queues import snapshot_stream

KEY: Final = "longtasks:database-restored"  # the cursor that the older database had, until rescue has compared


def note_if_older(connection: redis.Redis[Any], *, cursor: str) -> None:
    """Note that the database is older than Redis, if it is: its cursor is behind what a mirror has trimmed.

    Before the cursor moves on: afterwards nothing tells.
    """
    if stream_ids.is_older(cursor, snapshot_stream.get_mirrored_id(connection)):
        connection.set(KEY, cursor, nx=True)


def read_note(connection: redis.Redis[Any]) -> str:
    """Return the cursor of the older database, or "" where nothing is to be compared."""
    value: Any = connection.get(KEY)
    return value.decode(errors="replace") if value else ""


def forget_note(connection: redis.Redis[Any]) -> None:
    connection.delete(KEY)
