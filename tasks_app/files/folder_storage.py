"""The default storage of files: a folder, whose files are on the disk before a row says that they are complete.

Owns that order only; all else is Django's. Must not know a file's row.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.files.storage import FileSystemStorage


class FolderStorage(FileSystemStorage):
    """Django's folder storage, which also survives a power failure: the database's commit does, so the bytes must."""

    def save(self, name: str | None, content: Any, max_length: int | None = None) -> str:
        saved = super().save(name, content, max_length=max_length)
        path, root = Path(self.path(saved)), Path(self.location)
        _flush(path)
        for directory in path.parents:  # they may be new
            _flush(directory)
            if directory == root:
                break
        return saved


def _flush(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
