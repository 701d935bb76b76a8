"""A row that a chunk of a dry run has changed: as a task type lists it, and as it is stored and shown.

Owns both forms and the limits of what is kept. Must not know stores, tasks or workers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tasks_app.task_types.failed_record import FailedRecord, bound_record, bound_values

CHANGES: Final = 20  # of one task
MODEL_CHARACTERS: Final = 150
_VALUES_BYTES: Final = 8 * 1024  # of one side of a change
_TEXT_CHARACTERS: Final = 500  # of one value


@dataclass(frozen=True, slots=True)
class RowChange:
    """One row before and after a chunk: None before it was inserted, None after it was deleted."""

    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    model: str = ""  # the row's model, as app.Model
    key: object = ""  # the row's primary key
    line: int | None = None  # of the file that the task reads, from 1
    offset: int = 0  # of the record in its chunk, from 0


@dataclass(frozen=True, slots=True)
class StoredChange:
    """A change as it is stored: bounded, with the position in the task."""

    position: int
    line: int | None
    model: str
    key: str
    before: str | None  # JSON objects
    after: str | None
    values_are_exact: bool


def bound_change(change: RowChange, *, start: int) -> StoredChange:
    """Return a change of the chunk that began at record `start`, shortened to what can be stored. Never raises."""
    key, line, _, is_exact = bound_record(FailedRecord(key=change.key, line=change.line))
    sides: list[str | None] = []
    for values in (change.before, change.after):
        if values is None:
            sides.append(None)
            continue
        text, side_is_exact = bound_values(values, most_bytes=_VALUES_BYTES, most_characters=_TEXT_CHARACTERS)
        is_exact &= side_is_exact
        sides.append(text)
    return StoredChange(
        position=start + change.offset,
        line=line,
        model=str(change.model)[:MODEL_CHARACTERS],
        key=key,
        before=sides[0],
        after=sides[1],
        values_are_exact=is_exact,
    )
