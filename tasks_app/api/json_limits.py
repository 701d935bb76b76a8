"""How deep JSON from outside may nest, and which numbers it may hold: what every store and reader behind the API takes.

Owns the walk over decoded JSON, without recursion and in one pass. Must not know any field's meaning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

# MariaDB's JSON functions take 32 levels, MySQL's 100, orjson writes 254.
PARAMS_LEVELS: Final = 16
BODY_LEVELS: Final = PARAMS_LEVELS + 4  # bulk: the body, its list, the task, its params
LOWEST: Final = -(2**63)
HIGHEST: Final = 2**64 - 1
_SHOWN_DIGITS: Final = 24


class BeyondLimits(ValueError):
    """The value nests too deeply, or holds a number that readers of JSON would change."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one walk over a value has found."""

    keys: int  # of all objects
    has_large_float: bool  # which may have been written as an integer


def measure(data: Any, *, levels: int) -> Measured:
    """Return what the value holds. Raises BeyondLimits."""
    keys, has_large_float, depth = 0, False, 0
    level: list[Any] = [data] if type(data) is dict or type(data) is list else []
    while level:
        depth += 1
        if depth > levels:
            raise BeyondLimits(f"Nested too deeply: {levels} levels of objects and lists at most.")
        below: list[Any] = []
        for container in level:
            if type(container) is dict:
                keys += len(container)
                items: Any = container.values()
            else:
                items = container
            for item in items:
                kind = type(item)
                if kind is dict or kind is list:
                    below.append(item)
                elif kind is int:
                    if not LOWEST <= item <= HIGHEST:
                        raise BeyondLimits(f"Holds an integer of {item.bit_length()} bits: 64 bits at most.")
                elif kind is float:
                    if not math.isfinite(item):
                        raise BeyondLimits(f"Holds {item}, which is not a number in JSON.")
                    if not LOWEST < item < -LOWEST:
                        has_large_float = True
        level = below
    return Measured(keys, has_large_float)


def read_integer(text: str) -> int:
    """Return the integer that a JSON document writes so. Raises BeyondLimits for one beyond 64 bits."""
    if len(text) > _SHOWN_DIGITS or not LOWEST <= (number := int(text)) <= HIGHEST:
        shown = text if len(text) <= _SHOWN_DIGITS else f"{text[:_SHOWN_DIGITS]}…"
        raise BeyondLimits(f"The integer {shown} is out of range: 64 bits at most.")
    return number
