"""Counts the tries of a chunk that the database refuses, and decides when it has been tried for long enough.

Owns this limit. While the database answers nothing at all, there is no limit: no other worker could do better.
"""

from __future__ import annotations

import time

from tasks_app.database.error_causes import get_patience_seconds
from tasks_app.resilience.transient_errors import TransactionLost

SHOWN_FROM: int = 3  # tries; a deadlock is over before


class ChunkRefused(Exception):
    """The database refused the chunk for too long while it answered other statements."""


class ChunkTries:
    """The tries of one chunk since its last commit."""

    def __init__(self) -> None:
        self.number = 0
        self._began = 0.0
        self._error: BaseException = Exception()

    def note(self, error: BaseException) -> None:
        """Count a try that ended in `error`."""
        self._error = error.error if isinstance(error, TransactionLost) else error
        if not self.number:
            self._began = time.monotonic()
        self.number += 1

    def note_outage(self) -> None:
        """Restart the time: the database answered nothing at all, which says nothing about this chunk."""
        self._began = time.monotonic()

    @property
    def text(self) -> str:
        """The text that a task shows while it waits; "" for the first tries."""
        if self.number < SHOWN_FROM:
            return ""
        seconds = time.monotonic() - self._began
        return f"Waiting for the database: try {self.number} after {seconds:.0f} s: {str(self._error)[:500]}"

    def check(self) -> None:
        """Raise ChunkRefused if the chunk has been tried for as long as its error allows."""
        seconds = time.monotonic() - self._began
        if seconds > get_patience_seconds(self._error):
            raise ChunkRefused(
                f"The chunk was tried {self.number} times in {seconds:.0f} s. The database answered other statements "
                f"meanwhile, and this chunk with: {str(self._error)[:1000]}"
            ) from self._error
