"""A spool: bytes that arrive piece by piece, on disk until the storage takes them, with their number and SHA-256.

Owns the temporary file, which has no name: whatever ends this process, nothing of it remains. Must not know the storage.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from typing import IO, Any

from tasks_app.conf import settings
from tasks_app.errors import FileTooLarge


class Spool:
    """Bytes of one file. Its methods block: call them in a thread, one at a time."""

    def __init__(self, *, limit_bytes: int | None = None) -> None:
        """Create the temporary file in FILE_DIR, because a system's /tmp is often in memory. Raises OSError."""
        os.makedirs(settings.FILE_DIR, mode=0o700, exist_ok=True)
        self.file: IO[bytes] = tempfile.TemporaryFile(dir=settings.FILE_DIR)  # noqa: SIM115 (closed by close)
        self.size = 0
        self._limit_bytes = limit_bytes
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The SHA-256 of what was written, in hexadecimal digits."""
        return self._digest.hexdigest()

    def write(self, data: bytes) -> int:
        """Append bytes. Raises FileTooLarge, and OSError if the disk is full."""
        if self._limit_bytes is not None and self.size + len(data) > self._limit_bytes:
            raise FileTooLarge(limit_bytes=self._limit_bytes)
        self.file.write(data)
        self._digest.update(data)
        self.size += len(data)
        return len(data)

    def close(self) -> None:
        """Remove the bytes."""
        self.file.close()

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
