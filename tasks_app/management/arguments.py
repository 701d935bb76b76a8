"""Types of command-line arguments: what a shell hands over is checked before any command sees it."""

from __future__ import annotations

from argparse import ArgumentTypeError


def text(value: str) -> str:
    """Return a text argument, or refuse one whose bytes are not UTF-8: Python hands them over as lone surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ArgumentTypeError(f"{value!a} is not valid UTF-8 at character {error.start + 1}: give UTF-8.") from None
    return value
