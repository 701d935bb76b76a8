"""The size of the next chunk in records: a chunk should take about CHUNK_SECONDS.

Owns this rule. Must not know tasks or stores.
"""

from __future__ import annotations

from tasks_app.conf import settings
from tasks_app.task_types import TaskType


class ChunkSize:
    """The limit of records for the next chunk of one task."""

    def __init__(self, task_type: TaskType, *, careful: bool) -> None:
        self._max = task_type.max_limit
        # After a failed attempt or a dead worker it starts with one record, in case the chunk was too big.
        self.limit = 1 if careful else min(task_type.first_limit, task_type.max_limit)

    def adapt(self, *, done: int, seconds: float) -> None:
        """Adapt the limit after a chunk of `done` records that took `seconds`: at most double, at least half."""
        if done <= 0 or seconds <= 0:
            return
        aim = done * settings.LONGTASKS.chunk_seconds / seconds
        self.limit = int(max(1, min(self._max, self.limit * 2, max(self.limit / 2, aim))))

    def halve(self) -> None:
        """Halve the limit."""
        self.limit = max(1, self.limit // 2)
