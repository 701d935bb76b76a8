"""Reads the records of bytes, as the tests of record files compare them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from tasks_app.record_files import Columns, Position, ReadOptions, Record, RecordFile, UnreadableFile

COLUMNS = Columns(known=("a", "b"), required=frozenset({"a"}))


def open_bytes(data: bytes, *, columns: Columns = COLUMNS, **options: str) -> RecordFile:
    return RecordFile(io.BytesIO(data), options=ReadOptions(**options), columns=columns)


def read(data: bytes, *, at: Position | None = None, columns: Columns = COLUMNS, **options: str) -> list[Record]:
    """Return all records from a position on."""
    return list(open_bytes(data, columns=columns, **options).read(at))


def rows(records: Sequence[Record]) -> list[Any]:
    """Return the values of each record, or the text of its fault."""
    return [tuple(record.values.values()) if record.fault is None else str(record.fault) for record in records]


def read_until_error(file: RecordFile) -> tuple[list[Record], UnreadableFile | None]:
    records = []
    try:
        for record in file.read():
            records.append(record)
    except UnreadableFile as error:
        return records, error
    return records, None
