"""Content negotiation: the API reads and writes JSON; one list also comes as CSV.

Owns the decision for 406 and 415. Must not read a body.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from rest_framework.exceptions import NotAcceptable, UnsupportedMediaType

_RANGES: Final = {"*/*": 0, "application/*": 1, "application/json": 2}  # rank of each range, by how specific it is
_CSV_RANGES: Final = {"*/*": 0, "text/*": 1, "text/csv": 2}
_HEADER_CHARACTERS: Final = 2048
_SHOWN_CHARACTERS: Final = 64  # of a client's Content-Type in an error


def check_accept(meta: Mapping[str, Any], *, with_csv: bool = False) -> None:
    """Raise NotAcceptable unless the client accepts JSON; or CSV, where there is some."""
    accept = meta.get("HTTP_ACCEPT")
    if not (
        accept is None or accept == "*/*" or accept == "application/json" or accepts_json(accept[:_HEADER_CHARACTERS])
    ):
        if with_csv and prefers_csv(meta):
            return
        raise NotAcceptable("This API answers with application/json only.")


def check_content_type(meta: Mapping[str, Any]) -> None:
    """Raise UnsupportedMediaType unless the Content-Type is JSON, which an HTML form cannot send."""
    content_type = meta.get("CONTENT_TYPE", "")
    if content_type != "application/json" and not is_json(content_type[:256]):
        raise UnsupportedMediaType(content_type[:_SHOWN_CHARACTERS])


@lru_cache(maxsize=256)
def is_json(content_type: str) -> bool:
    """Whether a Content-Type means JSON in UTF-8."""
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    if media_type != "application/json":
        return False
    for parameter in filter(None, parameters):
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip('"') not in ("utf-8", "utf8"):
            return False
    return True


def prefers_csv(meta: Mapping[str, Any]) -> bool:
    """Return whether the client names text/csv and not application/json, or accepts only the former."""
    accept = str(meta.get("HTTP_ACCEPT") or "")[:_HEADER_CHARACTERS].lower()
    if not accept.strip() or not accepts_range(accept, csv=True):
        return False
    return ("text/csv" in accept and "application/json" not in accept) or not accepts_json(accept)


def accepts_json(accept: str) -> bool:
    """Whether an Accept header accepts application/json; its most specific matching range decides."""
    return accepts_range(accept)


@lru_cache(maxsize=256)
def accepts_range(accept: str, *, csv: bool = False) -> bool:
    """Whether an Accept header accepts application/json; or text/csv."""
    ranges = _CSV_RANGES if csv else _RANGES
    best, accepted = -1, not accept.strip()
    for item in accept.split(","):
        media_range, *parameters = (part.strip().lower() for part in item.split(";"))
        rank = ranges.get(media_range, -1)
        if rank > best:
            best, accepted = rank, not any(_is_zero(parameter) for parameter in parameters)
    return accepted


def _is_zero(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    return name.strip() == "q" and value.strip().rstrip("0") in ("", ".", "0.")
