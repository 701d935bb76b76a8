"""Counts the open live streams of one process, in total and by caller.

Owns the two limits. Must be used in one event loop only. Must not know the protocol.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from rest_framework.exceptions import APIException, Throttled

MOST_STREAMS: Final = 2000
MOST_STREAMS_OF_CALLER: Final = (
    100  # token, user, or anonymous address: none of them can use up the limit of the others
)
_RETRY_SECONDS: Final = 5


class TooManyStreams(APIException):
    """This process has the maximum number of open streams."""

    status_code = 503
    default_code = "too-many-streams"
    wait = _RETRY_SECONDS

    def __init__(self) -> None:
        super().__init__(f"Too many open streams ({MOST_STREAMS}). Try again later.")


class OpenStreams:
    """The open streams, counted."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._total = 0

    def add(self, caller: str) -> None:
        """Count one more stream of a caller. Raises Throttled and TooManyStreams."""
        if self._open.get(caller, 0) >= MOST_STREAMS_OF_CALLER:
            raise Throttled(
                wait=_RETRY_SECONDS,
                detail=f"Too many open streams: a caller may have at most {MOST_STREAMS_OF_CALLER}. Close one first.",
            )
        if self._total >= MOST_STREAMS:
            raise TooManyStreams
        self._open[caller] += 1
        self._total += 1

    def remove(self, caller: str) -> None:
        """Undo one `add`."""
        self._total -= 1
        self._open[caller] -= 1
        if not self._open[caller]:
            del self._open[caller]
