"""When a task may begin: the time that a client gives, and its bounds.

Owns the text's form and the bounds. Must not read a clock: callers pass the current time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

MOST_DAYS: Final = 366
CHARACTERS: Final = 40
NO_TIME: Final = "Must be a time in ISO 8601 with a time zone, such as 2026-12-01T03:00:00+01:00."
NO_ZONE: Final = "Has no time zone: append Z for UTC, or an offset such as +01:00."
TOO_LATE: Final = (
    f"Must be at most {MOST_DAYS} days from now: the task waits in Redis's memory until then, and its files are kept."
)


def read_start_at(text: str) -> datetime:
    """Return the time that an ISO 8601 text names, in UTC. Raises ValueError with a sentence for the client."""
    text = text.strip().upper() if len(text) <= CHARACTERS else ""
    if "T" not in text and " " not in text:  # fromisoformat accepts any character between date and time
        raise ValueError(NO_TIME)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(NO_TIME) from None
    if moment.tzinfo is None:
        raise ValueError(NO_ZONE)
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # in the first or the last hours of the calendar
        raise ValueError(NO_TIME) from None


def find_start(start_at: datetime | None, *, now: datetime) -> datetime | None:
    """Return the time at which a task begins, in UTC; None: at once, because the time has come or none is given.

    Raises ValueError with a sentence for the client.
    """
    if start_at is None:
        return None
    if start_at.tzinfo is None:
        raise ValueError(NO_ZONE)
    if start_at <= now:
        return None
    if start_at > now + timedelta(days=MOST_DAYS):
        raise ValueError(TOO_LATE)
    return start_at.astimezone(UTC)
