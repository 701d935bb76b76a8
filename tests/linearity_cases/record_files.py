"""Files of records: lines, CSV, JSON lines, headers, and rows of imports."""

import io
from collections.abc import Callable
from typing import Any

from rest_framework import serializers

from tasks_app.record_files import Columns, Position, ReadOptions, Record, RecordFile, RecordFileError
from tasks_app.task_types.imports.open_import import OpenImport
from tasks_app.task_types.imports.params import get_options
from tasks_app.task_types.imports.rows import RowRefused, RowSchema
from tests.linearity import Case
from tests.linearity_cases.calls import quietly


class _Row(serializers.Serializer[Any]):
    a = serializers.IntegerField()
    b = serializers.CharField(max_length=5)


def _read(**options: str) -> Callable[[bytes], None]:
    def read(data: bytes) -> None:
        file = RecordFile(io.BytesIO(data), options=ReadOptions(**options), columns=Columns(("a", "b")))
        for _ in file.read():
            pass

    return quietly(read, RecordFileError)


def _index(**options: str) -> Callable[[bytes], None]:
    def index(data: bytes) -> None:
        RecordFile(io.BytesIO(data), options=ReadOptions(**options), columns=Columns(("a", "b"))).index(every=1000)

    return quietly(index, RecordFileError)


def _take(data: bytes) -> None:
    """Read a file in chunks, and each of them twice, as a chunk that was rolled back is."""
    file = io.BytesIO(data)
    opened = OpenImport(file, RecordFile(file, options=ReadOptions(), columns=Columns(("a", "b"))))
    position = Position(0, 1)
    while True:
        for _ in range(2):
            batch = opened.take(position, most_records=500, most_bytes=2**20, end=None)
        if not batch.records:
            return
        position = batch.records[-1].next


def _lines(line: bytes, *, header: bytes = b"a,b\n") -> Callable[[int], bytes]:
    return lambda length: header + line * (length // len(line))


def _wide(line: str) -> Callable[[int], bytes]:
    return lambda length: b"\xff\xfe" + ("a,b\n" + line * (length // len(line) // 2)).encode("utf-16-le")


def _values(value: str) -> Callable[[int], Record]:
    return lambda length: Record(2, {"a": value * (length // len(value)), "b": value}, Position(9, 3))


def record_file_cases() -> list[Case]:
    """Every reader of an uploaded file, with the texts that make it work most."""
    csv_lines = (
        b"1,2\n",
        b"\n",
        b"\r",
        b"\r\n",
        b'"',
        b'""',
        b'"\n',
        b'","\n',
        b'"x"y\n',
        b",",
        b"\xff",
        b"\0\n",
        b"x",
    )
    json_lines = (
        b"\n",
        b"{}\n",
        b'{"a":1,"a":2}\n',
        b'{"a":":"}\n',
        b"[",
        b'{"a":' + b"9" * 300 + b"}\n",
        b'"\\',
        b"x",
    )
    headers = (b"a,", b",", b";", b'"', b'"a",', b"\t;,", b"\n", b"x")
    return [
        Case(
            "record_files, CSV",
            _read(),
            {f"lines {line!r}": _lines(line) for line in csv_lines},
            ("tasks_app/record_files/csv_records.py:_QUOTED",),
        ),
        Case(
            "record_files, the index of CSV",
            _index(),
            # `"x"y` is left to CsvParser, one parser a line: linear as well, and over LONGEST_SECONDS on a slow machine.
            {f"lines {line!r}": _lines(line) for line in csv_lines if b"y" not in line},
            ("tasks_app/record_files/record_edges.py:_match_whole_record",),
        ),
        Case(
            "record_files, the index of JSON lines",
            _index(format="jsonl"),
            {f"lines {line!r}": _lines(line, header=b"") for line in json_lines},
        ),
        Case("record_files, headers", _read(), {f"header {text!r}": _lines(text, header=b"") for text in headers}),
        Case(
            "record_files, UTF-16",
            _read(),
            {f"wide {line!r}": _wide(line) for line in ("1,2\n", "\n", "\r", "\u0a0d", "\u0a00", '"', "😀")},
        ),
        Case(
            "record_files, JSON lines",
            _read(format="jsonl"),
            {f"lines {line!r}": _lines(line, header=b"") for line in json_lines}
            | {"one object": lambda length: b'{"a":"' + b"x" * length + b'"}'},
        ),
        Case("open_import.take, each chunk twice", quietly(_take, RecordFileError), {"records": _lines(b"1,2\n")}),
        Case(
            "rows.RowSchema.read",
            quietly(lambda record: RowSchema(_Row()).read(record, position=0, is_text=True), RowRefused),
            {repr(value): _values(value) for value in ("x", "1", " ", "\0", "é", "\x1b")}
            | {
                "many unknown keys": lambda length: Record(
                    2, {str(number): "" for number in range(length // 20)}, Position(9, 3)
                )
            },
        ),
        Case(
            "imports.get_options",
            lambda name: get_options({}, file_name=name),
            {"a long name": lambda length: ".jsonl" * (length // 6)},
        ),
    ]
