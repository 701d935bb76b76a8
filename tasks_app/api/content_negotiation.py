"""Content negotiation: the API reads and writes JSON only.

Owns the decision for 406 and 415. Must not read a body.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

_RANGES: Final = {"*/*": 0, "application/*": 1, "application/json": 2}  # rank of each range, by how specific it is
_HEADER_CHARACTERS: Final = 2048


class JsonNegotiation(BaseContentNegotiation):
    """Checks that the client accepts JSON and has sent JSON; there is nothing to choose."""

    def select_parser(self, request: Any, parsers: Sequence[BaseParser]) -> BaseParser | None:
        content_type = request.content_type
        if content_type == "application/json" or is_json(content_type[:256]):
            return parsers[0]
        return None

    def select_renderer(
        self, request: Any, renderers: Sequence[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        accept = request.META.get("HTTP_ACCEPT")
        if (
            accept is None
            or accept == "*/*"
            or accept == "application/json"
            or accepts_json(accept[:_HEADER_CHARACTERS])
        ):
            return renderers[0], renderers[0].media_type
        raise NotAcceptable("This API answers with application/json only.")


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


@lru_cache(maxsize=256)
def accepts_json(accept: str) -> bool:
    """Whether an Accept header accepts application/json; its most specific matching range decides."""
    best, accepted = -1, not accept.strip()
    for item in accept.split(","):
        media_range, *parameters = (part.strip().lower() for part in item.split(";"))
        rank = _RANGES.get(media_range, -1)
        if rank > best:
            best, accepted = rank, not any(_is_zero(parameter) for parameter in parameters)
    return accepted


def _is_zero(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    return name.strip() == "q" and value.strip().rstrip("0") in ("", ".", "0.")
