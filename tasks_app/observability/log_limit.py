"""Bounds how often a process logs what anyone can cause by a request."""

from __future__ import annotations

import time
from typing import Final

SECONDS: Final = 60.0


class LogLimit:
    """Lets one line through in SECONDS; threads that race let through one more, which does no harm."""

    def __init__(self) -> None:
        self._next = 0.0

    def lets_through(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + SECONDS
        return True
