"""The order in which a worker serves its queues: the more urgent first, and a minimum share of time for each other one.

Owns the time for which each queue was skipped. Must not read a queue.
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks_app.conf import settings


class QueueTurns:
    """The turns of one worker's queues; `names` are in the order of their urgency."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)
        # Seconds spent on more urgent queues since the last turn of each queue.
        self._skipped_seconds = dict.fromkeys(self._names[1:], 0.0)

    def list_in_order(self) -> list[str]:
        """Return the queues in order of urgency, after those whose share (LOW_SHARE) is due, the longest skipped first."""
        share = settings.LONGTASKS.low_share
        due_seconds = settings.LONGTASKS.chunk_seconds * (1 - share) / share if share > 0 else float("inf")
        skipped = self._skipped_seconds
        due = [name for name in skipped if skipped[name] >= due_seconds]
        due.sort(key=lambda name: skipped[name], reverse=True)
        return [*due, *(name for name in self._names if name not in due)]

    def note_turn(self, name: str, *, seconds: float) -> None:
        """Note that a queue had a turn of so many seconds: the less urgent ones were skipped meanwhile."""
        if name in self._skipped_seconds:
            self._skipped_seconds[name] = 0.0
        for less_urgent in self._names[self._names.index(name) + 1 :]:
            self._skipped_seconds[less_urgent] += seconds
