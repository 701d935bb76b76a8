"""The edges of records without their values: what an index of a file needs, many times as fast as reading the records.

Owns which lines are a record of their own; the edges are those of CsvParser and parse_json_lines. Must not find faults.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from tasks_app.record_files.csv_records import CsvParser
from tasks_app.record_files.encodings import Coding
from tasks_app.record_files.json_records import is_blank
from tasks_app.record_files.positions import Position
from tasks_app.record_files.records import MOST_RECORD_BYTES, refuse_size

_LINES_JOINED: Final = 8  # of a record; one with more is left to CsvParser


def find_json_edges(lines: Iterator[bytes], *, position: Position, coding: Coding) -> Iterator[Position]:
    """Yield the position behind each record. Raises UnreadableFile."""
    start = position
    offset, number = position
    for line in lines:
        offset += len(line)
        number += 1
        if offset - start.offset > MOST_RECORD_BYTES:
            raise refuse_size(start, lines=1)
        if not is_blank(line, coding):
            start = Position(offset, number)
            yield start


def find_csv_edges(lines: Iterator[bytes], *, position: Position, coding: Coding, delimiter: str) -> Iterator[Position]:
    """Yield the position behind each record. Raises UnreadableFile.

    A line without a quote is a record, and so are some lines whose quoted fields end in the last one. All others are left
    to CsvParser.
    """
    quote = '"'.encode(coding.codec)
    blank = {text.encode(coding.codec) for text in ("\n", "\r", "\r\n")}
    ends_in_line = _match_whole_record(coding, delimiter)
    start = position  # of the record, or of the blank lines before it
    offset, number = position
    pending: deque[bytes] = deque()  # lines that were taken for a record that they are not of
    while (line := pending.popleft() if pending else next(lines, None)) is not None:
        record, taken = line, 1
        is_known = quote not in line or ends_in_line(line)
        if not is_known:
            pending.appendleft(line)
            while not is_known and taken < _LINES_JOINED:
                if taken == len(pending):
                    if (more := next(lines, None)) is None:
                        break
                    pending.append(more)
                record += pending[taken]
                is_known = quote in pending[taken] and ends_in_line(record)
                taken += 1
            if is_known:
                for _ in range(taken):
                    pending.popleft()
        if not is_known or offset + len(record) - start.offset > MOST_RECORD_BYTES:
            if is_known:
                pending.extendleft(reversed(record.splitlines(keepends=True)) if taken > 1 else [line])
            parser = CsvParser(
                _take(pending, lines),
                position=Position(offset, number),
                coding=coding,
                delimiter=delimiter,
                start=start,
            )
            if (fields := next(iter(parser), None)) is None:
                return
            start = fields.next
            offset, number = start
            yield start
            continue
        offset += len(record)
        number += taken
        if record not in blank:
            start = Position(offset, number)
            yield start


def _take(pending: deque[bytes], lines: Iterator[bytes]) -> Iterator[bytes]:
    while pending:
        yield pending.popleft()
    # Not `yield from`, which would close them when this iterator is abandoned.
    while (line := next(lines, None)) is not None:
        yield line


def _match_whole_record(coding: Coding, delimiter: str) -> Callable[[bytes], object]:
    if coding.is_wide:
        return lambda line: None
    # Possessive, so that each character is read once.
    field = rb'(?>"[^"]*+(?:""[^"]*+)*+"|[^"%s\r\n]*+)' % re.escape(delimiter.encode())
    return re.compile(rb"%s(?:%s%s)*+[\r\n]*+" % (field, re.escape(delimiter.encode()), field)).fullmatch
