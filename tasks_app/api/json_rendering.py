"""JSON bodies: orjson as DRF's parser and renderer, and responses written directly as bytes, with an ETag if wanted.

Owns the body's limits and its syntax: size, and what strict_json accepts. Must not know any field's meaning.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

import orjson
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.utils.http import parse_etags
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

from tasks_app.domain.json_limits import BODY_LEVELS, BeyondLimits
from tasks_app.domain.strict_json import DoubledKey, parse_json

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
SOURCE_HEADER: Final = "Longtasks-Source"  # the only store that was read, while the other store is unavailable
DEFAULT_BODY_BYTES: Final = 64 * 1024


class BodyTooLarge(APIException):
    status_code = 413
    default_code = "body-too-large"

    def __init__(self, *, limit_bytes: int) -> None:
        super().__init__(f"The body may have at most {limit_bytes} bytes. Send a smaller body.")


def to_json(data: Any) -> bytes:
    """Return `data` as JSON; datetimes become RFC 3339 in UTC with a Z."""
    return orjson.dumps(data, default=str, option=orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC)


def respond(
    data: Any, *, status: int = 200, headers: Mapping[str, str] | None = None, content_type: str = JSON
) -> HttpResponse:
    """Return a rendered JSON response. DRF's Response would be rendered later, by Django's template classes."""
    return HttpResponse(to_json(data), status=status, headers=headers, content_type=content_type)


def respond_if_changed(request: HttpRequest, data: Any) -> HttpResponse:
    """Return 304 if the client's If-None-Match contains the ETag of these bytes, else 200 with their ETag."""
    body = to_json(data)
    etag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    known = request.META.get("HTTP_IF_NONE_MATCH")
    if known is not None:
        # Weak comparison, as RFC 9110 requires for If-None-Match.
        tags = [tag.removeprefix("W/") for tag in parse_etags(known)]
        if "*" in tags or etag in tags:
            return HttpResponse(status=304, headers=headers)
    return HttpResponse(body, headers=headers, content_type=JSON)


class OrjsonRenderer(BaseRenderer):
    """The JSON renderer for content negotiation and the schema; the views call `respond` directly."""

    media_type = JSON
    format = "json"
    charset = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        return b"" if data is None else to_json(data)


class OrjsonParser(BaseParser):
    """The JSON parser for the schema; the views call `read_body` and `read_json` directly."""

    media_type = JSON

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        return read_json(read_body(stream, limit_bytes=DEFAULT_BODY_BYTES))


def read_json(body: bytes) -> Any:
    """Return the decoded body. Raises ParseError."""
    try:
        return parse_json(body, levels=BODY_LEVELS)
    except json.JSONDecodeError as error:
        raise ParseError(f"The body is not valid JSON: {error}.") from None
    except DoubledKey as error:
        raise ParseError(str(error)) from None
    except BeyondLimits as error:
        raise ParseError(f"The body is not accepted. {error}") from None


def read_body(request: HttpRequest, *, limit_bytes: int) -> bytes:
    """Read the whole body. Raises BodyTooLarge, before reading if the Content-Length is too large, and ParseError."""
    if int(request.META.get("CONTENT_LENGTH") or 0) > limit_bytes:
        raise BodyTooLarge(limit_bytes=limit_bytes)
    try:
        body: bytes = request.read(limit_bytes + 1)
    except UnreadablePostError:
        raise ParseError("The body ended before its Content-Length.") from None
    if len(body) > limit_bytes:
        raise BodyTooLarge(limit_bytes=limit_bytes)
    return body
