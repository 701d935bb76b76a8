"""Each odd file gives the right rows, or an error that names the place and the cause; from every cut the same."""

from __future__ import annotations

from unittest import mock

import pytest

from tasks_app.record_files import HeaderRefused, RecordFile, RecordFileError, UnreadableFile, lines
from tests.record_files.odd_files import ODD_FILES, OddFile
from tests.record_files.reading import open_bytes, read, read_until_error, rows


def assert_rows(found: list[object], expected: OddFile) -> None:
    assert len(found) == len(expected.rows), found
    for row, wanted in zip(found, expected.rows, strict=True):
        assert row == wanted or (isinstance(wanted, str) and str(row).startswith(wanted)), (row, wanted)


def open_or_refuse(odd: OddFile) -> tuple[RecordFile | None, str]:
    """Open an odd file; None and the text of the error if it is refused."""
    try:
        return open_bytes(odd.data, **odd.options), ""
    except RecordFileError as error:
        return None, str(error)


def test_there_are_more_than_fifty() -> None:
    assert len(ODD_FILES) > 100
    assert len({odd.name for odd in ODD_FILES}) == len(ODD_FILES)


@pytest.mark.parametrize("block", [3, lines.BLOCK_BYTES])
@pytest.mark.parametrize("odd", ODD_FILES, ids=lambda odd: odd.name)
def test_an_odd_file_gives_its_rows_or_names_the_place(odd: OddFile, block: int) -> None:
    with mock.patch.object(lines, "BLOCK_BYTES", block):
        file, refusal = open_or_refuse(odd)
        if file is None:
            assert odd.error, refusal
            assert refusal.startswith(odd.error)
            assert not odd.rows
            return
        found, error = read_until_error(file)
    assert_rows(rows(found), odd)
    assert bool(error) == bool(odd.error), error
    assert str(error or "").startswith(odd.error), error
    edges = open_bytes(odd.data, **odd.options).index(every=1)
    assert (edges.records, edges.is_complete) == (len(found), error is None)
    assert [*edges.positions[1:], edges.end] == [record.next for record in found] or not found
    for number, record in enumerate(found):
        again, _ = read_until_error(_at(odd, record.next))
        assert again == found[number + 1 :]


def _at(odd: OddFile, position: object) -> RecordFile:
    file = open_bytes(odd.data, **odd.options)
    read_all = file.read
    file.read = lambda at=None: read_all(position)  # type: ignore[method-assign, assignment, arg-type, misc]
    return file


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a":1,"c":2}\n', "Line 1, column 2: unknown column 'c'. Known columns: a, b."),
        (b'\n{"b":1}\n', "Line 2: missing column: a."),
        (b"[1]\n", "Line 1: the line is not a JSON object"),
        (b"\n", "Line 1: the file has no record"),
    ],
)
def test_the_first_json_record_is_checked_as_a_header_is(data: bytes, message: str) -> None:
    file = open_bytes(data, format="jsonl")
    with pytest.raises(HeaderRefused) as caught:
        file.check_first_record()
    assert str(caught.value).startswith(message)


def test_a_file_that_became_shorter_is_refused() -> None:
    for data in (b"a,b\n1,x\n2,y\n", lines.gzip.compress(b"a,b\n1,x\n2,y\n")):
        position = read(data)[-1].next
        shorter = data[:6] if not data.startswith(b"\x1f") else lines.gzip.compress(b"a,b\n1,")
        with pytest.raises(UnreadableFile, match=r"Line 4 \(byte 12\): the file ends at byte 6"):
            read(shorter, at=position)


def test_an_error_shows_a_bounded_part_of_the_file() -> None:
    with pytest.raises(HeaderRefused) as caught:
        open_bytes(b"x\x1b[2J" * 5000)
    assert len(str(caught.value)) < 250
    assert "\x1b" not in str(caught.value)
