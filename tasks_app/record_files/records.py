"""A record of a file: its values by column, its line, the position behind it, and what is wrong with it.

Owns the limits of one record. Must not know formats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from tasks_app.record_files.errors import UnreadableFile, describe_place
from tasks_app.record_files.positions import Position

MOST_RECORD_BYTES: Final = 1024 * 1024  # of a record, with the blank lines before it
MOST_COLUMNS: Final = 1000
RAW_CHARACTERS: Final = 1000  # of a record that could not be parsed
RAW: Final = ""  # the column under which they are


class Fault(NamedTuple):
    """Why one record is not accepted, and where. The records after it can be read."""

    message: str
    line: int
    column: int = 0  # from 1; 0: unknown
    byte: int | None = None  # of the file

    def __str__(self) -> str:
        return f"{describe_place(line=self.line, column=self.column, byte=self.byte)}: {self.message}"


class Record(NamedTuple):
    """One record. With a fault, `values` are what could be read; the text of one that could not be parsed is under RAW."""

    line: int  # at which it begins, from 1
    values: Mapping[str, Any]
    next: Position
    fault: Fault | None = None


def refuse_size(start: Position, *, lines: int, most: int = MOST_RECORD_BYTES) -> UnreadableFile:
    """Return the error of a record of more than `most` bytes, which has so many lines, with the blank ones before it."""
    hint = "; it has several lines: is a closing quote missing?" if lines > 1 else ""
    return UnreadableFile(
        f"the record, with the blank lines before it, is longer than {most} bytes{hint}",
        line=start.line,
        byte=start.offset,
    )
