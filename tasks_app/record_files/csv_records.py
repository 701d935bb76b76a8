"""CSV records: parsed by Python's csv module, which takes from the lines of the file just those of one record.

So the bytes of the lines that it has taken are the edge of the record. Owns this count and the faults of CSV records. Must not
know which columns are expected.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from tasks_app.record_files.encodings import Coding
from tasks_app.record_files.errors import UnreadableFile
from tasks_app.record_files.positions import Position
from tasks_app.record_files.records import MOST_RECORD_BYTES, RAW, RAW_CHARACTERS, Fault, Record, refuse_size

_NUL: Final = "a NUL character: if the file is UTF-16, declare its encoding"
_LINES_APART: Final = 1000  # of a record; short texts take more memory than one of the same length
_QUOTED: Final = re.compile(r'"[^"]*(?:""[^"]*)*"')


class Fields(NamedTuple):
    """The fields of one record, before they are assigned to columns. `text` is set if they could not be parsed."""

    line: int
    fields: list[str]
    next: Position
    fault: Fault | None
    text: str = ""


class CsvParser:
    """Parses the lines of a file from a position on."""

    def __init__(
        self,
        lines: Iterator[bytes],
        *,
        position: Position,
        coding: Coding,
        delimiter: str,
        most_bytes: int = MOST_RECORD_BYTES,
        start: Position | None = None,
    ) -> None:
        """`start`: the position of the blank lines before, which count as a part of the record."""
        # The module's own limit is one for the process; it must not be below this file's.
        csv.field_size_limit(max(csv.field_size_limit(), MOST_RECORD_BYTES + 1))
        self._offset, self._line = position
        self._coding, self._delimiter, self._most_bytes = coding, delimiter, most_bytes
        self._texts = self._decode(lines)
        self._start = start or position  # of the record, or of the blank lines before it
        self._fault: Fault | None = None
        self._record: list[str] = []  # the lines of the record, as texts
        self._has_ended = False

    def __iter__(self) -> Iterator[Fields]:
        """Yield the records that are not blank. Raises UnreadableFile."""
        rows = self._make_reader()
        while True:
            first_line, first_byte, fault, text = self._line, self._offset, None, ""
            self._record.clear()
            try:
                fields = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                if self._has_ended:
                    raise UnreadableFile(
                        "the file ends within a quoted field of the record that begins here: is it cut, or is a closing "
                        "quote missing?",
                        line=first_line,
                        byte=first_byte,
                    ) from None
                whole = "".join(self._record)
                fields, text = [], whole[:RAW_CHARACTERS]
                fault = self._fault or self._not_csv(error, whole)
                rows = self._make_reader()
            if fields or text:
                fault, self._fault = fault or self._fault, None
                self._start = Position(self._offset, self._line)
                yield Fields(first_line, fields, self._start, fault, text)

    def _make_reader(self) -> Any:
        return csv.reader(self._texts, delimiter=self._delimiter, strict=True)

    def _decode(self, lines: Iterator[bytes]) -> Iterator[str]:
        """Yield the lines as texts, and count their bytes as those of the record that takes them."""
        codec = self._coding.codec
        for line in lines:
            before = self._offset
            self._offset += len(line)
            self._line += 1
            if self._offset - self._start.offset > self._most_bytes:
                raise refuse_size(self._start, lines=self._line - self._start.line, most=self._most_bytes)
            try:
                text = line.decode(codec)
            except UnicodeDecodeError as error:
                text = line.decode(codec, "replace")
                if self._fault is None:
                    self._fault = self._invalid_bytes(error, before)
            if "\0" in text and self._fault is None:
                byte = before + len(text[: text.index("\0")].encode(codec, "replace"))
                self._fault = Fault(_NUL, self._line - 1, byte=byte)
            self._record.append(text)
            if len(self._record) > _LINES_APART:
                self._record = ["".join(self._record)]
            yield text
        self._has_ended = True

    def _not_csv(self, error: csv.Error, record: str) -> Fault:
        column = _find_text_after_quote(record, self._delimiter)
        message = "text follows a closing quote; within a quoted field a quote is doubled" if column else str(error)
        return Fault(f"the record is not valid CSV: {message}", self._line - 1, column=column)

    def _invalid_bytes(self, error: UnicodeDecodeError, before: int) -> Fault:
        wrong = error.object[error.start : min(error.end, error.start + 4)]
        message = f"bytes that are invalid in {self._coding.name}: {wrong.hex(' ')}; declare the file's encoding"
        return Fault(message, self._line - 1, byte=before + error.start)


def _find_text_after_quote(record: str, delimiter: str) -> int:
    """Return the column whose closing quote is followed by text; 0 if there is none."""
    at, column = 0, 1
    while True:
        end = record.find(delimiter, at)
        if quoted := _QUOTED.match(record, at):
            end = quoted.end()
            if not record.startswith((delimiter, "\r", "\n"), end):
                return column if end < len(record) else 0
            end = end if record.startswith(delimiter, end) else -1
        if end < 0:
            return 0
        at, column = end + 1, column + 1


def assign_columns(parsed: Fields, columns: Sequence[str]) -> Record:
    """Return the record of these fields; with a fault if there are more or fewer than columns."""
    if parsed.text:
        return Record(parsed.line, {RAW: parsed.text}, parsed.next, parsed.fault)
    fields, fault = parsed.fields, parsed.fault
    if len(fields) != len(columns) and fault is None:
        fault = Fault(
            f"the record has {len(fields)} columns, the header has {len(columns)}",
            parsed.line,
            column=min(len(fields), len(columns)) + 1,
        )
    return Record(parsed.line, dict(zip(columns, fields, strict=False)), parsed.next, fault)
