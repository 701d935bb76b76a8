"""A position in a record file: always at the edge of a record.

Owns its form in a task's state. Must not know formats or encodings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple


class Position(NamedTuple):
    """The byte at which the next record begins, in gzip that of the uncompressed text, and its line (from 1).

    Blank lines may precede the record.
    """

    offset: int
    line: int

    def as_state(self) -> dict[str, int]:
        """Return the position as JSON."""
        return {"offset": self.offset, "line": self.line}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Position:
        """Return the position of a state; the first one if the state has none. Raises ValueError."""
        offset, line = state.get("offset", 0), state.get("line", 1)
        if type(offset) is not int or type(line) is not int or offset < 0 or line < 1:
            raise ValueError(f"offset {offset!r} and line {line!r} are not a position in a file")
        return cls(offset, line)


FIRST: Final = Position(0, 1)
