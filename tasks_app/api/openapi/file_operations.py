"""The descriptions of the operations on files in the OpenAPI document.

Owns their wording. Must not change behaviour.
"""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse

from tasks_app.api import file_serializers
from tasks_app.api.authentication import PUBLIC
from tasks_app.api.openapi.examples import FILE
from tasks_app.api.openapi.operation_parts import (
    RETRY_AFTER,
    ok,
    operation,
    problems,
    request_header,
    response_header,
)
from tasks_app.auth.api_tokens import WRITE
from tasks_app.files.names import BINARY, NAME_CHARACTERS, NAME_PATTERN

_ID: Final = OpenApiParameter("id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="The file's id.")
_LINK: Final = OpenApiParameter("link", str, OpenApiParameter.PATH, description="From an artifact's `url`.")
_TEXT: Final = "sku,name\nA-1,Lamp\n"
_BYTES: Final = {"type": "string", "format": "binary"}
_CONTENT_PARAMETERS: Final = [
    request_header("Range", "One range of bytes: `bytes=0-499`, `bytes=500-` or `bytes=-500`."),
    request_header("If-Range", "The ETag of an earlier response: the range counts only if the file is still the same."),
    request_header("If-None-Match", "The ETag of an earlier response."),
    response_header("ETag", "The file's SHA-256, in quotation marks.", 200, 206, 304),
    response_header("Content-Range", "Which bytes these are; of 416, the file's size.", 206, 416),
]


def _bytes(description: str, value: str, status: int) -> OpenApiResponse:
    example = OpenApiExample(
        description, value=value, media_type=BINARY, response_only=True, status_codes=[str(status)]
    )
    return OpenApiResponse(_BYTES, description=description, examples=[example])


def _content(description: str) -> dict[Any, OpenApiResponse]:
    return {
        (200, BINARY): _bytes(description, _TEXT, 200),
        (206, BINARY): _bytes("The bytes that Range names.", _TEXT[:8], 206),
        304: OpenApiResponse(description="Not changed since the response that If-None-Match identifies."),
        **problems(416),
    }


upload = operation(
    "uploadFile",
    "files",
    "Upload a file",
    needs=WRITE,
    description="The body is the file, whatever its type. It is stored as it arrives, up to FILE_BYTES. Tasks name the file "
    "by its `id`; it is deleted after FILE_DAYS, unless a task names it.",
    parameters=[
        # Required here, because no schema can express that Content-Disposition may take its place.
        OpenApiParameter(
            "name",
            {"type": "string", "maxLength": NAME_CHARACTERS, "pattern": NAME_PATTERN},
            OpenApiParameter.QUERY,
            required=True,
            description='The file\'s name. `Content-Disposition: attachment; filename="products.csv"` may take its place.',
        ),
        response_header("Location", "The address of the file.", 201),
        RETRY_AFTER,
    ],
    request={BINARY: _BYTES},
    examples=[OpenApiExample("Two lines.", value=_TEXT, media_type=BINARY, request_only=True)],
    responses={
        201: ok(file_serializers.FileSerializer, "Stored.", FILE, 201),
        **problems(400, 406, 413, 415, 503, 507),
    },
)
show = operation(
    "showFile",
    "files",
    "Show a file",
    parameters=[_ID, RETRY_AFTER],
    responses={200: ok(file_serializers.FileSerializer, "The file.", FILE), **problems(400, 404, 406, 503)},
)
delete = operation(
    "deleteFile",
    "files",
    "Delete a file",
    needs=WRITE,
    description="A file that a task names is kept as long as the task.",
    parameters=[_ID, RETRY_AFTER],
    request=None,
    responses={204: OpenApiResponse(description="Deleted."), **problems(404, 406, 409, 503)},
)
content = operation(
    "downloadFile",
    "files",
    "Download a file",
    parameters=[_ID, *_CONTENT_PARAMETERS, RETRY_AFTER],
    responses={**_content("The file."), **problems(400, 404, 503)},
)
download = operation(
    "downloadArtifact",
    "files",
    "Download a file by a link",
    needs=PUBLIC,
    description="A link needs no token; it expires after one to two hours.",
    parameters=[_LINK, *_CONTENT_PARAMETERS, RETRY_AFTER],
    responses={**_content("The file."), **problems(404, 410, 503)},
)
