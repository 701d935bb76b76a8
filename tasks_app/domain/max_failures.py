"""How many records of a task may fail: a number, or a share of them.

Owns the text in which a task carries it, and when it is exceeded. Must not count anything.
"""

from __future__ import annotations

import re
from typing import Final

MOST: Final = 1_000_000  # failed records of a task, whatever its bound
SHARE_FROM: Final = 1_000  # records done, from which on a share is judged if the total is unknown
CHARACTERS: Final = 16
SHARE_PATTERN: Final = r"(?!0{1,2}(?:\.0{1,4})?%)(?:100(?:\.0{1,4})?|[0-9]{1,2}(?:\.[0-9]{1,4})?)%"
_SHARE: Final = re.compile(rf"{SHARE_PATTERN}\Z")
_MILLION: Final = 1_000_000


def read_max_failures(value: object) -> str:
    """Return the text of a bound that a client gave: an int from 0 to MOST, or a share such as `0.5%`; "" for 0.

    Raises ValueError.
    """
    if type(value) is int and 0 <= value <= MOST:
        return str(value) if value else ""
    if type(value) is str and len(value) <= CHARACTERS and _SHARE.match(value):
        return value
    raise ValueError(f'accepted: an integer from 0 to {MOST}, or a share from "0.0001%" to "100%"')


def show_max_failures(text: str) -> int | str:
    """Return the bound as a client gave it."""
    return int(text) if text.isascii() and text.isdigit() else text or 0


def get_excess(text: str, *, failed: int, done: int, total: int | None, is_end: bool) -> str:
    """Return in words by what the bound is exceeded; "" if it is not.

    `done` records include the failed ones. `total` is None while the number of records is unknown or an estimate. Text
    that is no bound allows none.
    """
    if not failed:
        return ""
    if len(text) <= CHARACTERS and _SHARE.match(text):
        if failed > MOST:
            return f"more than {MOST:,} records failed, the most of any task"
        records = done if is_end or total is None else max(done, total)
        is_known = is_end or total is not None
        if (is_known or done >= SHARE_FROM) and failed * _MILLION > records * _read_share(text):
            return f"{failed:,} of {done:,} records failed, maxFailures is {text} of {records:,}"
        return ""
    most = int(text) if len(text) <= CHARACTERS and text.isascii() and text.isdigit() else 0
    return f"{failed:,} of {done:,} records failed, maxFailures is {most:,}" if failed > most else ""


def _read_share(text: str) -> int:
    """Return a share in millionths."""
    whole, _, part = text.removesuffix("%").partition(".")
    return int(whole) * 10_000 + int(part.ljust(4, "0") or 0)
