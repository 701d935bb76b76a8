"""The time in a task's id. Ids are UUIDv7, so a range of times is a range of ids. Must not know any table."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Final

_LAST_MILLISECOND: Final = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp() * 1000)


def get_lowest_id(moment: datetime) -> uuid.UUID:
    """Return the lowest UUIDv7 of a time: no task created from then on has a lower id."""
    milliseconds = max(0, int(moment.timestamp() * 1000))
    return uuid.UUID(int=(milliseconds << 80) | (0x7 << 76) | (0x2 << 62))


def get_time_of_id(task_id: uuid.UUID) -> datetime:
    """Return when a UUIDv7 was created, to the millisecond."""
    return datetime.fromtimestamp(min(task_id.int >> 80, _LAST_MILLISECOND) / 1000, tz=UTC)
