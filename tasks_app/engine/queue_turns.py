"""Whose turn it is among a worker's queues: the more urgent first, and each of the others its share of the time.

Owns the time that each queue was passed over. Must not read a queue.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings


class QueueTurns:
    """The turns of one worker's queues, which are given in the order of their urgency."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)
        # Seconds spent on more urgent queues since each of the others had its turn.
        self._passed_over_seconds = dict.fromkeys(self._names[1:], 0.0)

    def list_in_order(self) -> list[str]:
        """Return the queues in their order, but first those whose share (LOW_SHARE) is due, the longest passed over first."""
        share = settings.LONGTASKS.low_share
        due_seconds = settings.LONGTASKS.chunk_seconds * (1 - share) / share if share > 0 else float("inf")
        passed_over = self._passed_over_seconds
        due = [name for name in passed_over if passed_over[name] >= due_seconds]
        due.sort(key=lambda name: passed_over[name], reverse=True)
        return [*due, *(name for name in self._names if name not in due)]

    def note_turn(self, name: str, *, seconds: float) -> None:
        """Note that a queue had its turn: the less urgent ones were passed over for so long."""
        if name in self._passed_over_seconds:
            self._passed_over_seconds[name] = 0.0
        for less_urgent in self._names[self._names.index(name) + 1 :]:
            self._passed_over_seconds[less_urgent] += seconds
