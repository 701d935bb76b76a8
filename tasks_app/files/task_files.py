"""The files that a running task leaves: artifacts, and the parts of one that grows chunk by chunk.

Owns when they count: bytes are stored before the chunk's transaction, and the rows are completed in it. So a task has
each file exactly once, whatever dies. Must not know a task type.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from django.db import transaction

from tasks_app.files import store
from tasks_app.files.names import BINARY
from tasks_app.files.spool import Spool
from tasks_app.files.storage import get_storage
from tasks_app.models import TaskFile

READ_BYTES: Final = 1024 * 1024


class FileOfOtherTask(Exception):
    """A chunk names a file that it did not write, or that was pruned before its chunk committed."""


class FileInTransaction(Exception):
    """A file is written inside the chunk's transaction."""


class PartDamaged(Exception):
    """The storage does not hold the bytes of a part that were stored."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that a chunk has stored. It is one of the task's when the chunk that returns it has committed."""

    id: uuid.UUID
    name: str
    size: int
    sha256: str


def write_file(
    content: Iterable[bytes],
    *,
    task_id: uuid.UUID,
    owner: str,
    name: str,
    kind: str = TaskFile.Kind.ARTIFACT,
    content_type: str = BINARY,
    position: int = 0,
) -> StoredFile:
    """Store a file of a task. Call it outside of the chunk's transaction, in `prepare_chunks`.

    Raises FileInTransaction, InvalidFileName, and what the database, the disk or the storage raises.
    """
    if transaction.get_connection().in_atomic_block:
        # If the transaction were rolled back, the bytes would stay without a row.
        raise FileInTransaction("Write files in prepare_chunks: run_chunk runs inside the chunk's transaction.")
    with Spool() as spool:
        for data in content:
            spool.write(data)
        row = store.begin(
            kind=kind, owner=owner, name=name, content_type=content_type, task_id=task_id, position=position
        )
        store.store_bytes(row, spool)
    return StoredFile(row.id, row.name, row.size, row.sha256)


def keep_files(files: Sequence[StoredFile], *, task_id: uuid.UUID) -> None:
    """Complete stored files, in the transaction of the chunk. Raises FileOfOtherTask."""
    if not files:
        return
    ids = {each.id for each in files}
    kept = TaskFile.objects.filter(pk__in=ids, task_id=task_id, is_complete=False).update(
        is_complete=True, expires_at=None
    )
    if kept != len(ids):
        raise FileOfOtherTask(f"Of {len(ids)} files, {kept} are stored for task {task_id} and not kept yet.")


def list_artifacts(task_id: uuid.UUID, *, limit: int = 100) -> list[TaskFile]:
    """Return the artifacts of a task, oldest first."""
    found = TaskFile.objects.filter(task_id=task_id, kind=TaskFile.Kind.ARTIFACT, is_complete=True)
    return list(found.order_by("position", "id")[:limit])


def read_parts(task_id: uuid.UUID) -> Iterator[bytes]:
    """Yield the bytes of a task's parts in the order of their positions. Raises PartDamaged."""
    storage = get_storage()
    after = -1
    while True:
        parts = TaskFile.objects.filter(task_id=task_id, kind=TaskFile.Kind.PART, is_complete=True, position__gt=after)
        page = list(parts.order_by("position")[:500])
        if not page:
            return
        for part in page:
            digest = hashlib.sha256()
            with storage.open(part.storage_key, "rb") as stored:
                while data := stored.read(READ_BYTES):
                    digest.update(data)
                    yield data
            if digest.hexdigest() != part.sha256:
                raise PartDamaged(f"The storage does not hold the bytes of {part.storage_key} that were stored.")
        after = page[-1].position


def drop_parts(task_id: uuid.UUID) -> None:
    """Give a task's parts to the sweep, in the transaction of its last chunk."""
    TaskFile.objects.filter(task_id=task_id, kind=TaskFile.Kind.PART).update(
        is_complete=False, expires_at=datetime.now(UTC)
    )
