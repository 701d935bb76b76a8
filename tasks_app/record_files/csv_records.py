"""CSV records: parsed by Python's csv module, which takes from the lines of the file just those of one record.

So the bytes of the lines that it has taken are the edge of the record. Owns this count and the faults of CSV records. Must not
know which columns are expected.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from tasks_app.record_files.encodings import Coding
from tasks_app.record_files.errors import UnreadableFile
from tasks_app.record_files.positions import Position
from tasks_app.record_files.records import MOST_RECORD_BYTES, RAW, RAW_CHARACTERS, Fault, Record, refuse_size

_NUL: Final = "a NUL character"


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
    ) -> None:
        # The module's own limit is one for the process; it must not be below this file's.
        csv.field_size_limit(max(csv.field_size_limit(), MOST_RECORD_BYTES + 1))
        self._offset, self._line = position
        self._coding, self._delimiter, self._most_bytes = coding, delimiter, most_bytes
        self._texts = self._decode(lines)
        self._start = position  # of the record, or of the blank lines before it
        self._fault: Fault | None = None
        self._text = ""
        self._has_ended = False

    def __iter__(self) -> Iterator[Fields]:
        """Yield the records that are not blank. Raises UnreadableFile."""
        rows = self._make_reader()
        while True:
            first_line, first_byte, fault, text = self._line, self._offset, None, ""
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
                fields, text = [], self._text[:RAW_CHARACTERS]
                fault = self._fault or Fault(f"the record is not valid CSV ({error})", self._line - 1)
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
            self._text = text
            yield text
        self._has_ended = True

    def _invalid_bytes(self, error: UnicodeDecodeError, before: int) -> Fault:
        wrong = error.object[error.start : min(error.end, error.start + 4)]
        message = f"bytes that are invalid in {self._coding.name}: {wrong.hex(' ')}; declare the file's encoding"
        return Fault(message, self._line - 1, byte=before + error.start)


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
