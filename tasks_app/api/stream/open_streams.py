"""How many live streams one process has open, in all and for each caller. Lives in one event loop; knows no protocol."""

from __future__ import annotations

from collections import Counter
from typing import Final

from rest_framework.exceptions import APIException, Throttled

MAX_STREAMS: Final = 2000
MAX_STREAMS_PER_CALLER: Final = 100  # token, user, or anonymous address: none of them can lock out the others
_RETRY_SECONDS: Final = 5


class TooManyStreams(APIException):
    """This process has the maximum number of open streams."""

    status_code = 503
    default_code = "all-places-taken"
    wait = _RETRY_SECONDS

    def __init__(self) -> None:
        super().__init__(f"Too many open streams ({MAX_STREAMS}). Try again later.")


class OpenStreams:
    """The open streams, counted."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()
        self._total = 0

    def take(self, caller: str) -> None:
        """Count one more stream of a caller, or raise Throttled or TooManyStreams."""
        if self._taken.get(caller, 0) >= MAX_STREAMS_PER_CALLER:
            raise Throttled(
                wait=_RETRY_SECONDS,
                detail=f"Too many open streams: a caller may have at most {MAX_STREAMS_PER_CALLER}. Close one first.",
            )
        if self._total >= MAX_STREAMS:
            raise TooManyStreams
        self._taken[caller] += 1
        self._total += 1

    def leave(self, caller: str) -> None:
        """Count a stream no longer that `take` has counted."""
        self._total -= 1
        self._taken[caller] -= 1
        if not self._taken[caller]:
            del self._taken[caller]
