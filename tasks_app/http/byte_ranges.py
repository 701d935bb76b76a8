"""The Range header: which bytes of a file a client wants.

Owns its syntax (RFC 9110, one range of bytes). Must not read a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_ONE_RANGE: Final = re.compile(r"bytes=[ \t]*+([0-9]{0,18})-([0-9]{0,18})[ \t]*+\Z", re.IGNORECASE)
_HEADER_CHARACTERS: Final = 100


class Unsatisfiable(Exception):
    """The range begins behind the end of the file."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    start: int
    length: int


def read_range(header: str | None, *, size: int) -> ByteRange | None:
    """Return the wanted part of a file of `size` bytes; None: all of it. Raises Unsatisfiable.

    Several ranges, other units and malformed headers count as no header, as RFC 9110 allows.
    """
    if header is None or len(header) > _HEADER_CHARACTERS:
        return None
    found = _ONE_RANGE.match(header.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        length = min(int(found[2]), size)
        if not length:
            raise Unsatisfiable
        return ByteRange(size - length, length)
    start = int(found[1])
    last = int(found[2]) if found[2] else size - 1
    if found[2] and last < start:
        return None
    if start >= size:
        raise Unsatisfiable
    return ByteRange(start, min(last, size - 1) - start + 1)
