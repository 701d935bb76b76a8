"""tasks_app/files/names.py: what a file may be called."""

import re

import pytest

from tasks_app.files.names import BINARY, NAME_PATTERN, InvalidFileName, check_name, clean_content_type


@pytest.mark.parametrize("name", ["a", "products 2026.csv", "ñandú.csv", "日本.txt", ".hidden", "a..b", "x" * 255])
def test_names_of_files_are_accepted(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "a\\b",
        "../etc/passwd",
        "a\0b",
        "a\nb",
        "\x1b[2J",
        "a\u202eb",
        "\ud800",
        " a",
        "a ",
        "x" * 256,
    ],
)
def test_paths_control_characters_and_long_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidFileName):
        check_name(name)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("text/csv", "text/csv"),
        ("text/csv; charset=utf-8", "text/csv; charset=utf-8"),
        ("application/vnd.ms-excel", "application/vnd.ms-excel"),
        ("", BINARY),
        ("csv", BINARY),
        ("text/csv\r\nSet-Cookie: a=b", BINARY),
        ("text/csv; boundary=x", BINARY),
        ("a/" + "b" * 100, BINARY),
    ],
)
def test_only_a_plain_content_type_is_kept(given: str, kept: str) -> None:
    assert clean_content_type(given) == kept


def test_the_documented_pattern_accepts_what_the_check_accepts() -> None:
    """Each character below U+3100 (all blanks and control characters are there), at each place of a name."""
    documented = re.compile(NAME_PATTERN)
    texts = [text for code in range(0x3100) for c in [chr(code)] for text in (c, f"{c}a", f"a{c}a", f"a{c}", f"{c}{c}")]
    for text in [*texts, "", ".", "..", "...", ".a", "a.", "\U0001f600"]:
        assert bool(documented.fullmatch(text)) == is_accepted(text), text


def is_accepted(name: str) -> bool:
    try:
        return check_name(name) == name
    except InvalidFileName:
        return False
