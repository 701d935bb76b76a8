"""Rows as bytes: CSV or JSON lines, each row for itself, so that parts can be joined; and gzip of the whole.

Owns both formats. The same rows give the same bytes. Must not read a row.
"""

from __future__ import annotations

import csv
import datetime
import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

import orjson
from django.utils.duration import duration_iso_string

CSV: Final = "csv"
JSON_LINES: Final = "jsonl"
CONTENT_TYPES: Final = {CSV: "text/csv; charset=utf-8", JSON_LINES: "application/jsonl"}
GZIP: Final = "application/gzip"
_GZIP_LEVEL: Final = 6
_GZIP_WBITS: Final = 31  # a gzip header without name and time


def format_header(columns: Sequence[str], *, file_format: str) -> bytes:
    """Return what comes before the first row."""
    return _format_csv([columns]) if file_format == CSV else b""


def format_rows(rows: Iterable[Sequence[Any]], columns: Sequence[str], *, file_format: str) -> bytes:
    """Return rows as bytes in UTF-8.

    CSV as RFC 4180: lines end with CRLF; None is empty, True is `true`. Times are ISO 8601, decimals keep their digits.
    """
    if file_format == CSV:
        return _format_csv([_to_text(value) for value in row] for row in rows)
    return b"".join(
        orjson.dumps(
            dict(zip(columns, row, strict=True)), default=_to_text, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z
        )
        for row in rows
    )


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
            return orjson.dumps(value, default=str).decode()
    return str(value)
