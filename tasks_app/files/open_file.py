"""Opens a file for a task: `open_file(file_id)`.

Owns what a missing file means for a task. Must not check an owner: the start has done that (services/authorization).
"""

from __future__ import annotations

import uuid
from typing import IO, Any, cast

from tasks_app.errors import HopelessError
from tasks_app.files.storage import get_storage
from tasks_app.models import TaskFile


class FileGone(HopelessError):
    """The file was deleted or has expired, or the storage has lost its bytes: another attempt would fail in the same way."""


class FileDamaged(FileGone):
    """The storage holds another number of bytes than were stored."""


def find_row(file_id: uuid.UUID | str) -> TaskFile:
    """Return the row of a complete file: name, size, sha256 and content_type. Raises FileGone."""
    try:
        key = file_id if isinstance(file_id, uuid.UUID) else uuid.UUID(file_id)
    except (ValueError, AttributeError, TypeError):
        raise FileGone(f"{str(file_id)[:64]!r} is not the id of a file.") from None
    row = TaskFile.objects.filter(pk=key, is_complete=True).first()
    if row is None:
        raise FileGone(
            f"There is no file {key}: it was deleted, or it has expired. Upload it again, and start a new task."
        )
    return row


def open_file(file_id: uuid.UUID | str) -> IO[bytes]:
    """Open a file by its id, to read: binary, seekable, at its first byte. Close it, or use it in a `with`.

    One query by primary key. With a folder as the storage, opening and seeking take constant time; a storage of objects
    may fetch the whole file at the first read. Raises FileGone, FileDamaged, and what the storage raises while it does
    not answer, which costs the task an attempt.
    """
    return open_row(find_row(file_id))


def open_row(row: TaskFile) -> IO[bytes]:
    """Open the file of a row. Raises as `open_file` does."""
    try:
        stored = get_storage().open(row.storage_key, "rb")
    except FileNotFoundError as error:
        raise FileGone(f"The storage has lost the bytes of file {row.id} ({row.storage_key}).") from error
    if stored.size != row.size:
        size = stored.size
        stored.close()
        raise FileDamaged(
            f"The storage holds {size} bytes of file {row.id} ({row.storage_key}): {row.size} were stored."
        )
    return cast("IO[bytes]", cast(Any, stored))
