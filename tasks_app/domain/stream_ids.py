"""The ids of Redis stream entries: a time and a number. Which of two is older, and when it was written.

Owns their arithmetic. Must not ask Redis.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

START: Final = "0-0"  # the cursor before the first entry


def get_time_of(entry_id: str) -> datetime:
    """Return the time that a stream id holds (millisecond resolution, Redis's clock)."""
    return datetime.fromtimestamp(int(entry_id.partition("-")[0]) / 1000, tz=UTC)


def is_older(first: str, second: str) -> bool:
    """Tell whether the stream id `first` comes before `second`."""
    return _parts(first) < _parts(second)


def _parts(entry_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence or 0)
