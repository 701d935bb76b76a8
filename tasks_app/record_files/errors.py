"""The errors of record files: the place in the file, and the cause.

Owns the wording of a place. Must not quote more of a file than a bounded part.
"""

from __future__ import annotations

from typing import Final

from tasks_app.domain.error_text import describe_value

_SHOWN_NAMES: Final = 50
_SHOWN_CHARACTERS: Final = 64


class RecordFileError(ValueError):
    """A file cannot be read as records. Another attempt with the same file gives the same error."""

    def __init__(self, cause: str, *, line: int = 0, column: int = 0, byte: int | None = None) -> None:
        self.cause, self.line, self.column, self.byte = cause, line, column, byte
        place = describe_place(line=line, column=column, byte=byte)
        super().__init__(f"{place}: {cause}" if place else cause)


class HeaderRefused(RecordFileError):
    """The columns of a file are not those that are expected."""


class UnreadableFile(RecordFileError):
    """A file cannot be read beyond this place: the edge of the next record is unknown."""


def describe_place(*, line: int = 0, column: int = 0, byte: int | None = None) -> str:
    """Return a place in words: "Line 3, column 2 (byte 40)"; empty if nothing of it is known."""
    words = ", ".join(f"{name} {number}" for name, number in (("line", line), ("column", column)) if number)
    if byte is not None:
        words = f"{words} (byte {byte})" if words else f"byte {byte}"
    return words[:1].upper() + words[1:]


def describe_name(name: str) -> str:
    """Return a column's name from a file, quoted, escaped and bounded."""
    return describe_value(name, characters=_SHOWN_CHARACTERS)


def list_names(names: list[str]) -> str:
    """Return known columns as one bounded text."""
    shown = ", ".join(name[:_SHOWN_CHARACTERS] for name in names[:_SHOWN_NAMES])
    more = len(names) - _SHOWN_NAMES
    return f"{shown} and {more} more" if more > 0 else shown
