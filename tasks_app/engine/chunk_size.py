"""How many records the next chunk has, so that it takes about CHUNK_SECONDS.

Owns the rule. Must not know tasks or stores.
"""

from __future__ import annotations

from django.conf import settings

from tasks_app.task_types import TaskType


class ChunkSize:
    """How many records the next chunk may have, so that it takes about CHUNK_SECONDS."""

    def __init__(self, task_type: TaskType, *, careful: bool) -> None:
        self._max = task_type.max_limit
        # A task whose worker died begins again with little, in case it was too much at once.
        self.limit = 1 if careful else min(task_type.first_limit, task_type.max_limit)

    def adapt(self, *, done: int, seconds: float) -> None:
        """Adapt the limit after a chunk of `done` records that took `seconds`: at most double, at least half."""
        if done <= 0 or seconds <= 0:
            return
        aim = done * settings.LONGTASKS.chunk_seconds / seconds
        self.limit = int(max(1, min(self._max, self.limit * 2, max(self.limit / 2, aim))))

    def halve(self) -> None:
        """Ask for half as much the next time."""
        self.limit = max(1, self.limit // 2)
