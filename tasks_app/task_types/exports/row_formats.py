"""Rows as bytes: CSV or JSON lines, each row for itself, so that parts can be joined; and gzip of the whole.

Owns both formats. The same rows give the same bytes. Must not read a row.
"""

from __future__ import annotations

import base64
import csv
import datetime
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

import orjson
from django.utils.duration import duration_iso_string

from tasks_app.domain.csv_cells import neutralise

CSV: Final = "csv"
JSON_LINES: Final = "jsonl"
CONTENT_TYPES: Final = {CSV: "text/csv; charset=utf-8", JSON_LINES: "application/jsonl"}
GZIP: Final = "application/gzip"
_GZIP_LEVEL: Final = 6
_GZIP_WBITS: Final = 31  # a gzip header without name and time


def format_header(columns: Sequence[str], *, file_format: str) -> bytes:
    """Return what comes before the first row."""
    return _format_csv([columns]) if file_format == CSV else b""


def format_rows(
    rows: Iterable[Sequence[Any]], columns: Sequence[str], *, file_format: str, neutralises_formulas: bool = False
) -> bytes:
    """Return rows as bytes in UTF-8.

    CSV as RFC 4180: lines end with CRLF; None is empty, True is `true`. Times are ISO 8601, decimals keep their digits, bytes
    are Base64. Texts that a spreadsheet would run as a formula get an apostrophe if `neutralises_formulas`.
    """
    if file_format == CSV:
        to_cell = _to_cell if neutralises_formulas else _to_text
        return _format_csv([to_cell(value) for value in row] for row in rows)
    return b"".join(_to_json(dict(zip(columns, row, strict=True))) + b"\n" for row in rows)


def compress(content: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the content as one gzip stream, which depends on the content alone."""
    compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WBITS)
    for data in content:
        if compressed := compressor.compress(data):
            yield compressed
    yield compressor.flush()


def _format_csv(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _to_json(value: Any) -> bytes:
    try:
        return orjson.dumps(value, default=_to_text, option=orjson.OPT_UTC_Z)
    except orjson.JSONEncodeError:  # a number of more than 64 bits, in a column of JSON
        return json.dumps(value, default=_to_text, ensure_ascii=False, separators=(",", ":")).encode()


def _to_cell(value: Any) -> str:
    return neutralise(value) if isinstance(value, str) else _to_text(value)


def _to_text(value: Any) -> str:
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case Decimal():
            return f"{value:f}"
        case datetime.datetime():
            return value.isoformat().replace("+00:00", "Z")
        case datetime.date() | datetime.time():
            return value.isoformat()
        case datetime.timedelta():
            return duration_iso_string(value)
        case dict() | list():
            return _to_json(value).decode()
        case bytes() | bytearray() | memoryview():
            return base64.b64encode(value).decode()
    return str(value)
