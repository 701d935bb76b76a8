"""Limits how often a process logs a line that any client can cause by a request."""

from __future__ import annotations

import time
from typing import Final

SECONDS: Final = 60.0


class LogLimit:
    """Lets one line through per SECONDS. Racing threads may let through one more, which is harmless."""

    def __init__(self) -> None:
        self._next = 0.0

    def lets_through(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + SECONDS
        return True
