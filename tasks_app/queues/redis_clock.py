"""This process's estimate of Redis's clock, by which tasks are timed: from the times in Redis's replies.

Owns the estimate and the skew of this machine's clock. Sends no command. Small differences are ignored, because the
network's delay causes as much.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

TRUSTED_SECONDS: Final = 0.25  # a smaller skew is ignored
_STALE_SECONDS: Final = 60.0


class RedisClock:
    """Redis's time as this process estimates it. Thread-safe: each update replaces one tuple."""

    def __init__(self) -> None:
        # How far Redis's clock is ahead of this machine's, the error of that, and when it was measured.
        self._seen = (0.0, float("inf"), float("-inf"))

    def note(self, *, sent_at: float, seconds: Any, microseconds: Any) -> None:
        """Use the time in a reply to a command that was sent at `sent_at` (time.time()). The most exact one counts."""
        now, monotonic = time.time(), time.monotonic()
        error = max(0.0, now - sent_at) / 2
        _, known_error, known_at = self._seen
        if error <= known_error or monotonic - known_at > _STALE_SECONDS:
            ahead = int(seconds) + int(microseconds) / 1e6 - (sent_at + now) / 2
            self._seen = (ahead, error, monotonic)

    @property
    def is_known(self) -> bool:
        """Whether Redis's clock has been measured."""
        return self._seen[1] != float("inf")

    @property
    def skew_seconds(self) -> float:
        """How far this machine's clock is ahead of Redis's (negative: behind); 0 if that is not known."""
        ahead, error, _ = self._seen
        return -ahead if abs(ahead) > error else 0.0

    def now(self) -> datetime:
        """Return this machine's time, corrected if its skew is more than TRUSTED_SECONDS."""
        skew = self.skew_seconds
        now = datetime.now(UTC)
        return now - timedelta(seconds=skew) if abs(skew) > TRUSTED_SECONDS else now


clock: Final = RedisClock()
