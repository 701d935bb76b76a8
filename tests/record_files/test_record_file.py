"""The index of a file, and memory that does not depend on its size."""

from __future__ import annotations

import gzip
import io
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from tasks_app.record_files import MOST_RECORD_BYTES, ReadOptions, RecordFile, UnreadableFile
from tests.record_files.reading import COLUMNS, open_bytes, read

GIB = 1024**3
# A record, its copy as text, csv's buffer (four bytes a character), and blocks.
MOST_MEMORY = 24 * MOST_RECORD_BYTES


@contextmanager
def bounded_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
    finally:
        tracemalloc.stop()


class Endless(io.RawIOBase):
    """A file of 1 GiB: a header, then one text again and again. Counts the bytes that were read."""

    def __init__(self, header: bytes, text: bytes) -> None:
        self.header, self.text, self.at, self.read_bytes = header, text * 1024, 0, 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.at = GIB if whence == io.SEEK_END else offset
        return self.at

    def read(self, size: int = -1) -> bytes:
        if self.at < len(self.header):
            found = self.header[self.at : self.at + size]
        else:
            start = (self.at - len(self.header)) % len(self.text)
            found = self.text[start : start + size][: max(0, GIB - self.at)]
        self.at += len(found)
        self.read_bytes += len(found)
        return found


@pytest.mark.parametrize(
    ("format_", "header", "text"),
    [
        ("csv", b"a,b\n1,x\n2,", b"x"),
        ("csv", b'a,b\n1,x\n2,"', b"x\n"),
        ("csv", b'a,b\n1,x\n2,"', b'""'),
        ("csv", b"a,b\n1,x\n", b"\n"),
        ("csv", b"a,b\n1,x\n2", b",\x81\xff"),
        ("jsonl", b'{"a":1,"b":2}\n{"a":"', b"x"),
        ("jsonl", b'{"a":1,"b":2}\n', b"\n"),
    ],
)
def test_a_record_of_a_gibibyte_is_refused_after_its_first_mebibyte(format_: str, header: bytes, text: bytes) -> None:
    source = Endless(header, text)
    with bounded_memory():
        file = RecordFile(source, options=ReadOptions(format=format_), columns=COLUMNS)  # type: ignore[arg-type]
        records = file.read()
        assert len(next(records).values) == 2
        with pytest.raises(
            UnreadableFile, match=r"Line \d \(byte \d+\): the record, with the blank lines before it, is"
        ):
            next(records)
    assert source.read_bytes < 3 * MOST_RECORD_BYTES


def test_a_sparse_file_of_a_gibibyte_names_the_place(tmp_path: Path) -> None:
    path = tmp_path / "sparse.csv"
    with path.open("wb") as file:
        file.write(b"a,b\n1,x\n")
        file.truncate(GIB)
    with path.open("rb") as opened, bounded_memory():
        records = RecordFile(opened, options=ReadOptions(), columns=COLUMNS).read()
        next(records)
        with pytest.raises(UnreadableFile, match=r"Line 3 \(byte 8\): the record, with the blank lines before it"):
            next(records)


def test_a_gzip_bomb_is_refused_in_bounded_memory() -> None:
    packed = gzip.compress(b"a,b\n1," + b"x" * (64 * MOST_RECORD_BYTES), compresslevel=1)
    with bounded_memory(), pytest.raises(UnreadableFile, match=r"Line 2 \(byte 4\): the record"):
        next(open_bytes(packed).read())


def test_many_records_take_the_memory_of_one() -> None:
    source = Endless(b"a,b\n", b"12,some text\n")
    records = RecordFile(source, options=ReadOptions(), columns=COLUMNS).read()  # type: ignore[arg-type]
    with bounded_memory():
        for _ in range(200_000):
            record = next(records)
    assert record.next.line == 200_002


def lines_of(count: int) -> bytes:
    return b"a,b\n" + b"".join(b'%d,"x\ny"\n' % number for number in range(count))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 100])
def test_an_index_counts_and_cuts_the_file(count: int, pack: Callable[[bytes], bytes]) -> None:
    data = pack(lines_of(count))
    index = open_bytes(data).index(every=10)
    assert index.records == count
    assert index.is_complete
    whole = read(data)
    assert len(index.positions) == max(1, -(-count // 10))
    for number, position in enumerate(index.positions):
        assert read(data, at=position) == whole[number * 10 :]


def test_an_index_ends_at_its_bound_and_at_an_unreadable_place() -> None:
    bounded = open_bytes(lines_of(1000)).index(every=10, most_bytes=500)
    assert not bounded.is_complete
    assert 50 < bounded.records < 80
    assert bounded.end.offset >= 500
    cut = open_bytes(lines_of(5) + b'6,"').index(every=10)
    assert (cut.records, cut.is_complete) == (5, False)


def test_only_an_uncompressed_file_knows_its_size() -> None:
    data = lines_of(3)
    assert open_bytes(data).size == len(data)
    assert open_bytes(gzip.compress(data)).size is None


def test_the_caller_closes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(lines_of(3))
    opened: BinaryIO
    with path.open("rb") as opened:
        assert len(list(RecordFile(opened, options=ReadOptions(), columns=COLUMNS).read())) == 3
        assert not opened.closed
