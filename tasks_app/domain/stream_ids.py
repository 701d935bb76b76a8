"""The ids of Redis stream entries, each a time and a number: their time and their order.

Owns their arithmetic. Must not query Redis.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

START: Final = "0-0"  # the cursor before the first entry


def get_time_of(entry_id: str) -> datetime:
    """Return the time in a stream id (millisecond resolution, Redis's clock)."""
    return datetime.fromtimestamp(int(entry_id.partition("-")[0]) / 1000, tz=UTC)


def is_older(first: str, second: str) -> bool:
    """Return whether the stream id `first` comes before `second`."""
    return _parts(first) < _parts(second)


def _parts(entry_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence or 0)
