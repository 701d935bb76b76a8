"""The error text of a failed attempt is bounded, valid and names the cause, for any exception class."""

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks_app.domain.error_text import (
    ERROR_CHARACTERS,
    SUMMARY_CHARACTERS,
    describe_error,
    describe_value,
    error_line,
    summarize_error,
)


class Hostile(Exception):
    """Raises in every method and attribute that a formatter reads."""

    def __str__(self) -> str:
        raise SystemExit(3)

    def __repr__(self) -> str:
        raise KeyboardInterrupt

    @property
    def __notes__(self) -> Any:
        raise ZeroDivisionError

    @property
    def __cause__(self) -> Any:  # type: ignore[override]
        raise GeneratorExit

    @property
    def __context__(self) -> Any:  # type: ignore[override]
        raise RuntimeError

    @property
    def __traceback__(self) -> Any:  # type: ignore[override]
        raise MemoryError


class LoudText(str):
    __slots__ = ()

    def __getitem__(self, key: Any) -> Any:
        raise ValueError("no slice of mine")


class OddText(Exception):
    def __str__(self) -> str:
        return LoudText("odd \udce9 text")


def odd_syntax_error() -> SyntaxError:
    error = SyntaxError("odd")
    error.filename, error.lineno, error.text = 3, "x", b"y"  # type: ignore[assignment]
    return error


def cycle() -> Exception:
    first, second = ValueError("first"), KeyError("second")
    first.__cause__, second.__cause__ = second, first
    return first


def long_chain() -> Exception:
    newest = ValueError("cause 0 " + "x" * 5_000)
    for number in range(1, 200):
        newer = ValueError(f"cause {number} " + "x" * 5_000)
        newer.__cause__ = newest
        newest = newer
    return newest


def deep_group() -> BaseException:
    group = ExceptionGroup("leaves", [ValueError("leaf " * 1_000) for _ in range(50)])
    for _ in range(50):
        group = ExceptionGroup("group " * 100, [group] * 20)
    return group


def noted() -> Exception:
    error = ValueError("noted")
    error.__notes__ = ["a note\nof two lines", "\udce9" * 100_000, 3, *("more" for _ in range(1_000))]
    return error


def renamed() -> Exception:
    kind = type("Odd\n\x1b" * 500, (Exception,), {"__module__": 3})
    return kind("renamed")  # type: ignore[no-any-return]


ODD: dict[str, tuple[Callable[[], BaseException], str]] = {
    "surrogate": (lambda: RuntimeError("caf\udce9 could not be read"), r"RuntimeError: caf\udce9 could not be read"),
    "controls": (lambda: RuntimeError("a\0b\x1b[2Jc\x85"), r"RuntimeError: a\x00b\x1b[2Jc\x85"),
    "lines": (lambda: ValueError("\n\nfirst\r\nsecond\nthird"), "ValueError: first second third"),
    "empty": (ValueError, "ValueError"),
    "hostile": (Hostile, "Hostile: <its message could not be read: str() failed>"),
    "odd text": (OddText, r"OddText: odd \udce9 text"),
    "exit": (lambda: SystemExit(0), "SystemExit: 0"),
    "syntax": (odd_syntax_error, "SyntaxError: odd"),
    "cycle": (cycle, "ValueError: first"),
    "chain": (long_chain, "ValueError: cause 199 xxx"),
    "group": (deep_group, "ExceptionGroup: group group"),
    "notes": (noted, "ValueError: noted"),
    "type": (renamed, "Odd"),
    "long": (lambda: ValueError("y" * 5_000_000), "ValueError: yyy"),
    "long lines": (lambda: ValueError("y\n" * 50_000), "ValueError: y y"),
    "long surrogates": (lambda: ValueError("\udce9" * 100_000), r"ValueError: \udce9\udce9"),
    "two arguments": (lambda: OSError(2, "gone", "caf\udce9.csv"), "FileNotFoundError: [Errno 2] gone"),
}


def raise_deeply(error: BaseException, depth: int = 300) -> None:
    if depth:
        raise_deeply(error, depth - 1)
    raise error


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("depth", [0, 300])
def test_an_odd_exception_is_described(name: str, depth: int) -> None:
    make, expected = ODD[name]
    error = make()
    try:
        raise_deeply(error, depth)
    except BaseException as caught:
        text, line = describe_error(caught), error_line(caught)

    assert len(text) <= ERROR_CHARACTERS
    assert text.encode().decode() == text
    assert not any(ord(char) < 32 and char not in "\n\t" for char in text)
    if name != "hostile":  # its traceback can't be read
        assert "in raise_deeply" in text
    assert len(line) <= SUMMARY_CHARACTERS
    assert "\n" not in line
    assert expected in summarize_error(text)
    assert len(summarize_error(text)) <= SUMMARY_CHARACTERS
    assert "raise_deeply" not in summarize_error(text)


def test_causes_come_first_and_the_raised_exception_last() -> None:
    try:
        try:
            raise FileNotFoundError("it is gone")
        except FileNotFoundError as error:
            raise RuntimeError("no input") from error
    except RuntimeError as error:
        text = describe_error(error)
    assert text.index("FileNotFoundError: it is gone") < text.index("direct cause") < text.index("RuntimeError: no")
    assert text.endswith("RuntimeError: no input")


def test_a_long_message_takes_linear_time_and_little_memory() -> None:
    error = ValueError("x" * 50_000_000)
    tracemalloc.start()
    began = time.monotonic()
    try:
        text = describe_error(error)
        error_line(error)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.monotonic() - began < 5
    assert peak < 10_000_000
    assert text.startswith("ValueError: xxx")


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("", ""),
        ("The worker died.", "The worker died."),
        ('Traceback (most recent call last):\n  File "a", line 1\n    raise x\nValueError: old\n', "ValueError: old"),
        ("ValueError: a\n  + a note", "ValueError: a"),
        ("    indented only", "indented only"),
        ("x" * 100_000, "x" * 499 + "…"),
    ],
    ids=["empty", "reason", "old", "note", "indented", "long"],
)
def test_a_summary_of_any_text(text: str, summary: str) -> None:
    assert summarize_error(text) == summary


class Unshowable:
    def __repr__(self) -> str:
        raise SystemExit


class Talkative:
    def __repr__(self) -> str:
        return "\udce9\n" * 1_000_000


@pytest.mark.parametrize(
    "value",
    [2**100_000, "x" * 5_000_000, b"x" * 5_000_000, Unshowable(), [Unshowable()], Talkative(), [[1] * 10**6]],
    ids=lambda value: type(value).__name__,
)
def test_any_value_is_described_in_one_short_line(value: object) -> None:
    said = describe_value(value)
    assert 0 < len(said) <= 200
    assert "\n" not in said
    assert said.encode().decode() == said


@given(st.text(st.characters(codec=None), max_size=300), st.lists(st.text(st.characters(codec=None)), max_size=3))
def test_any_message_is_valid_text_whose_summary_names_the_type(message: str, notes: list[str]) -> None:
    error = ValueError(message)
    error.__notes__ = notes
    text = describe_error(error)
    assert text.encode().decode() == text
    assert len(text) <= ERROR_CHARACTERS
    assert summarize_error(text).startswith("ValueError")
    assert "\n" not in error_line(error)
