"""The response with the bytes of a file, or a part of them.

Owns status and headers of a download. Must not decide who may have the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Final

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.http import content_disposition_header, parse_etags

from tasks_app.api.problem_details import problem
from tasks_app.errors import FilesUnavailable
from tasks_app.files.open_file import FileGone, open_row
from tasks_app.files.storage import mapped_storage_errors
from tasks_app.http.byte_ranges import ByteRange, Unsatisfiable, read_range
from tasks_app.models import TaskFile

PIECE_BYTES: Final = 256 * 1024


class FileResponse(StreamingHttpResponse):
    """The bytes of a file, in pieces. Web sends them as the client reads; `close` closes the file."""


def respond_with_file(request: HttpRequest, row: TaskFile) -> HttpResponseBase:
    """Return 200 with the whole file, 206 with the part that Range names, 304 or 416. Raises FilesUnavailable.

    Range counts for GET alone (RFC 9110, 14.2).
    """
    etag = f'"{row.sha256}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": content_disposition_header(True, row.name) or "attachment",
    }
    known = request.META.get("HTTP_IF_NONE_MATCH")
    if known is not None and any(tag in ("*", etag) for tag in (tag.removeprefix("W/") for tag in parse_etags(known))):
        return HttpResponse(status=304, headers={"ETag": etag, "Cache-Control": headers["Cache-Control"]})
    if_range = request.META.get("HTTP_IF_RANGE")
    wanted: ByteRange | None = None
    if request.method == "GET" and (if_range is None or if_range.strip() == etag):
        try:
            wanted = read_range(request.META.get("HTTP_RANGE"), size=row.size)
        except Unsatisfiable:
            return problem(
                416,
                f"The file has {row.size} bytes: request a range that begins before its end.",
                headers={"Content-Range": f"bytes */{row.size}", "Accept-Ranges": "bytes"},
            )
    part = wanted or ByteRange(0, row.size)
    headers["Content-Length"] = str(part.length)
    if wanted is not None:
        headers["Content-Range"] = f"bytes {part.start}-{part.start + part.length - 1}/{row.size}"
    if request.method == "HEAD":
        return HttpResponse(headers=headers, content_type=row.content_type)
    with mapped_storage_errors():
        try:
            stored = open_row(row)
            stored.seek(part.start)
        except FileGone as error:
            raise FilesUnavailable from error
    return FileResponse(
        Pieces(stored, part.length), status=206 if wanted else 200, headers=headers, content_type=row.content_type
    )


class Pieces(Iterator[bytes]):
    """The next bytes of an open file, in pieces of at most PIECE_BYTES. The response closes it, and it the file."""

    def __init__(self, stored: IO[bytes], length: int) -> None:
        self._stored, self._left = stored, length

    def __next__(self) -> bytes:
        piece = self._stored.read(min(self._left, PIECE_BYTES)) if self._left else b""
        if not piece:  # also if the storage has lost some: the client gets fewer bytes than Content-Length says
            raise StopIteration
        self._left -= len(piece)
        return piece

    def close(self) -> None:
        self._stored.close()
