"""Stores a file: its row first, then its bytes, then the row says that they are complete.

Owns this order, so that no bytes are without a row. Must not know who may store what.
"""

from __future__ import annotations

import logging
import uuid
from datetime import UTC, datetime, timedelta
from typing import Final

from django.core.files import File
from django.db import transaction
from uuid_utils import uuid7

from tasks_app.domain.error_text import error_line
from tasks_app.files.names import check_name, clean_content_type
from tasks_app.files.spool import Spool
from tasks_app.files.storage import get_storage, make_key
from tasks_app.models import TaskFile

logger = logging.getLogger(__name__)
PENDING_HOURS: Final = 24  # after which the sweep deletes what was not completed


def begin(
    *,
    kind: str,
    owner: str,
    name: str,
    content_type: str,
    task_id: uuid.UUID | None = None,
    position: int = 0,
) -> TaskFile:
    """Insert the row of a file whose bytes are not stored yet. Raises InvalidFileName and the database's errors."""
    now = datetime.now(UTC)
    file_id = uuid.UUID(bytes=uuid7().bytes)
    return TaskFile.objects.create(
        id=file_id,
        kind=kind,
        owner=owner,
        name=check_name(name),
        content_type=clean_content_type(content_type),
        storage_key=make_key(kind, file_id, created_at=now),
        created_at=now,
        expires_at=now + timedelta(hours=PENDING_HOURS),
        task_id=task_id,
        position=position,
    )


def store_bytes(row: TaskFile, spool: Spool) -> None:
    """Write the spool's bytes to the storage, and number and digest to the row; it is still not complete.

    Raises what the storage raises; then neither bytes nor row remain, if the storage lets them be deleted.
    """
    spool.file.seek(0)
    try:
        row.storage_key = get_storage().save(row.storage_key, File(spool.file, name=row.storage_key))
        row.size, row.sha256 = spool.size, spool.sha256
        row.save(update_fields=["storage_key", "size", "sha256"])
    except BaseException:
        discard(row)
        raise


def complete(row: TaskFile, *, expires_at: datetime | None) -> None:
    """Let the file be seen; `expires_at` is None for a file that is kept as long as its task."""
    row.is_complete, row.expires_at = True, expires_at
    row.save(update_fields=["is_complete", "expires_at"])


def discard(row: TaskFile) -> None:
    """Delete a file that was not completed. What cannot be deleted now is left to the sweep; never raises."""
    try:
        get_storage().delete(row.storage_key)
        with transaction.atomic():
            TaskFile.objects.filter(pk=row.pk, is_complete=False).delete()
    except Exception as error:
        logger.warning("the incomplete file %s is left to prune: %s", row.pk, error_line(error))
