"""How a task finds the records of its next chunk: by an index, or by reading and sorting more than that.

Owns the form of the answer. Must not know any database (page_explanation).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CursorUse:
    """What `TaskType.explain_cursor` returns."""

    text: str  # one sentence for people, without a capital and a full stop
    is_served: bool | None = None  # does an index serve the cursor? None: it needs none, or that is unknown
    rows: int | None = None  # records of the task, for a type that does not know its total beforehand
    rows_are_estimate: bool = False
