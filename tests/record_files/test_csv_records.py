"""CSV from any cut equals csv.reader over the whole text, whatever the encoding and wherever the blocks end."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
from collections.abc import Callable
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks_app.record_files import MOST_RECORD_BYTES, Position, UnreadableFile, lines
from tasks_app.record_files.csv_records import CsvParser, Fields
from tasks_app.record_files.encodings import Coding, find_coding
from tasks_app.record_files.record_edges import find_csv_edges
from tests.record_files.reading import read, rows

MARKS = {"utf-8-sig": ("utf-8", codecs.BOM_UTF8), "utf-16": ("utf-16-le", codecs.BOM_UTF16_LE)}
MARKS |= {"utf-16-be-marked": ("utf-16-be", codecs.BOM_UTF16_BE)}
ENCODINGS = ["utf-8", "cp932", "gb18030", "utf-16-le", *MARKS]
# Among them characters whose UTF-16 or cp932 bytes look like line breaks, quotes or delimiters.
CHARACTERS = 'ab ",;\t\r\n\x0b\x0c\x1c\x85\u2028\u0a0d\u0d0a\u0a00ソ表é😀'
TEXTS = st.text(st.sampled_from(CHARACTERS), max_size=60)
WELL_FORMED = st.lists(st.lists(st.text(st.sampled_from(CHARACTERS), max_size=8), min_size=1, max_size=4), max_size=12)


def expect(text: str, delimiter: str) -> tuple[list[list[str]], bool]:
    """Return the records that csv.reader finds before its first error, and whether it found one."""
    found = []
    try:
        for fields in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True):
            if fields:
                found.append(fields)
    except csv.Error:
        return found, True
    return found, False


def encode(text: str, encoding: str) -> tuple[bytes, Coding]:
    codec, mark = MARKS.get(encoding, (encoding, b""))
    return mark + text.encode(codec, "replace"), Coding(codec, len(mark))


def parse(data: bytes, coding: Coding, at: Position, delimiter: str) -> tuple[list[Fields], str]:
    """Return the records before the first fault, and that fault."""
    source = lines.read_lines(io.BytesIO(data), position=at, coding=coding, most_bytes=MOST_RECORD_BYTES)
    found = []
    try:
        for fields in CsvParser(source, position=at, coding=coding, delimiter=delimiter):
            if fields.fault is not None:
                return found, str(fields.fault)
            found.append(fields)
    except UnreadableFile as error:
        return found, str(error)
    return found, ""


def check(text: str, encoding: str, delimiter: str, block: int) -> None:
    data, coding = encode(text, encoding)
    text = data[coding.mark_bytes :].decode(coding.codec)  # what cannot be encoded is a question mark
    expected, is_wrong = expect(text, delimiter)
    with mock.patch.object(lines, "BLOCK_BYTES", block):
        first = Position(coding.mark_bytes, 1)
        whole, fault = parse(data, coding, first, delimiter)
        assert [each.fields for each in whole] == expected
        assert bool(fault) == is_wrong
        source = lines.read_lines(io.BytesIO(data), position=first, coding=coding, most_bytes=MOST_RECORD_BYTES)
        edges = find_csv_edges(source, position=first, coding=coding, delimiter=delimiter)
        assert list(itertools.islice(edges, len(whole))) == [each.next for each in whole]
        for number, cut in enumerate([first, *(each.next for each in whole)]):
            rest, again = parse(data, coding, cut, delimiter)
            assert rest == whole[number:], f"from byte {cut.offset}"
            assert bool(again) == is_wrong
    if whole and not is_wrong:
        left = data[whole[-1].next.offset :].decode(coding.codec)
        assert left.strip("\r\n") == ""  # blank lines only


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.sampled_from(ENCODINGS), st.sampled_from(",;\t"), st.integers(1, 9))
@example('a\r\n"b\r\nc",d\re\n\n', "utf-16", ",", 3)
@example("a\r\nb", "utf-8", ",", 2)  # a block ends between CR and LF
@example('"', "utf-8", ",", 1)
@example('"a"b\nc\n', "utf-8", ",", 4)
@example("a,\n,b\n", "cp932", ",", 5)
def test_any_text_gives_the_records_of_csv_reader(text: str, encoding: str, delimiter: str, block: int) -> None:
    check(text, encoding, delimiter, block)


@settings(max_examples=400, deadline=None)
@given(
    WELL_FORMED,
    st.sampled_from(ENCODINGS),
    st.sampled_from(",;\t"),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.integers(1, 20),
)
def test_written_records_are_read_from_every_cut(
    table: list[list[str]], encoding: str, delimiter: str, line_end: str, quoting: int, block: int
) -> None:
    written = io.StringIO(newline="")
    csv.writer(written, delimiter=delimiter, lineterminator=line_end, quoting=quoting).writerows(table)  # type: ignore[arg-type]
    check(written.getvalue(), encoding, delimiter, block)


def test_the_line_of_a_record_is_that_of_its_first_character() -> None:
    records = read(b'a,b\n\n1,"x\ny\nz"\n\r\n2,3\n')
    assert [(record.line, record.next.line) for record in records] == [(3, 6), (7, 8)]


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (b"1,2,3\n", "Line 3, column 3: the record has 3 columns, the header has 2"),
        (b"1\n", "Line 3, column 2: the record has 1 columns, the header has 2"),
        (
            b'"x"y,2\n',
            (
                "Line 3, column 1: the record is not valid CSV: text follows a closing quote; within a quoted field a quote is "
                "doubled"
            ),
        ),
        (b"1,\xff\n", "Line 3 (byte 10): bytes that are invalid in utf-8: ff; declare the file's encoding"),
        (b"1,x\0y\n", "Line 3 (byte 11): a NUL character: if the file is UTF-16, declare its encoding"),
        (b'1,"x\n\xe9\n"\n', "Line 4 (byte 13): bytes that are invalid in utf-8: e9; declare the file's encoding"),
    ],
)
def test_a_fault_of_one_record_leaves_the_next_one_readable(bad: bytes, fault: str) -> None:
    before, after = b"a,b\n8,9\n", b"6,7\n"
    records = read(before + bad + after)
    assert rows(records) == [("8", "9"), fault, ("6", "7")]
    assert records[1].next.offset == len(before + bad)
    assert records[2].line == 3 + bad.count(b"\n")
    # From a cut before or after the fault, the same is found.
    for number, record in enumerate(records):
        assert read(before + bad + after, at=record.next) == records[number + 1 :]


def test_a_record_with_a_fault_has_its_values() -> None:
    [many, bytes_, text] = read(b'a,b\n1,2,3\n4,\xff\n"x"y,2\n')
    assert many.values == {"a": "1", "b": "2"}
    assert bytes_.values == {"a": "4", "b": "\ufffd"}
    assert text.values == {"": '"x"y,2\n'}


def unreadable(data: bytes) -> str:
    with pytest.raises(UnreadableFile) as caught:
        read(data)
    return str(caught.value)


def test_a_cut_in_a_quoted_field_names_the_line_at_which_its_record_begins() -> None:
    assert unreadable(b'a,b\n1,2\n3,"x\ny').startswith("Line 3 (byte 8): the file ends within a quoted field")


@pytest.mark.parametrize(
    "make", [lambda size: b"x" * size, lambda size: b'"' + b"x\n" * (size // 2), lambda size: b"\n" * size]
)
def test_a_record_beyond_the_limit_names_its_beginning(make: Callable[[int], bytes]) -> None:
    message = unreadable(b"a,b\n1,2\n" + make(MOST_RECORD_BYTES + 2) + b"\n")
    assert message.startswith(
        "Line 3 (byte 8): the record, with the blank lines before it, is longer than 1048576 bytes"
    )


def test_a_record_of_the_limit_is_read() -> None:
    [record] = read(b"a,b\n1," + b"x" * (MOST_RECORD_BYTES - 3) + b"\n")
    assert len(record.values["b"]) == MOST_RECORD_BYTES - 3


def test_the_coding_of_a_mark_is_found() -> None:
    for mark, codec in ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_BE, "utf-16-be"), (b"", "utf-8")):
        assert find_coding(mark + b"a\n") == Coding(codec, len(mark))
