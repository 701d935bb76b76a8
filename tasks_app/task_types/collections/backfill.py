"""The base class of back-fills: task types that change the rows of a table.

Owns what `process` may return. Must not read pages (collection_task).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks_app.task_types.collections.collection_task import CollectionTask, Run


class Backfill(CollectionTask):
    """Processes each row of a collection exactly once. Implement `collection` and `process`.

    docs/your-own-tasks.md says which rows are seen while others change them.
    """

    max_limit = 1_000  # the database's time for a bulk_update() of one statement grows with the square of its rows

    def process(self, rows: list[Any], run: Run) -> Mapping[str, int] | None:
        """Process a page of rows, in the transaction of its chunk. May return counts, which are added to the task's.

        Any exception rolls the page back and counts as a failed attempt; HopelessError as the last one.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement process")

    def process_page(self, rows: list[Any], run: Run) -> None:
        """Call `process`, and count what it returns."""
        counts = self.process(rows, run)
        if counts is None:
            return
        if not isinstance(counts, Mapping):
            raise TypeError(
                f"{type(self).__name__}.process() returned {counts!r:.100}: return counts by name, or nothing."
            )
        for name, number in counts.items():
            run.count(name, number)
