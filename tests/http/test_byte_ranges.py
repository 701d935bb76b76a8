"""tasks_app/http/byte_ranges.py: the Range header, with its odd forms."""

import pytest

from tasks_app.http.byte_ranges import ByteRange, Unsatisfiable, read_range


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-9", (0, 10)),
        ("bytes=0-99", (0, 10)),
        ("bytes=9-", (9, 1)),
        ("bytes=-1", (9, 1)),
        ("bytes=-100", (0, 10)),
        ("BYTES=2-3", (2, 2)),
        ("bytes= 2-3 ", (2, 2)),
        # No range: all of the file
        (None, None),
        ("", None),
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=3-2", None),
        ("bytes=1-2,4-5", None),
        ("bytes=a-b", None),
        ("bytes=\u0661-\u0662", None),
        ("bytes=--1", None),
        ("lines=1-2", None),
        ("bytes=0-" + "9" * 19, None),
        ("bytes=0-1" + " " * 200, None),
    ],
)
def test_one_range_of_bytes_is_read(header: str | None, wanted: tuple[int, int] | None) -> None:
    assert read_range(header, size=10) == (wanted and ByteRange(*wanted))


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=10-", 10), ("bytes=10-20", 10), ("bytes=-0", 10), ("bytes=0-", 0), ("bytes=-1", 0)]
)
def test_a_range_behind_the_end_is_unsatisfiable(header: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        read_range(header, size=size)
