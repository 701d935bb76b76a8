"""The file that a command is given: stored as an upload, for the parameter of a task type that takes one.

Owns which parameter that is, and how the file is read. Must not start a task.
"""

from __future__ import annotations

import mimetypes
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

from tasks_app.errors import LongtasksError
from tasks_app.files.names import BINARY, InvalidFileName
from tasks_app.files.spool import Spool
from tasks_app.files.storage import mapped_storage_errors
from tasks_app.files.uploads import store_upload
from tasks_app.resilience.transient_errors import mapped_database_errors
from tasks_app.task_types import get_task_type
from tasks_app.task_types.task_file_field import list_file_fields

STANDARD_INPUT: Final = "-"
_PIECE_BYTES: Final = 1024 * 1024


class CannotReadFile(LongtasksError):
    """The argument names no file that can be read, or the task type takes none."""


def store_argument(path: str, *, task_type: str, params: Mapping[str, Any]) -> dict[str, str]:
    """Store the file at a path, `-` for standard input, and return the parameter with its id.

    Raises CannotReadFile, UnknownTaskType, FilesFull, FilesUnavailable and StoreUnavailable.
    """
    fields = [name for name in list_file_fields(get_task_type(task_type).params_serializer) if name not in params]
    if len(fields) != 1:
        known = ", ".join(fields) or "none"
        raise CannotReadFile(
            f"--file needs a task type with exactly one file among its parameters, and {task_type} has: {known}. Name the "
            "others in --params."
        )
    if path == STANDARD_INPUT:
        return {fields[0]: _store(sys.stdin.buffer, name="standard-input")}
    try:
        with open(path, "rb") as file:
            return {fields[0]: _store(file, name=Path(path).name)}
    except OSError as error:
        raise CannotReadFile(f"--file {path[:200]}: {error.strerror}.") from error


def _store(file: IO[bytes], *, name: str) -> str:
    """Store a file of any size: the machine's own user is not bound by FILE_BYTES."""
    content_type = mimetypes.guess_type(name)[0] or BINARY
    with mapped_storage_errors():
        spool = Spool()
    with spool:
        while data := file.read(_PIECE_BYTES):
            with mapped_storage_errors():
                spool.write(data)
        try:
            with mapped_database_errors():
                return str(store_upload(spool, owner="", name=name, content_type=content_type).row.pk)
        except InvalidFileName as error:
            raise CannotReadFile(f"--file: {error}") from error
