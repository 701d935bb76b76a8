"""The limits of JSON from outside: its nesting and its numbers, so that every store and reader behind the API accepts it.

Owns the pass over decoded JSON, which is not recursive. Must not know any field's meaning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

# MariaDB's JSON functions take 32 levels, MySQL's 100, orjson writes 254.
PARAMS_LEVELS: Final = 16
BODY_LEVELS: Final = PARAMS_LEVELS + 4  # POST /tasks/bulk: the body, its list, the task, its params
LOWEST: Final = -(2**63)
HIGHEST: Final = 2**64 - 1
_DIGITS: Final = 400  # of an integer that is still read, so that the error can name its field
_SHOWN_DIGITS: Final = 24
# A container within its container: (None, "") at the root.
Location = tuple["Location | None", str]


class BeyondLimits(ValueError):
    """The value is nested too deeply, or contains a number that other JSON parsers would change. `path` is its place."""

    def __init__(self, message: str, path: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.path = path

    def as_detail(self) -> Any:
        """Return the error in DRF's nested form: by the keys and indexes that lead to the value."""
        detail: Any = [str(self)]
        for name in reversed(self.path):
            detail = {name: detail}
        return detail


@dataclass(frozen=True, slots=True)
class Measured:
    """What one pass over a value has counted."""

    keys: int  # of all objects together
    has_large_float: bool  # the document may have written it as an integer


def measure(data: Any, *, levels: int) -> Measured:
    """Check the limits and count keys. Raises BeyondLimits."""
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
                        message = f"An integer of {item.bit_length()} bits; at most 64 are accepted."
                        raise BeyondLimits(message, _find(data, container, item))
                elif kind is float:
                    if not math.isfinite(item):
                        raise BeyondLimits(f"{item} is not a number in JSON.", _find(data, container, item))
                    if not LOWEST < item < -LOWEST:
                        has_large_float = True
        level = below
    return Measured(keys, has_large_float)


def read_integer(text: str) -> int:
    """Return the integer of these digits. Raises BeyondLimits if there are hundreds of them."""
    if len(text) > _DIGITS:
        raise BeyondLimits(f"The integer {text[:_SHOWN_DIGITS]}… has {len(text)} digits; at most 64 bits are accepted.")
    return int(text)


def _find(data: Any, container: Any, item: Any) -> tuple[str, ...]:
    """Return the keys and indexes that lead from `data` to an item of one of its containers."""
    rest: list[tuple[Any, Location]] = [(data, (None, ""))]
    while rest:
        value, place = rest.pop()
        for name, inner in value.items() if type(value) is dict else enumerate(value):
            if value is container and inner is item:
                path = [str(name)]
                while place[0] is not None:
                    path.append(place[1])
                    place = place[0]
                return tuple(reversed(path))
            if type(inner) is dict or type(inner) is list:
                rest.append((inner, (place, str(name))))
    return ()
