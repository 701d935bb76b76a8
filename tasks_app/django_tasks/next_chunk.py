"""`NextChunk`: what a function returns that has more to do, so that each part of its work commits by itself.

Owns its fields. Needs no task framework.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class NextChunk:
    """Call the function again, with the same arguments and `cursor=`, after what it has written has committed."""

    MOST: ClassVar[int] = 1_000_000

    cursor: Any  # JSON
    done: int = 1  # records of this call, for the task's progress; at most MOST
