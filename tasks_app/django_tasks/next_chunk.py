"""`NextChunk`: what a function returns that has more to do, so that each part of its work commits by itself.

Owns its fields. Needs no task framework.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class NextChunk:
    """Call the function again, with the same arguments and `cursor=`, after what it has written has committed."""

    cursor: Any  # JSON
    counts: Mapping[str, int] = field(default_factory=dict)  # rows of this call by name; the task shows their sums
