"""tasks_app/task_types/exports/row_formats.py: values as CSV and JSON lines."""

import csv
import gzip
import io
import json
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks_app.task_types.exports.row_formats import CSV, JSON_LINES, compress, format_header, format_rows

VALUES = [
    (None, "", None),
    (True, "true", True),
    (7, "7", 7),
    (2**63 - 1, "9223372036854775807", 2**63 - 1),
    (1.5, "1.5", 1.5),
    (Decimal("1E+3"), "1000", "1000"),
    (Decimal("10.50"), "10.50", "10.50"),
    ("a,b", "a,b", "a,b"),
    ('say "x"\r\n', 'say "x"\r\n', 'say "x"\r\n'),
    ("ñ日", "ñ日", "ñ日"),
    (datetime(2026, 1, 31, 12, tzinfo=UTC), "2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
    (date(2026, 1, 31), "2026-01-31", "2026-01-31"),
    (time(12, 30), "12:30:00", "12:30:00"),
    (timedelta(minutes=5), "P0DT00H05M00S", "P0DT00H05M00S"),
    (uuid.UUID(int=1), str(uuid.UUID(int=1)), str(uuid.UUID(int=1))),
    ({"a": [1]}, '{"a":[1]}', {"a": [1]}),
    ({"a": 2**70}, '{"a":1180591620717411303424}', {"a": 2**70}),
    (b"\x00\xff", "AP8=", "AP8="),
    ("=1+1", "=1+1", "=1+1"),
]


@pytest.mark.parametrize(("value", "as_csv", "as_json"), VALUES, ids=[repr(value) for value, *_ in VALUES])
def test_values(value: object, as_csv: str, as_json: object) -> None:
    content = format_rows([(value, "end")], ["v", "e"], file_format=CSV).decode()
    assert list(csv.reader(io.StringIO(content, newline=""))) == [[as_csv, "end"]]
    line = format_rows([(value,)], ["v"], file_format=JSON_LINES)
    assert (json.loads(line), line[-1:]) == ({"v": as_json}, b"\n")


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-1+cmd|'/C calc'!A0", "'-1+cmd|'/C calc'!A0"),
        ("\t=1", "'\t=1"),
        ("+49 30 1234", "+49 30 1234"),
        (-5, "-5"),
        (Decimal("-1.5"), "-1.5"),
        ("a=1", "a=1"),
    ],
)
def test_no_text_is_run_as_a_formula_by_a_spreadsheet(value: object, cell: str) -> None:
    content = format_rows([(value, "end")], ["v", "e"], file_format=CSV, neutralises_formulas=True).decode()
    assert list(csv.reader(io.StringIO(content, newline=""))) == [[cell, "end"]]
    line = format_rows([(value,)], ["v"], file_format=JSON_LINES, neutralises_formulas=True)
    assert json.loads(line)["v"] in (value, str(value))  # JSON is not opened in a spreadsheet


def test_the_header_is_a_line_of_csv_and_nothing_in_json_lines() -> None:
    assert format_header(["id", "a,b"], file_format=CSV) == b'id,"a,b"\r\n'
    assert format_header(["id"], file_format=JSON_LINES) == b""


@given(
    st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"])), st.integers()), max_size=20),
    st.integers(0, 20),
)
def test_parts_join_to_the_whole(rows: list[tuple[str, int]], cut: int) -> None:
    for file_format in (CSV, JSON_LINES):
        whole = format_rows(rows, ["a", "b"], file_format=file_format)
        parts = [format_rows(part, ["a", "b"], file_format=file_format) for part in (rows[:cut], rows[cut:])]
        assert b"".join(parts) == whole
        assert gzip.decompress(b"".join(compress(parts))) == whole
        assert b"".join(compress(parts)) == b"".join(compress([whole]))
