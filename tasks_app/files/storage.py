"""The storage of files: STORAGES["longtasks"], a folder or whatever else Django's storage interface reaches.

Owns the keys, and the errors of the storage by cause. Must use nothing but Django's storage interface.
"""

from __future__ import annotations

import errno
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from typing import Final

from django.core.files.storage import Storage, storages
from django.db import DatabaseError, InterfaceError

from tasks_app.conf import settings
from tasks_app.domain.error_text import error_line
from tasks_app.errors import FilesFull, FilesUnavailable, LongtasksError
from tasks_app.files.folder_storage import FolderStorage

logger = logging.getLogger(__name__)
ALIAS: Final = "longtasks"
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def get_storage() -> Storage:
    """Return the storage; without STORAGES["longtasks"], a folder in FILE_DIR that this user alone can read."""
    return storages[ALIAS] if ALIAS in settings.STORAGES else _open_folder(str(settings.FILE_DIR / "stored"))


@lru_cache(maxsize=4)
def _open_folder(location: str) -> Storage:
    return FolderStorage(location=location, file_permissions_mode=0o600, directory_permissions_mode=0o700)


def make_key(kind: str, file_id: uuid.UUID, *, created_at: datetime) -> str:
    """Return the key of a new file: `upload/2026-11-27/<id>`. A folder by day, so that none holds millions of names."""
    return f"{kind}/{created_at:%Y-%m-%d}/{file_id}"


def is_full(error: BaseException) -> bool:
    """Return whether an error says that there is no space left."""
    return isinstance(error, OSError) and error.errno in _FULL


@contextmanager
def mapped_storage_errors() -> Iterator[None]:
    """Turn whatever a storage raises into FilesFull or FilesUnavailable, and log it. For services and queries.

    Errors of the database are left as they are.
    """
    try:
        yield
    except (LongtasksError, DatabaseError, InterfaceError):
        raise
    except Exception as error:  # each storage has exceptions of its own
        logger.error("the storage of files failed: %s", error_line(error))
        if is_full(error):
            raise FilesFull from error
        raise FilesUnavailable from error
