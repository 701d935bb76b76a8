"""The files that clients upload: stored, shown, and held by the tasks that name them.

Owns whose files a caller may see and name. Must not know HTTP, nor how a task is started.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction

from tasks_app.conf import settings
from tasks_app.domain.callers import Caller
from tasks_app.errors import UnknownFile
from tasks_app.files import store
from tasks_app.files.spool import Spool
from tasks_app.files.storage import mapped_storage_errors
from tasks_app.models import TaskFile, TaskFileUse


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file as its owner sees it; `expires_at` is None while a task keeps it."""

    row: TaskFile
    expires_at: datetime | None


def store_upload(spool: Spool, *, owner: str, name: str, content_type: str) -> FoundFile:
    """Store an uploaded file for FILE_DAYS. Raises InvalidFileName, FilesFull, FilesUnavailable, the database's errors."""
    row = store.begin(kind=TaskFile.Kind.UPLOAD, owner=owner, name=name, content_type=content_type)
    with mapped_storage_errors():
        store.store_bytes(row, spool)
    store.complete(row, expires_at=row.created_at + timedelta(days=settings.LONGTASKS.file_days))
    return FoundFile(row, row.expires_at)


def find_file(file_id: str, *, caller: Caller) -> FoundFile:
    """Return a caller's file: an upload, or an artifact of a task. Raises UnknownFile, also for a malformed id."""
    row = None if (key := parse_id(file_id)) is None else _find(key)
    if row is None or not caller.may_touch(row.owner):
        raise UnknownFile(file_id)
    if row.expires_at is None or TaskFileUse.objects.filter(file_id=row.pk).exists():
        return FoundFile(row, None)
    if row.expires_at <= datetime.now(UTC):  # and the sweep has not found it yet
        raise UnknownFile(file_id)
    return FoundFile(row, row.expires_at)


def find_own(file_ids: Iterable[Any], *, caller: Caller) -> set[uuid.UUID]:
    """Return which of these are the caller's uploads."""
    keys = {key for file_id in file_ids if (key := parse_id(file_id)) is not None}
    found = TaskFile.objects.filter(pk__in=keys, kind=TaskFile.Kind.UPLOAD, is_complete=True)
    now = datetime.now(UTC)
    held = set(TaskFileUse.objects.filter(file_id__in=keys).values_list("file_id", flat=True))
    return {
        key
        for key, owner, expires_at in found.values_list("pk", "owner", "expires_at")
        if caller.may_touch(owner) and (key in held or expires_at is None or expires_at > now)
    }


def hold_files(named: Sequence[tuple[uuid.UUID, uuid.UUID]]) -> set[uuid.UUID]:
    """Keep files (file, task) as long as the tasks that name them. Return those that are gone; then nothing was held.

    The rows' locks order this against the sweep.
    """
    wanted = {file_id for file_id, _ in named}
    with transaction.atomic():
        rows = TaskFile.objects.select_for_update().filter(pk__in=wanted, is_complete=True).order_by("pk")
        gone = wanted - set(rows.values_list("pk", flat=True))
        if not gone:
            uses = [TaskFileUse(file_id=file_id, task_id=task_id) for file_id, task_id in dict.fromkeys(named)]
            TaskFileUse.objects.bulk_create(uses, ignore_conflicts=True, batch_size=500)
    return gone


def parse_id(value: Any) -> uuid.UUID | None:
    try:
        return value if isinstance(value, uuid.UUID) else uuid.UUID(value)
    except (ValueError, AttributeError, TypeError):
        return None


def _find(key: uuid.UUID) -> TaskFile | None:
    kinds = (TaskFile.Kind.UPLOAD, TaskFile.Kind.ARTIFACT)
    return TaskFile.objects.filter(pk=key, kind__in=kinds, is_complete=True).first()
