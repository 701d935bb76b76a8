"""How many live streams one process has open, in all and for each caller. Lives in one event loop; knows no protocol."""

from __future__ import annotations

from collections import Counter
from typing import Final

from rest_framework.exceptions import APIException, Throttled

PLACES: Final = 2000
PLACES_OF_ONE: Final = 100  # token, user, or anonymous address: none of them can lock out the others
_RETRY_SECONDS: Final = 5


class AllPlacesTaken(APIException):
    """This process has the maximum number of open streams."""

    status_code = 503
    default_code = "all-places-taken"
    wait = _RETRY_SECONDS

    def __init__(self) -> None:
        super().__init__(f"Too many open streams ({PLACES}). Try again later.")


class Places:
    """The open streams, counted."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()
        self._total = 0

    def take(self, caller: str) -> None:
        """Count one more stream of a caller, or raise Throttled or AllPlacesTaken."""
        if self._taken.get(caller, 0) >= PLACES_OF_ONE:
            raise Throttled(
                wait=_RETRY_SECONDS,
                detail=f"Too many open streams: a caller may have at most {PLACES_OF_ONE}. Close one first.",
            )
        if self._total >= PLACES:
            raise AllPlacesTaken
        self._taken[caller] += 1
        self._total += 1

    def leave(self, caller: str) -> None:
        """Count a stream no longer that `take` has counted."""
        self._total -= 1
        self._taken[caller] -= 1
        if not self._taken[caller]:
            del self._taken[caller]
