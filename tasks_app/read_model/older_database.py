"""Records that the database was restored from a backup: the mirror's cursor is behind the entries already trimmed.

Owns the note, a Redis key. Must not repair anything: recovery/restored_database.py does.
"""

from __future__ import annotations

from typing import Any, Final

import redis

from tasks_app.domain import stream_ids
from tasks_app.queues import snapshot_stream

KEY: Final = "longtasks:database-restored"  # the cursor of the restored database, until recovery has compared its tasks


def note_if_older(connection: redis.Redis[Any], *, cursor: str) -> None:
    """Write the note if the database's cursor is behind the entries that a mirror has trimmed.

    Must run before the cursor moves: afterwards the difference is lost.
    """
    if stream_ids.is_older(cursor, snapshot_stream.get_mirrored_id(connection)):
        connection.set(KEY, cursor, nx=True)


def read_note(connection: redis.Redis[Any]) -> str:
    """Return the cursor of the older database, or "" if there is no note."""
    value: Any = connection.get(KEY)
    return value.decode(errors="replace") if value else ""


def forget_note(connection: redis.Redis[Any]) -> None:
    """Delete the note."""
    connection.delete(KEY)
