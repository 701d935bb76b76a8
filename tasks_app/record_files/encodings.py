"""The encodings of record files, and how a file's own is found.

Owns the bounded list: in each of them a line break is found without decoding the text before it, which
tests/record_files/test_encodings.py checks for every character. Must not decode records.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Final

from tasks_app.record_files.errors import UnreadableFile

UTF_8: Final = "utf-8"
WIDE_CODECS: Final = ("utf-16-le", "utf-16-be")  # two bytes a character

# By the names that a parameter may have; the values are Python's.
ENCODINGS: Final = {
    UTF_8: UTF_8,
    "utf-16": "utf-16",  # its byte order mark says which
    "utf-16-le": "utf-16-le",
    "utf-16-be": "utf-16-be",
    "us-ascii": "ascii",
    "latin-1": "iso-8859-1",
    **{f"iso-8859-{part}": f"iso-8859-{part}" for part in (1, 2, 5, 7, 9, 15)},
    **{f"windows-{page}": f"cp{page}" for page in range(1250, 1259)},
    "cp1252": "cp1252",
    "koi8-r": "koi8-r",
    "ibm437": "cp437",
    "ibm850": "cp850",
    "macintosh": "mac-roman",
    "shift_jis": "cp932",
    "gb18030": "gb18030",
    "big5": "big5hkscs",
    "euc-kr": "cp949",
}
_MARKS: Final = (
    (codecs.BOM_UTF8, UTF_8),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_OTHER_KINDS: Final = (
    (codecs.BOM_UTF32_LE, "UTF-32 text: save it as UTF-8"),
    (codecs.BOM_UTF32_BE, "UTF-32 text: save it as UTF-8"),
    (b"PK\x03\x04", "a workbook or a ZIP archive: save the sheet as CSV, or unpack the archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook: save the sheet as CSV"),
    (b"%PDF", "a PDF document"),
    (b"BZh", "a bzip2 archive: unpack it, or compress it with gzip"),
    (b"\xfd7zXZ", "an xz archive: unpack it, or compress it with gzip"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive: unpack it, or compress it with gzip"),
)
HEAD_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Coding:
    """How the bytes of one file become text."""

    codec: str
    mark_bytes: int  # of the byte order mark, which is not text

    @property
    def is_wide(self) -> bool:
        return self.codec in WIDE_CODECS

    @property
    def name(self) -> str:
        """The name that a parameter has."""
        return next((name for name, codec in ENCODINGS.items() if codec == self.codec), self.codec)


def find_coding(head: bytes, *, declared: str = "") -> Coding:
    """Return the coding of a file that begins with `head`. `declared` is a key of ENCODINGS, or empty.

    Raises UnreadableFile if the file is of another kind, or if its byte order mark contradicts the declaration.
    """
    for magic, kind in _OTHER_KINDS:
        if head.startswith(magic):
            raise UnreadableFile(f"the file is {kind}", byte=0)
    marked = next(((codec, len(mark)) for mark, codec in _MARKS if head.startswith(mark)), None)
    if not declared:
        return Coding(*marked) if marked else Coding(UTF_8, 0)
    codec = ENCODINGS[declared]
    if marked is not None:
        accepted = ("utf-16", marked[0]) if marked[0] in WIDE_CODECS else (marked[0],)
        if codec not in accepted:
            raise UnreadableFile(
                f"the byte order mark says {marked[0]}, but the declared encoding is {declared}: leave it out", byte=0
            )
        return Coding(*marked)
    if codec == "utf-16":
        raise UnreadableFile(
            "the file has no byte order mark: declare utf-16-le or utf-16-be instead of utf-16", byte=0
        )
    return Coding(codec, 0)
