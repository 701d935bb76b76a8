"""Types of command-line arguments: they validate what the shell passes before a command sees it.

Owns these types. Must not know any command.
"""

from __future__ import annotations

import json
import re
from argparse import ArgumentTypeError
from datetime import timedelta
from typing import Any, Final

from tasks_app.domain import priorities

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def text(value: str) -> str:
    """Return a text argument. Raises ArgumentTypeError for bytes that are not UTF-8 (Python passes lone surrogates)."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ArgumentTypeError(f"{value!a} is not valid UTF-8 at character {error.start + 1}: give UTF-8.") from None
    return value


def duration(value: str) -> timedelta:
    """Parse a duration such as 90m or 30d. Raises ArgumentTypeError for any other text, and for 10,000 weeks or more."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smhdw])", value.strip(), re.ASCII)
    if match is None:
        raise ArgumentTypeError(f"{value[:40]!r} is not a duration: give a number and s, m, h, d or w, such as 30d")
    try:
        found = timedelta(**{_UNITS[match[2]]: float(match[1])})
    except OverflowError:
        found = timedelta.max
    if found >= timedelta(weeks=10_000):
        raise ArgumentTypeError(f"{value[:40]!r} is too long: give less than 10000 weeks")
    return found


def priority(value: str) -> str | int:
    """Parse a priority. Raises ArgumentTypeError for anything but high, low and 1 to 10."""
    read = priorities.read_priority(value)
    if read is None:
        raise ArgumentTypeError(f"{value[:40]!r} is not a priority: give high, low or a number from 1 to 10")
    return read


def json_object(text: str) -> dict[str, Any]:
    """Parse a JSON object. Raises ArgumentTypeError for any other text."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ArgumentTypeError(f"not valid JSON: {error}") from None
    except RecursionError:
        raise ArgumentTypeError("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise ArgumentTypeError(f"{text[:40]!r} is not a JSON object")
    return value
