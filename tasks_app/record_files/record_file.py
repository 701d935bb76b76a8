"""A file of records: its format, encoding, delimiter and columns, and its records from any position.

Owns the order in which these are found out. Must not know where the file comes from.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from tasks_app.record_files.csv_records import CsvParser, Fields, assign_columns
from tasks_app.record_files.encodings import HEAD_BYTES, find_coding
from tasks_app.record_files.errors import HeaderRefused, UnreadableFile
from tasks_app.record_files.header import Columns, check_header, count_known
from tasks_app.record_files.json_records import parse_json_lines
from tasks_app.record_files.lines import open_text, read_head, read_lines
from tasks_app.record_files.positions import Position
from tasks_app.record_files.record_edges import find_csv_edges, find_json_edges
from tasks_app.record_files.records import MOST_RECORD_BYTES, Record

CSV: Final = "csv"
JSON_LINES: Final = "jsonl"
FORMATS: Final = (CSV, JSON_LINES)
DELIMITERS: Final = {",": ",", ";": ";", "tab": "\t"}  # by the names that a parameter may have
_HEADER_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """How a file is read; what is empty is found from the file."""

    format: str = CSV  # one of FORMATS
    encoding: str = ""  # a key of ENCODINGS
    delimiter: str = ""  # a key of DELIMITERS


@dataclass(frozen=True, slots=True)
class RecordIndex:
    """The number of records up to `end`, and the position before every N-th of them."""

    records: int
    positions: tuple[Position, ...]
    end: Position
    is_complete: bool  # False: the file has more than the bytes that were to be read


class RecordFile:
    """A seekable binary file of records; the caller closes it. Not for threads.

    The header of a CSV file is read and checked at once. Raises HeaderRefused and UnreadableFile.
    """

    def __init__(self, file: BinaryIO, *, options: ReadOptions, columns: Columns) -> None:
        self.format = options.format
        self._columns = columns
        self._text = open_text(file)
        # Of the text in bytes; None if it is compressed.
        self.size = file.seek(0, io.SEEK_END) if self._text is file else None
        head = read_head(self._text, HEAD_BYTES)
        self._coding = find_coding(head, declared=options.encoding)
        self._begin = Position(self._coding.mark_bytes, 1)
        if not head:
            raise HeaderRefused("the file is empty", line=1)
        self.names: tuple[str, ...] = columns.known
        self.start = self._begin  # of the first record
        self.delimiter = ""
        if self.format == CSV:
            self._read_header(DELIMITERS[options.delimiter] if options.delimiter else "")

    def read(self, position: Position | None = None) -> Iterator[Record]:
        """Yield the records from a position on; None: from the first one. Raises UnreadableFile.

        Only one iterator of a file may be in use.
        """
        at = self.start if position is None or position.offset < self.start.offset else position
        lines = self._lines(at)
        if self.format == JSON_LINES:
            yield from parse_json_lines(lines, position=at, coding=self._coding)
            return
        for parsed in CsvParser(lines, position=at, coding=self._coding, delimiter=self.delimiter):
            yield assign_columns(parsed, self.names)

    def check_first_record(self) -> None:
        """Check the keys of the first JSON record as the header of CSV is. Raises HeaderRefused and UnreadableFile."""
        if self.format == CSV:
            return
        record = next(self.read(), None)
        if record is None:
            raise HeaderRefused("the file has no record", line=1)
        if record.fault is not None:
            fault = record.fault
            raise HeaderRefused(fault.message, line=fault.line, column=fault.column, byte=fault.byte)
        check_header(list(record.values), line=record.line, columns=self._columns)

    def index(self, *, every: int, most_bytes: int | None = None) -> RecordIndex:
        """Count the records, and note the position before every N-th; stop after `most_bytes` of the text.

        Reads the whole file once. An unreadable place ends the count, as it ends an import.
        """
        positions, records, at, is_complete = [self.start], 0, self.start, True
        try:
            for edge in self._find_edges():
                records += 1
                at = edge
                if records % every == 0:
                    positions.append(at)
                if most_bytes is not None and at.offset > most_bytes:
                    is_complete = False
                    break
        except UnreadableFile:
            is_complete = False
        if records and records % every == 0:
            positions.pop()
        return RecordIndex(records, tuple(positions), at, is_complete)

    def _find_edges(self) -> Iterator[Position]:
        lines = self._lines(self.start)
        if self.format == JSON_LINES:
            return find_json_edges(lines, position=self.start, coding=self._coding)
        return find_csv_edges(lines, position=self.start, coding=self._coding, delimiter=self.delimiter)

    def _lines(self, position: Position, most_bytes: int = MOST_RECORD_BYTES) -> Iterator[bytes]:
        return read_lines(
            self._text,
            position=position,
            coding=self._coding,
            most_bytes=most_bytes,
            only_lf=self.format == JSON_LINES,
        )

    def _read_header(self, declared: str) -> None:
        best: tuple[tuple[int, int], str, Fields] | None = None
        refused: UnreadableFile | None = None
        for delimiter in (declared,) if declared else DELIMITERS.values():
            try:
                parsed = self._parse_header(delimiter)
            except UnreadableFile as error:
                refused = refused or error
                continue
            names = [name.strip() for name in parsed.fields]
            fit = count_known(names, self._columns)
            if best is None or fit > best[0]:
                best = fit, delimiter, Fields(parsed.line, names, parsed.next, parsed.fault, parsed.text)
        if best is None:
            raise refused or HeaderRefused("the file has no header", line=1)
        _, self.delimiter, header = best
        if header.fault is not None:
            fault = header.fault
            raise HeaderRefused(fault.message, line=fault.line, column=fault.column, byte=fault.byte)
        check_header(header.fields, line=header.line, columns=self._columns)
        self.names, self.start = tuple(header.fields), header.next

    def _parse_header(self, delimiter: str) -> Fields:
        parser = CsvParser(
            self._lines(self._begin, _HEADER_BYTES),
            position=self._begin,
            coding=self._coding,
            delimiter=delimiter,
            most_bytes=_HEADER_BYTES,
        )
        parsed = next(iter(parser), None)
        if parsed is None:
            raise HeaderRefused("the file has no header", line=1)
        return parsed
