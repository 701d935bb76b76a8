"""Every accepted encoding keeps line breaks recognisable, and contradictions are refused."""

from __future__ import annotations

import codecs

import pytest

from tasks_app.record_files import ENCODINGS, UnreadableFile
from tasks_app.record_files.encodings import WIDE_CODECS, Coding, find_coding


def all_characters() -> str:
    return "".join(
        map(chr, [*range(0xD800), *range(0xE000, 0x11000), *range(0x1F000, 0x20000), *range(0x2F800, 0x30000)])
    )


@pytest.mark.parametrize("codec", sorted(set(ENCODINGS.values()) - {"utf-16", *WIDE_CODECS}))
def test_no_character_but_a_line_break_has_the_bytes_of_one(codec: str) -> None:
    for character in all_characters():
        if character in "\r\n":
            assert character.encode(codec) == character.encode("ascii")
            continue
        try:
            encoded = character.encode(codec)
        except UnicodeEncodeError:
            continue
        assert b"\n" not in encoded, hex(ord(character))
        assert b"\r" not in encoded, hex(ord(character))


@pytest.mark.parametrize("codec", WIDE_CODECS)
def test_the_wide_encodings_have_two_bytes_a_unit(codec: str) -> None:
    assert all(len(character.encode(codec)) % 2 == 0 for character in all_characters())


@pytest.mark.parametrize(
    ("head", "declared", "coding"),
    [
        (b"", "", Coding("utf-8", 0)),
        (codecs.BOM_UTF8 + b"a", "", Coding("utf-8", 3)),
        (codecs.BOM_UTF8 + b"a", "utf-8", Coding("utf-8", 3)),
        (codecs.BOM_UTF16_LE + b"a\0", "", Coding("utf-16-le", 2)),
        (codecs.BOM_UTF16_LE + b"a\0", "utf-16", Coding("utf-16-le", 2)),
        (codecs.BOM_UTF16_BE + b"\0a", "utf-16-be", Coding("utf-16-be", 2)),
        (b"a\0", "utf-16-le", Coding("utf-16-le", 0)),
        (b"a", "latin-1", Coding("iso-8859-1", 0)),
    ],
)
def test_the_mark_or_the_declaration_decides(head: bytes, declared: str, coding: Coding) -> None:
    assert find_coding(head, declared=declared) == coding


@pytest.mark.parametrize(
    ("head", "declared", "message"),
    [
        (codecs.BOM_UTF8, "latin-1", "the byte order mark says utf-8, but the declared encoding is latin-1"),
        (codecs.BOM_UTF8, "utf-16", "the byte order mark says utf-8"),
        (codecs.BOM_UTF16_LE + b"a\0", "utf-16-be", "the byte order mark says utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-8", "the byte order mark says utf-16-be"),
        (b"a,b", "utf-16", "declare utf-16-le or utf-16-be"),
        (codecs.BOM_UTF32_LE, "", "UTF-32"),
        (codecs.BOM_UTF32_BE, "utf-8", "UTF-32"),
        (b"PK\x03\x04", "", "workbook"),
    ],
)
def test_a_contradiction_is_refused(head: bytes, declared: str, message: str) -> None:
    with pytest.raises(UnreadableFile, match=message):
        find_coding(head, declared=declared)


def test_a_coding_has_the_name_of_its_parameter() -> None:
    assert Coding("cp1252", 0).name == "windows-1252"
    assert Coding("iso-8859-1", 0).name == "latin-1"
