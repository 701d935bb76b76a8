"""This process's estimate of Redis's clock, by which tasks are timed: from the time that Redis's answers hold.

Owns the estimate and how far this machine's clock is off. Asks nobody. Small differences are left alone: they are no
larger than what the network makes of them.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

TRUSTED_SECONDS: Final = 0.25  # a clock that is less off is taken as it is
_STALE_SECONDS: Final = 60.0


class RedisClock:
    """Redis's time as this process knows it. Safe for threads: each step replaces one tuple."""

    def __init__(self) -> None:
        # How far Redis is ahead of this machine, how far that may be off, and when it was seen.
        self._seen = (0.0, float("inf"), float("-inf"))

    def note(self, *, sent_at: float, seconds: Any, microseconds: Any) -> None:
        """Take the time from an answer to what was sent at `sent_at`, by time.time(). The closest look counts."""
        now, monotonic = time.time(), time.monotonic()
        error = max(0.0, now - sent_at) / 2
        _, known_error, known_at = self._seen
        if error <= known_error or monotonic - known_at > _STALE_SECONDS:
            ahead = int(seconds) + int(microseconds) / 1e6 - (sent_at + now) / 2
            self._seen = (ahead, error, monotonic)

    @property
    def is_known(self) -> bool:
        """Tell whether Redis's clock was seen at all."""
        return self._seen[1] != float("inf")

    @property
    def skew_seconds(self) -> float:
        """How far this machine's clock is ahead of Redis's (behind: below 0); 0 where nothing is known."""
        ahead, error, _ = self._seen
        return -ahead if abs(ahead) > error else 0.0

    def now(self) -> datetime:
        """Return the time: this machine's, corrected where it is off by more than TRUSTED_SECONDS."""
        skew = self.skew_seconds
        now = datetime.now(UTC)
        return now - timedelta(seconds=skew) if abs(skew) > TRUSTED_SECONDS else now


clock: Final = RedisClock()
