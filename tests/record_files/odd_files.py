"""Odd files, each with the records that it holds, or the beginning of the error that names the place.

Owns the table. The known columns are a (required) and b.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

TWO = [("1", "x"), ("2", "é")]
_MEBIBYTE = 1024 * 1024
_TEXT = "a,b\n1,x\n2,é\n"


@dataclass(frozen=True)
class OddFile:
    """A file, how it is read, and what comes out: rows (a text is a fault), then the error that ends them."""

    name: str
    data: bytes
    rows: Sequence[Any] = ()
    error: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def _deflate_damaged() -> bytes:
    compressed = bytearray(_gzip(_TEXT.encode()))
    compressed[10] |= 0b110  # a type of block that does not exist
    return bytes(compressed)


ENCODED = [
    OddFile("UTF-8", _TEXT.encode(), TWO),
    OddFile("UTF-8 with a byte order mark", codecs.BOM_UTF8 + _TEXT.encode(), TWO),
    OddFile("a mark before a quoted header", codecs.BOM_UTF8 + b'"a","b"\n1,x\n', TWO[:1]),
    OddFile("UTF-16 little endian", codecs.BOM_UTF16_LE + _TEXT.encode("utf-16-le"), TWO),
    OddFile("UTF-16 big endian", codecs.BOM_UTF16_BE + _TEXT.encode("utf-16-be"), TWO),
    OddFile("UTF-16 declared", _TEXT.encode("utf-16-be"), TWO, options={"encoding": "utf-16-be"}),
    OddFile("UTF-16 without mark", _TEXT.encode("utf-16-le"), error="Line 1 (byte 1): a NUL", options={}),
    OddFile(
        "UTF-16 declared, of the other order",
        _TEXT.encode("utf-16-le"),
        error="Line 1, column 1: unknown column",
        options={"encoding": "utf-16-be"},
    ),
    OddFile(
        "UTF-8 declared as UTF-16",
        _TEXT.encode(),
        error="Line 1 (byte 12): bytes that are invalid in utf-16-le",
        options={"encoding": "utf-16-le"},
    ),
    OddFile(
        "UTF-8 declared as Latin-1, which has a character for each byte",
        _TEXT.encode(),
        [("1", "x"), ("2", "Ã©")],
        options={"encoding": "latin-1"},
    ),
    OddFile(
        "Windows-1252 declared as UTF-8",
        _TEXT.encode("cp1252"),
        [("1", "x"), "Line 3 (byte 10): bytes that are invalid in utf-8"],
        options={"encoding": "utf-8"},
    ),
    OddFile(
        "Latin-1 declared as ASCII",
        _TEXT.encode("latin-1"),
        [("1", "x"), "Line 3 (byte 10): bytes that are invalid in us-ascii"],
        options={"encoding": "us-ascii"},
    ),
    OddFile(
        "UTF-16 with half a character",
        codecs.BOM_UTF16_LE + "a,b\n1,x\n2,".encode("utf-16-le") + b"y",
        [("1", "x"), "Line 3 (byte 22): bytes that are invalid in utf-16-le"],
    ),
    OddFile(
        "UTF-16 with a lone surrogate",
        codecs.BOM_UTF16_LE + "a,b\n1,".encode("utf-16-le") + b"\x00\xd8\n\x00" + "2,x\n".encode("utf-16-le"),
        ["Line 2 (byte 14): bytes that are invalid in utf-16-le", ("2", "x")],
    ),
    OddFile(
        "UTF-16, line separators of Unicode",
        "\ufeffa,b\n1,x\u2028y\u0a0d\n".encode("utf-16-le"),
        [("1", "x\u2028y\u0a0d")],
    ),
    OddFile("Windows-1252", _TEXT.encode("cp1252"), TWO, options={"encoding": "windows-1252"}),
    OddFile("Latin-1", _TEXT.encode("latin-1"), TWO, options={"encoding": "latin-1"}),
    OddFile("Shift JIS", "a,b\n1,表ソ\n".encode("cp932"), [("1", "表ソ")], options={"encoding": "shift_jis"}),
    OddFile(
        "Latin-1 not declared",
        _TEXT.encode("latin-1"),
        [("1", "x"), "Line 3 (byte 10): bytes that are invalid in utf-8"],
    ),
    OddFile(
        "an undefined byte",
        b"a,b\n1,\x81\n",
        ["Line 2 (byte 6): bytes that are invalid in windows-1252"],
        options={"encoding": "windows-1252"},
    ),
    OddFile("an overlong sequence", b"a,b\n1,\xc0\xaf\n", ["Line 2 (byte 6): bytes that are invalid in utf-8"]),
    OddFile("invalid bytes in the header", b"a,b\xe9\n1,x\n", error="Line 1 (byte 3): bytes that are invalid in utf-8"),
    OddFile(
        "a mark that contradicts",
        codecs.BOM_UTF8 + b"a,b\n",
        error="Byte 0: the byte order mark",
        options={"encoding": "latin-1"},
    ),
    OddFile("UTF-32", codecs.BOM_UTF32_LE + "a,b\n".encode("utf-32-le"), error="Byte 0: the file is UTF-32"),
]
SHAPED = [
    OddFile("CRLF", b"a,b\r\n1,x\r\n", TWO[:1]),
    OddFile("CR", b"a,b\r1,x\r", TWO[:1]),
    OddFile("mixed line ends", "a,b\r\n1,x\r2,é\n".encode(), TWO),
    OddFile("no line end at the end", b"a,b\n1,x", TWO[:1]),
    OddFile("blank lines", b"\n\r\na,b\n\n\n1,x\n\n", TWO[:1]),
    OddFile("semicolons", b"a;b\n1;x\n", TWO[:1]),
    OddFile("tabs", b"a\tb\n1\tx\n", TWO[:1]),
    OddFile("semicolons with commas in values", b'a;b\n1;"x,y"\n2;3,5\n', [("1", "x,y"), ("2", "3,5")]),
    OddFile("a declared tab", b"a\tb\n1\tx\n", TWO[:1], options={"delimiter": "tab"}),
    OddFile(
        "another delimiter than declared",
        b"a;b\n1;x\n",
        error="Line 1, column 1: unknown column 'a;b'",
        options={"delimiter": ","},
    ),
    OddFile("a delimiter in a quoted name", b'"a";"b"\n1;x\n', TWO[:1]),
    OddFile("quoted line breaks", b'a,b\n1,"x\ny"\n"2\r\n3",z\n', [("1", "x\ny"), ("2\r\n3", "z")]),
    OddFile("doubled quotes", b'a,b\n1,"say ""x"""\n', [("1", 'say "x"')]),
    OddFile("quotes within an unquoted field", b'a,b\n1,5" disk\n', [("1", '5" disk')]),
    OddFile("empty quoted field", b'a,b\n1,""\n', [("1", "")]),
    OddFile(
        "text after a quoted field",
        b'a,b\n"Mac 15" screen,x\n2,y\n',
        ["Line 2, column 1: the record is not valid CSV: text", ("2", "y")],
    ),
    OddFile(
        "text after a field of several lines",
        b'a,b\n"x,\n""y",\n"1","z\n"w\n2,y\n',
        [('x,\n"y', ""), "Line 5, column 2: the record is", ("2", "y")],
    ),
    OddFile(
        "cut in a quoted field", b'a,b\n1,x\n2,"y\n', TWO[:1], "Line 3 (byte 8): the file ends within a quoted field"
    ),
    OddFile("cut in a quoted header", b'"a,b\n', error="Line 1 (byte 0): the file ends within a quoted field"),
    OddFile("cut within a line", b"a,b\n1,x\n2", [("1", "x"), "Line 3, column 2: the record has 1 columns"]),
    OddFile("too many columns", b"a,b\n1,x,y\n2,z\n", ["Line 2, column 3: the record has 3 columns", ("2", "z")]),
    OddFile("rows of delimiters only", b"a,b\n,\n", [("", "")]),
    OddFile("blanks", b" a , b \n 1 , x \n", [(" 1 ", " x ")]),
    OddFile(
        "formulas", b'a,b\n=1+1,"=HYPERLINK(""http://x"")"\n+1,@x\n', [("=1+1", '=HYPERLINK("http://x")'), ("+1", "@x")]
    ),
    OddFile("NUL in a field", b"a,b\n1,x\0\n2,y\n", ["Line 2 (byte 7): a NUL character", ("2", "y")]),
    OddFile("NUL in the header", b"a,b\0\n", error="Line 1 (byte 3): a NUL character"),
    OddFile("NULs only", b"\0" * 100, error="Line 1 (byte 0): a NUL character"),
    OddFile("empty", b"", error="Line 1: the file is empty"),
    OddFile("blank lines only", b"\n\r\n", error="Line 1: the file has no header"),
    OddFile("a mark only", codecs.BOM_UTF8, error="Line 1: the file has no header"),
    OddFile("header only", b"a,b\n", []),
    OddFile("header without line end", b"a,b", []),
    OddFile("another order of columns", b"b,a\nx,1\n", [("x", "1")]),
    OddFile("a column left out", b"a\n1\n", [("1",)]),
    OddFile("an unknown column", b"a,c\n", error="Line 1, column 2: unknown column 'c'. Known columns: a, b."),
    OddFile("a missing column", b"b\nx\n", error="Line 1: missing column: a. Known columns: a, b."),
    OddFile("a doubled column", b"a,b,a\n", error="Line 1, column 3: the column 'a' occurs twice, first as column 1"),
    OddFile("a column without name", b"a,,b\n", error="Line 1, column 2: the column has no name"),
    OddFile("a delimiter at the end of the header", b"a,b,\n", error="Line 1, column 3: the column has no name"),
    OddFile("names in capitals", b"A,b\n", error="Line 1, column 1: unknown column 'A'"),
    OddFile("no header", b"1,x\n2,y\n", error="Line 1, column 1: unknown column '1'"),
    OddFile("a thousand and one columns", b",".join([b"a"] * 1001), error="Line 1: the header has 1001 columns"),
    OddFile(
        "a long header", b"a" * 70_000, error="Line 1 (byte 0): the record, with the blank lines before it, is longer"
    ),
    OddFile("a workbook", b"PK\x03\x04" + b"\0" * 50, error="Byte 0: the file is a workbook"),
]
GZIP = [
    OddFile("gzip", _gzip(_TEXT.encode()), TWO),
    OddFile("gzip of several members", _gzip(b"a,b\n1,") + _gzip("x\n2,é\n".encode()), TWO),
    OddFile("gzip of UTF-16", _gzip(codecs.BOM_UTF16_LE + _TEXT.encode("utf-16-le")), TWO),
    OddFile("gzip of nothing", _gzip(b""), error="Line 1: the file is empty"),
    OddFile("gzip cut in its head", _gzip(_TEXT.encode())[:5], error="Line 1: the gzip data ends too early"),
    OddFile("gzip cut before its end", _gzip(_TEXT.encode())[:-4], TWO, "Line 4: the gzip data ends too early"),
    OddFile(
        "gzip with a wrong checksum",
        _gzip(_TEXT.encode())[:-8] + zlib.crc32(b"x").to_bytes(4, "little") + len(_TEXT.encode()).to_bytes(4, "little"),
        TWO,
        "Line 4: the gzip data is damaged (CRC check failed",
    ),
    OddFile("damaged gzip", _deflate_damaged(), error="Line 1: the gzip data is damaged"),
    OddFile("gzip with zeros behind it", _gzip(_TEXT.encode()) + b"\0" * 1000, TWO),
    OddFile(
        "gzip with many zeros behind it",
        _gzip(_TEXT.encode()) + b"\0" * (2 * _MEBIBYTE),
        TWO,
        "Line 4: 1048576 bytes of gzip data hold no text",
    ),
    OddFile(
        "empty members of gzip",
        _gzip(b"") * (2 * _MEBIBYTE // len(_gzip(b""))),
        error="Line 1: 1048576 bytes of gzip data hold no text",
    ),
    OddFile(
        "a header, then empty members of gzip",
        _gzip(b"a,b\n") + _gzip(b"") * (2 * _MEBIBYTE // len(_gzip(b""))),
        error="Line 1: 1048576 bytes of gzip data hold no text",
    ),
    OddFile(
        "text after gzip", _gzip(_TEXT.encode()) + b"more", TWO, "Line 4: the gzip data is damaged (Not a gzipped file"
    ),
]
_JSON = {"format": "jsonl"}
JSON_LINES = [
    OddFile("JSON lines", '{"a":"1","b":"x"}\n\n{"a":"2","b":"é"}'.encode(), TWO, options=_JSON),
    OddFile("JSON lines with CRLF", b'{"a":1}\r\n \r\n{"a":2}\r\n', [(1,), (2,)], options=_JSON),
    OddFile("JSON lines with a mark", codecs.BOM_UTF8 + b'{"a":1}\n', [(1,)], options=_JSON),
    OddFile("JSON lines in UTF-16", '\ufeff{"a":"é"}\n'.encode("utf-16-le"), [("é",)], options=_JSON),
    OddFile("compressed JSON lines", _gzip(b'{"a":1}\n'), [(1,)], options=_JSON),
    OddFile("a carriage return within JSON", b'{"a":\r1}\n', [(1,)], options=_JSON),
    OddFile(
        "not JSON",
        b'{"a":1}\n{"a":}\n{"a":3}\n',
        [(1,), "Line 2, column 6: the line is not valid JSON", (3,)],
        options=_JSON,
    ),
    OddFile(
        "JSON that ends before its column",
        '{"é":"é"'.encode(),
        ["Line 1, column 9: the line is not valid JSON"],
        options=_JSON,
    ),
    OddFile("thousands of levels", b'{"a":' + b"[" * 100_000 + b"\n", ["Line 1, column "], options=_JSON),
    OddFile("infinity", b'{"a":-Infinity}\n', ["Line 1, column 7: the line is not valid JSON"], options=_JSON),
    OddFile(
        "a number with a great exponent",
        b'{"a":1e999}\n',
        ["Line 1, column 6: the line is not valid JSON"],
        options=_JSON,
    ),
    OddFile("the same key in two objects", b'{"a":{"b":1},"b":{"b":1}}\n', [({"b": 1}, {"b": 1})], options=_JSON),
    OddFile("a list", b"[1]\n", ["Line 1: the line is not a JSON object"], options=_JSON),
    OddFile(
        "a JSON document on several lines",
        b'[\n{"a":1},\n',
        ["Line 1, column 2: the line is not valid JSON", "Line 2, column 8: the line is not valid JSON"],
        options=_JSON,
    ),
    OddFile("a key twice", b'{"a":1,"a":2}\n', ["Line 1: The key 'a' occurs twice"], options=_JSON),
    OddFile(
        "too deep", b'{"a":' + b"[" * 40 + b"]" * 40 + b"}\n", ["Line 1: Nested too deeply: 16 levels"], options=_JSON
    ),
    OddFile("a number of 70 digits", b'{"a":' + b"9" * 70 + b"}\n", [(int("9" * 70),)], options=_JSON),
    OddFile(
        "a number of 500 digits",
        b'{"a":' + b"9" * 500 + b"}\n",
        ["Line 1, column 6: the line is not valid JSON: number is infinity"],
        options=_JSON,
    ),
    OddFile("not a number", b'{"a":NaN}\n', ["Line 1, column 6: the line is not valid JSON"], options=_JSON),
    OddFile(
        "invalid bytes in JSON", b'{"a":"\xff"}\n', ["Line 1 (byte 6): bytes that are invalid in utf-8"], options=_JSON
    ),
    OddFile(
        "a cut JSON line", b'{"a":1}\n{"a":2,', [(1,), "Line 2, column 8: the line is not valid JSON"], options=_JSON
    ),
    OddFile("JSON with an escaped NUL", b'{"a":"\\u0000"}\n', [("\0",)], options=_JSON),
    OddFile("no JSON lines", b"\n\n", [], options=_JSON),
    OddFile("empty JSON lines", b"", error="Line 1: the file is empty", options=_JSON),
]
ODD_FILES = [*ENCODED, *SHAPED, *GZIP, *JSON_LINES]
