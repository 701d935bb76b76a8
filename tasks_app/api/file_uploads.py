"""An upload before its body: who sends it, under which name, and whether there may be such a body.

Owns these checks, which web makes before it reads the body (longtasks/http/uploads.py), and the body's way to the view.
Must not store a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpRequest, QueryDict
from django.http.request import UnreadablePostError
from django.utils.http import parse_header_parameters
from rest_framework import serializers
from rest_framework.exceptions import ParseError, UnsupportedMediaType, ValidationError

from tasks_app.api.query_parameters import read_query
from tasks_app.conf import settings
from tasks_app.domain.callers import Caller
from tasks_app.errors import FileTooLarge
from tasks_app.files.names import NAME_CHARACTERS, InvalidFileName, check_name
from tasks_app.files.spool import Spool
from tasks_app.files.storage import mapped_storage_errors

RECEIVED: Final = "longtasks.received"  # in the environ of web's uploads: Received, or the error that ended it
_FORMS: Final = frozenset({"", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain"})
_HEADER_CHARACTERS: Final = 1000
_PIECE_BYTES: Final = 1024 * 1024


class UploadQuerySerializer(serializers.Serializer[Any]):
    """The query parameters of POST /files."""

    name = serializers.CharField(
        required=False,
        max_length=NAME_CHARACTERS,
        trim_whitespace=False,
        help_text="The file's name; without it, the `filename` of Content-Disposition counts.",
    )


@dataclass(frozen=True, slots=True)
class Announced:
    """What the head of an upload says."""

    name: str
    content_type: str


@dataclass(frozen=True, slots=True)
class Received:
    """A body that web has received, from a caller who was identified before."""

    caller: Caller
    spool: Spool


def read_announced(meta: Mapping[str, Any]) -> Announced:
    """Return name and content type of an upload. Raises ValidationError, UnsupportedMediaType, FileTooLarge."""
    content_type = str(meta.get("CONTENT_TYPE") or "")
    if content_type.partition(";")[0].strip().lower() in _FORMS:
        # A page of another origin could send these, or none; curl --data-binary says the first one by itself.
        raise UnsupportedMediaType(
            content_type[:64],
            detail="Send the file's bytes as the body, with the file's own Content-Type, such as text/csv or "
            "application/octet-stream. Forms, text/plain and requests without a type are not accepted.",
        )
    limit = settings.LONGTASKS.file_bytes
    if int(meta.get("CONTENT_LENGTH") or 0) > limit:
        raise FileTooLarge(limit_bytes=limit)
    query = read_query(QueryDict(str(meta.get("QUERY_STRING") or "")), UploadQuerySerializer)
    name = query.get("name") or _find_name(str(meta.get("HTTP_CONTENT_DISPOSITION") or ""))
    if not name:
        raise ValidationError({"name": ["Name the file: ?name=products.csv, or Content-Disposition with a filename."]})
    try:
        return Announced(check_name(name), content_type)
    except InvalidFileName as error:
        raise ValidationError({"name": [str(error)]}) from None


def find_received(request: HttpRequest) -> Received | None:
    """Return what web has received; None on another server. Raises the error that has ended web's reading."""
    received = request.META.get(RECEIVED)
    if isinstance(received, Exception):
        raise received
    return received if isinstance(received, Received) else None


def receive(request: HttpRequest) -> Spool:
    """Return the body: what web has received, or, on another server, what this thread now reads.

    Raises ParseError if the body is shorter than it should be, FileTooLarge, FilesFull.
    """
    if (received := find_received(request)) is not None:
        return received.spool
    with mapped_storage_errors():
        spool = Spool(limit_bytes=settings.LONGTASKS.file_bytes)
    try:
        left = int(request.META.get("CONTENT_LENGTH") or 0)
        while left:
            piece = request.read(min(left, _PIECE_BYTES))
            if not piece:
                raise ParseError("The body ended before its Content-Length.")
            left -= len(piece)
            with mapped_storage_errors():
                spool.write(piece)
    except UnreadablePostError:
        spool.close()
        raise ParseError("The body ended before its Content-Length.") from None
    except BaseException:
        spool.close()
        raise
    return spool


def _find_name(disposition: str) -> str:
    if not disposition or len(disposition) > _HEADER_CHARACTERS:
        return ""
    try:
        _, parameters = parse_header_parameters(disposition)
    except (ValueError, LookupError):
        return ""
    name = parameters.get("filename", "")
    try:  # WSGI has the header's bytes as Latin-1
        return name.encode("latin-1").decode()
    except UnicodeError:
        return name
