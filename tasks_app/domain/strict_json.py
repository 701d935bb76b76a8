"""Parses JSON from outside strictly: no key occurs twice, integers stay integers, depth and numbers are limited.

Owns the choice of the parser. Must not know where the text comes from, nor any field's meaning.
"""

from __future__ import annotations

import json
from typing import Any, Final

import orjson

from tasks_app.domain.json_limits import measure, read_integer

_SHOWN_CHARACTERS: Final = 64  # of a key in an error


class DoubledKey(ValueError):
    """A key occurs twice in one object."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The key {name[:_SHOWN_CHARACTERS]!r} occurs twice in one object.")


def parse_json(text: bytes | str, *, levels: int) -> Any:
    """Return the decoded value. Raises json.JSONDecodeError, DoubledKey and BeyondLimits; all are ValueErrors.

    orjson keeps the last of two duplicate keys, and turns an integer of more than 64 bits into a float. Here duplicate
    keys are refused, and such an integer stays an integer, so that its field can refuse it. Every key has a colon. If a
    text has as many colons as decoded keys, it has no duplicate keys, and it is parsed only once.
    """
    data = orjson.loads(text)
    measured = measure(data, levels=levels)
    colons = text.count(b":") if isinstance(text, bytes) else text.count(":")
    if measured.has_large_float or colons != measured.keys:
        data = json.loads(text, object_pairs_hook=_pairs_once, parse_int=read_integer)
    return data


def _pairs_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    once = dict(pairs)
    if len(once) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise DoubledKey(name)
            seen.add(name)
    return once
