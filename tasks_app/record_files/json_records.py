"""JSON lines: one object on each line.

Owns the faults of JSON records. Must not know which keys are expected.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from tasks_app.domain.json_limits import PARAMS_LEVELS, BeyondLimits
from tasks_app.domain.strict_json import DoubledKey, parse_json
from tasks_app.record_files.encodings import UTF_8, Coding
from tasks_app.record_files.positions import Position
from tasks_app.record_files.records import (
    MOST_COLUMNS,
    MOST_RECORD_BYTES,
    RAW,
    RAW_CHARACTERS,
    Fault,
    Record,
    refuse_size,
)


def parse_json_lines(lines: Iterator[bytes], *, position: Position, coding: Coding) -> Iterator[Record]:
    """Yield the records that are not blank. Raises UnreadableFile."""
    start = position
    offset, number = position
    for line in lines:
        before = offset
        offset += len(line)
        if offset - start.offset > MOST_RECORD_BYTES:
            raise refuse_size(start, lines=1)
        after = Position(offset, number + 1)
        record = _parse(line, number, before, after, coding)
        number += 1
        if record is not None:
            start = after
            yield record


def is_blank(line: bytes, coding: Coding) -> bool:
    """Return whether a line holds no record."""
    if coding.codec == UTF_8:
        return not line.strip()
    return not line.decode(coding.codec, "replace").strip()


def _parse(line: bytes, number: int, before: int, after: Position, coding: Coding) -> Record | None:
    """Return the record of a line; None for a blank one."""
    text: bytes | str = line
    try:
        if coding.codec != UTF_8:
            text = line.decode(coding.codec)
        if is_blank(line, coding):
            return None
        # Without its line break, because the parser would name the line behind it.
        value = parse_json(text.rstrip(), levels=PARAMS_LEVELS)
    except UnicodeDecodeError as error:
        return _refuse(
            line, number, after, coding, f"bytes that are invalid in {coding.name}", byte=before + error.start
        )
    except json.JSONDecodeError as error:
        if coding.codec == UTF_8 and (wrong := _find_invalid(line)) is not None:
            return _refuse(line, number, after, coding, "bytes that are invalid in utf-8", byte=before + wrong)
        return _refuse(line, number, after, coding, f"the line is not valid JSON: {error.msg}", column=error.colno)
    except (DoubledKey, BeyondLimits) as error:
        path = getattr(error, "path", ())
        where = f"{'.'.join(path)[:RAW_CHARACTERS]}: " if path else ""
        return _refuse(line, number, after, coding, f"{where}{error}")
    if type(value) is not dict:
        return _refuse(line, number, after, coding, "the line is not a JSON object: {…}")
    if len(value) > MOST_COLUMNS:
        return _refuse(
            line, number, after, coding, f"the object has {len(value)} keys; at most {MOST_COLUMNS} are read"
        )
    return Record(number, value, after)


def _refuse(
    line: bytes, number: int, after: Position, coding: Coding, message: str, *, column: int = 0, byte: int | None = None
) -> Record:
    text = line[: RAW_CHARACTERS * 4].decode(coding.codec, "replace")[:RAW_CHARACTERS]
    return Record(number, {RAW: text}, after, Fault(message, number, column=column, byte=byte))


def _find_invalid(line: bytes) -> int | None:
    try:
        line.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None
