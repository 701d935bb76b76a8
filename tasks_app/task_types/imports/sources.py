"""Where the records of a chunk stand in the file: one after the other, or where a list of failures says.

Owns the state of an import, and the key by which the list of failures names a record. Must not validate records.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Protocol

from tasks_app.errors import HopelessError
from tasks_app.models import TaskFailure
from tasks_app.record_files import Position, Record
from tasks_app.task_types.collections.failure_walk import FailurePage, read_page
from tasks_app.task_types.failure_lists import find_range
from tasks_app.task_types.imports.open_import import Batch, OpenImport
from tasks_app.task_types.task_type import Chunk

# The position before the record: blank lines between the two are of no account.
_PLACE: Final = re.compile(r"byte ([0-9]{1,18}), line ([0-9]{1,18})\Z")


class Source(Protocol):
    """The records of one chunk; `has_ended`: none follow; `is_text`: their values are the texts of a CSV file."""

    records: list[Record]
    has_ended: bool
    is_text: bool

    def get_state(self, number: int) -> dict[str, Any]:
        """Return the state behind the first `number` records."""
        ...

    def get_place(self, place: int) -> str:
        """Return the key of a record of this chunk in the list of failures."""
        ...


def take_records(opened: OpenImport, chunk: Chunk, *, most_records: int, most_bytes: int) -> Source:
    """Return the next records of a chunk: at least one, if there is one. Raises RecordFileError and HopelessError."""
    listed = find_range(chunk.params)
    if listed is None:
        at = Position.from_state(chunk.state)
        if at.offset < opened.records.start.offset:  # behind the header, or the byte order mark
            at = opened.records.start
        end = chunk.state.get("end")
        batch = opened.take(at, most_records=most_records, most_bytes=most_bytes, end=end)
        return _Consecutive(batch, chunk=chunk, at=at)
    page = read_page(listed, chunk.state, limit=most_records)
    return _Listed(opened, page, most_bytes=most_bytes)


class _Consecutive:
    """Records that follow one another."""

    def __init__(self, batch: Batch, *, chunk: Chunk, at: Position) -> None:
        self.records, self.has_ended, self.is_text = batch
        self._chunk, self._at = chunk, at

    def get_state(self, number: int) -> dict[str, Any]:
        end: Mapping[str, Any] = {"end": self._chunk.state["end"]} if "end" in self._chunk.state else {}
        return {**self._before(number).as_state(), **end}

    def get_place(self, place: int) -> str:
        at = self._before(place)
        return f"byte {at.offset}, line {at.line}"

    def _before(self, place: int) -> Position:
        return self.records[place - 1].next if place else self._at


class _Listed:
    """Records that a list of failures names, as many as `most_bytes` allows, but one at least."""

    def __init__(self, opened: OpenImport, page: FailurePage, *, most_bytes: int) -> None:
        self._page = page
        self.records: list[Record] = []
        self.is_text = True
        size = 0
        for failure in page.failures:
            at = _read_place(failure)
            batch = opened.take(at, most_records=1, most_bytes=most_bytes, end=None)
            if not batch.records:
                raise HopelessError(f"The file has no record at {failure.key}, where one has failed.")
            self.records += batch.records
            self.is_text = batch.is_text
            size += batch.records[0].next.offset - at.offset
            if size >= most_bytes:
                break
        self.has_ended = page.is_end(len(self.records))

    def get_state(self, number: int) -> dict[str, Any]:
        return self._page.get_state(number)

    def get_place(self, place: int) -> str:
        return self._page.failures[place].key


def _read_place(failure: TaskFailure) -> Position:
    found = _PLACE.match(failure.key)
    if found is None:
        raise HopelessError(
            f"The list has no position of failed record {failure.position:,}: its key is {failure.key[:100]!r}; accepted: "
            "byte N, line N. Get the list as CSV, correct its records, and start an import of that file."
        )
    return Position(int(found[1]), int(found[2]))
