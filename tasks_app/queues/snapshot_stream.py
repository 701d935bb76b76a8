"""The stream of snapshots: appended on a pipeline, read from a cursor, trimmed.

Owns the Redis stream `longtasks:events`. Must not know SQL, RQ or who writes and reads the snapshots.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from redis import Redis
from redis.exceptions import OutOfMemoryError

from tasks_app.domain.stream_ids import START, get_time_of
from tasks_app.domain.task_snapshot import Snapshot, encode

STREAM_KEY: Final = "longtasks:events"
MIRRORED_KEY: Final = "longtasks:mirrored"  # the id up to which entries were applied and trimmed


def append(pipeline: Redis[Any], snapshot: Snapshot) -> None:
    """Append a snapshot to the stream, on the pipeline that makes the change."""
    pipeline.xadd(STREAM_KEY, {"s": encode(snapshot)})


def read(connection: Redis[Any], *, after: str, count: int, block_ms: int | None = None) -> list[tuple[str, bytes]]:
    """Return up to `count` entries after the cursor `after`, oldest first: stream id and snapshot JSON.

    With `block_ms` it waits that long for the first entry. For an entry without a snapshot it returns the text of the
    entry's fields.
    """
    reply: Any = connection.xread({STREAM_KEY: after}, count=count, block=block_ms)
    if not reply:
        return []
    # The reply is a list of pairs in RESP2, a mapping to a list of lists in RESP3.
    entries: Any
    if isinstance(reply, dict):
        entries = next(iter(reply.values()))
        if entries and isinstance(entries[0], list) and entries[0] and isinstance(entries[0][0], (list, tuple)):
            entries = entries[0]
    else:
        entries = reply[0][1]
    return [(_text(entry_id), _snapshot_of(entry)) for entry_id, entry in entries]


def _snapshot_of(entry: dict[bytes | str, bytes | str]) -> bytes:
    data = entry.get(b"s", entry.get("s"))
    if data is None:
        data = repr(entry)
    return data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")


def trim(connection: Redis[Any], *, through: str) -> None:
    """Delete all entries up to and including the cursor `through`, and record it as applied."""
    milliseconds, _, sequence = through.partition("-")
    pipeline = connection.pipeline(transaction=False)
    pipeline.xtrim(STREAM_KEY, minid=f"{milliseconds}-{int(sequence or 0) + 1}", approximate=False)
    if through != START:
        pipeline.set(MIRRORED_KEY, through)
    trimmed, *noted = pipeline.execute(raise_on_error=False)
    if isinstance(trimmed, Exception):
        raise trimmed
    # A full Redis trims but refuses the SET. The next trim writes the record.
    for reply in noted:
        if isinstance(reply, Exception) and not isinstance(reply, OutOfMemoryError):
            raise reply


def get_mirrored_id(connection: Redis[Any]) -> str:
    """Return the id up to which a mirror has applied and trimmed the stream; `0-0` if none has."""
    value: Any = connection.get(MIRRORED_KEY)
    return _text(value) if value else START


def forget_mirrored_id(connection: Redis[Any]) -> None:
    """Delete the record of applied entries, because the stream is read from its beginning again."""
    connection.delete(MIRRORED_KEY)


def get_last_id(connection: Redis[Any]) -> str:
    """Return the last id that the stream has generated; `0-0` for a new or flushed stream."""
    try:
        info: Any = connection.xinfo_stream(STREAM_KEY)
    except Exception as error:  # redis.ResponseError: no such key
        if "no such key" in str(error).lower():
            return START
        raise
    return _text(info["last-generated-id"])


def get_oldest_at(connection: Redis[Any]) -> datetime | None:
    """Return when the oldest entry was written, by Redis's clock; None if all were applied and trimmed."""
    entries: Any = connection.xrange(STREAM_KEY, count=1)
    return get_time_of(_text(entries[0][0])) if entries else None


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
