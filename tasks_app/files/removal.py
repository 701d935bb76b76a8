"""Deletes files: expired ones that no task names, those of pruned tasks, and what was never completed.

Owns the order: the row says that the file is gone, then the bytes go, then the row. So a run that ends in between is
continued by the next one. Must not decide which tasks are old (operations/retention).
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import Q

from tasks_app.domain.callers import Caller
from tasks_app.domain.error_text import error_line
from tasks_app.domain.task_ids import get_time_of_id
from tasks_app.errors import FileInUse, UnknownFile
from tasks_app.files.storage import get_storage
from tasks_app.files.uploads import parse_id
from tasks_app.models import TaskCheckpoint, TaskFile, TaskFileUse, TaskRecord

logger = logging.getLogger(__name__)
PAGE_FILES: Final = 200
YOUNG_HOURS: Final = 24  # a task that was just started may have neither a record nor a checkpoint


def remove_expired(*, now: datetime | None = None, dry_run: bool = False) -> Iterator[int]:
    """Delete the files that expired before `now`, page by page; yields how many of a page were deleted."""
    now = now or datetime.now(UTC)
    after: tuple[datetime | None, uuid.UUID] | None = None
    while True:
        rows = TaskFile.objects.filter(expires_at__lt=now)
        if after is not None:
            rows = rows.filter(Q(expires_at__gt=after[0]) | Q(expires_at=after[0], pk__gt=after[1]))
        page = list(rows.order_by("expires_at", "pk").values_list("expires_at", "pk")[:PAGE_FILES])
        if not page:
            return
        after = page[-1]
        doomed = _mark([file_id for _, file_id in page], now=now, dry_run=dry_run)
        yield len(doomed) if dry_run else _remove(doomed)


def delete_file(file_id: str, *, caller: Caller) -> None:
    """Delete a caller's upload. Raises UnknownFile, FileInUse, and the database's errors.

    If the storage does not answer, the file is gone for its owner, and the sweep deletes its bytes.
    """
    key = parse_id(file_id)
    with transaction.atomic():
        row = None if key is None else TaskFile.objects.select_for_update().filter(pk=key, is_complete=True).first()
        if row is None or row.kind == TaskFile.Kind.PART or not caller.may_touch(row.owner):
            raise UnknownFile(file_id)
        using = row.task_id or next(iter(_list_living_uses([row.pk])[row.pk]), None)
        if using is not None:
            raise FileInUse(file_id=row.pk, task_id=using)
        row.is_complete, row.expires_at = False, datetime.now(UTC)
        row.save(update_fields=["is_complete", "expires_at"])
    _remove([row])


def release_files(task_ids: Sequence[uuid.UUID]) -> None:
    """Give the files of pruned tasks to the sweep, in the transaction that deletes the tasks."""
    TaskFile.objects.filter(task_id__in=task_ids).update(is_complete=False, expires_at=datetime.now(UTC))
    TaskFileUse.objects.filter(task_id__in=task_ids).delete()


def _mark(file_ids: Sequence[uuid.UUID], *, now: datetime, dry_run: bool) -> list[TaskFile]:
    """Mark the expired files that no task names as gone, and return them."""
    with transaction.atomic():
        rows = list(TaskFile.objects.select_for_update().filter(pk__in=file_ids, expires_at__lt=now).order_by("pk"))
        living = _list_living_uses([row.pk for row in rows])
        doomed = [row for row in rows if not living[row.pk]]
        if not dry_run:
            ids = [row.pk for row in doomed]
            TaskFile.objects.filter(pk__in=ids).update(is_complete=False)
            TaskFileUse.objects.filter(file_id__in=ids).delete()
    return doomed


def _list_living_uses(file_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[uuid.UUID]]:
    """Return, for each file, the tasks that name it and exist, or may still appear."""
    uses = list(TaskFileUse.objects.filter(file_id__in=file_ids).values_list("file_id", "task_id"))
    task_ids = {task_id for _, task_id in uses}
    young = datetime.now(UTC) - timedelta(hours=YOUNG_HOURS)
    living = {task_id for task_id in task_ids if get_time_of_id(task_id) > young}
    for model in (TaskRecord, TaskCheckpoint):
        living.update(model.objects.filter(pk__in=task_ids - living).values_list("pk", flat=True))
    found: dict[uuid.UUID, list[uuid.UUID]] = {file_id: [] for file_id in file_ids}
    for file_id, task_id in uses:
        if task_id in living:
            found[file_id].append(task_id)
    return found


def _remove(rows: Sequence[TaskFile]) -> int:
    """Delete the bytes of marked files, and the rows of those whose bytes are gone."""
    storage = get_storage()
    removed = []
    for row in rows:
        try:
            storage.delete(row.storage_key)
        except Exception as error:  # each storage has exceptions of its own
            logger.warning("file %s was not deleted; the next prune tries again: %s", row.pk, error_line(error))
        else:
            removed.append(row.pk)
    TaskFile.objects.filter(pk__in=removed, is_complete=False).delete()
    return len(removed)
