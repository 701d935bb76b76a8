"""Lists the open tasks of the read model in pages by id; the cost does not depend on the number of ended tasks.

Owns this query. Must not write anything.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Final

from tasks_app.database.index_hints import along
from tasks_app.domain import task_status
from tasks_app.models import TaskRecord

OPEN: Final = (task_status.QUEUED, task_status.STARTED, task_status.SCHEDULED, task_status.DEFERRED)


def list_open(*, after: uuid.UUID, changed_before: datetime, limit: int) -> list[tuple[uuid.UUID, str]]:
    """Return id and priority of the next open tasks after an id, oldest first.

    One query per status: with one query for all, the database sorts all open tasks for each page, or reads the ended
    tasks too.
    """
    rows = TaskRecord.objects.filter(pk__gt=after, updated_at__lt=changed_before).order_by("pk")
    found: list[tuple[uuid.UUID, str]] = []
    for status in OPEN:
        of_status = along(rows.filter(status=status), "record_by_status")
        found += of_status.values_list("pk", "priority")[:limit]
    return sorted(found)[:limit]
