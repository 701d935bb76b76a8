"""Which way a request takes through web, by its method and its path (without SCRIPT_NAME).

Owns these questions. Must not set Django up.
"""

from __future__ import annotations

import re
from typing import Final

_API: Final = re.compile(
    r"/(?:tasks|files|downloads|task-types|stream-tickets|queues|health|metrics|schema)(?:/.*)?", re.DOTALL
)
# What asks Redis once, and the database by primary key if at all.
_QUICK: Final = re.compile(r"/(?:tasks(?:/[0-9a-fA-F-]{36})?|health/live)/?")
_UPLOAD: Final = re.compile(r"/files/?")
# Files, and the list of failed records, which may be a long CSV file.
_DOWNLOAD: Final = re.compile(r"/(?:files/[^/]{1,64}/content|downloads/[^/]{1,200}|tasks/[^/]{1,64}/failures)/?")
_STREAM: Final = re.compile(r"/(?:tasks/[^/]{1,64}/)?stream/?")


def is_api(path: str) -> bool:
    """Return whether a path is the API's. Its views take no session, cookie or form."""
    return _API.fullmatch(path) is not None


def is_stream(path: str) -> bool:
    """Return whether a path is the live stream's."""
    return path.endswith(("stream", "stream/")) and _STREAM.fullmatch(path) is not None


def is_upload(method: str, path: str) -> bool:
    """Return whether a request sends a file, whose body is read as it arrives."""
    return method == "POST" and _UPLOAD.fullmatch(path) is not None


def is_download(method: str, path: str) -> bool:
    """Return whether the response may be a file, which is sent piece by piece."""
    return method == "GET" and _DOWNLOAD.fullmatch(path) is not None


def is_quick(method: str, path: str) -> bool:
    """Return whether the event loop answers such a request itself."""
    if _QUICK.fullmatch(path) is None:
        return False
    if path.startswith("/tasks") and len(path) <= len("/tasks/"):
        return method == "POST"
    return method in ("GET", "HEAD")
