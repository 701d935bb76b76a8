"""The wait that a request asks for: `?wait=` and `Prefer: wait`.

Owns parsing both. Must not wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.http import QueryDict
from rest_framework import serializers

from tasks_app.api.query_parameters import read_query

WAIT_SECONDS: Final = 60
_PREFER_CHARACTERS: Final = 1024


class WaitQuerySerializer(serializers.Serializer[Any]):
    """The query parameters of POST /tasks and GET /tasks/{id}."""

    wait = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=WAIT_SECONDS,
        help_text="Respond when the task ends, at the latest after this many seconds.",
    )


@dataclass(frozen=True, slots=True)
class WantedWait:
    """The seconds to wait, and the value of Preference-Applied; None if the header did not ask for a wait."""

    seconds: float = 0.0
    preference: str | None = None


_NO_WAIT: Final = WantedWait()


def read_wait(meta: Mapping[str, Any], query: QueryDict) -> WantedWait:
    """Return the wait of `?wait=`, which takes precedence, or of `Prefer: wait=S`.

    Raises ValidationError for an invalid `?wait=`. An invalid preference and other query parameters are ignored.
    """
    prefer: str | None = meta.get("HTTP_PREFER")
    if prefer is None and not query:
        return _NO_WAIT
    if "wait" in query:
        asked = QueryDict(mutable=True)
        asked.setlist("wait", query.getlist("wait"))
        return WantedWait(read_query(asked, WaitQuerySerializer)["wait"])
    for preference in (prefer or "")[:_PREFER_CHARACTERS].split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        value = value.strip().strip('"')
        if name.strip().lower() == "wait" and value.isdecimal():
            seconds = min(int(value[:6]), WAIT_SECONDS)
            return WantedWait(seconds, f"wait={seconds}")
    return _NO_WAIT
