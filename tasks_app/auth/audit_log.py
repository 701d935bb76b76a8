"""The audit: every act of an operator through admin, API and CLI, as one list, newest first.

Owns AuditEntry. The code that carries out an act records it here. Starts through the API have no entry of
their own: the list derives them from the tasks.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from tasks_app.models import AuditEntry, TaskRecord
from tasks_app.models.column_limits import cut_actor

logger = logging.getLogger("longtasks.audit")

API: Final = "api"
ADMIN: Final = "admin"
CLI: Final = "cli"
RQ: Final = "rq"
PAGE_ENTRIES: Final = 50


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Some entries, newest first, and the cursor of the next page ("" on the last one)."""

    entries: list[AuditEntry]
    next_cursor: str


def record(
    *, action: str, source: str, actor: str, task_ids: Sequence[str] = (), queue: str = "", detail: str = ""
) -> None:
    """Record an act: one entry for each task, or one entry for the queue. One INSERT."""
    # An operator at the command line sees the result there, so only the other sources need a log line.
    level = logging.DEBUG if source == CLI else logging.INFO
    what = {"source": source, "actor": actor, "action": action, "queue": queue, "tasks": " ".join(task_ids[:20])}
    logger.log(level, "%s by %s", action, actor or source, extra={name: value for name, value in what.items() if value})
    now = datetime.now(UTC)
    AuditEntry.objects.bulk_create(
        [
            AuditEntry(
                at=now,
                source=source,
                actor=cut_actor(actor),
                action=action,
                task_id=uuid.UUID(task_id) if task_id else None,
                queue=queue,
                detail=detail[:255],
            )
            for task_id in task_ids or ("",)
        ]
    )


def list_page(
    *, actor: str = "", action: str = "", source: str = "", cursor: str = "", limit: int = PAGE_ENTRIES
) -> AuditPage:
    """Return a page of the audit; tasks started through the API appear as entries that are not stored.

    Raises ValueError if the cursor is invalid.
    """
    before = uuid.UUID(cursor) if cursor else None
    stored = AuditEntry.objects.all()
    for column, value in (("actor", actor), ("action", action), ("source", source)):
        if value:
            stored = stored.filter(**{column: value})
    entries = list((stored.filter(pk__lt=before) if before else stored).order_by("-pk")[: limit + 1])
    if action in ("", AuditEntry.Action.START) and source in ("", API):
        starts, floor = _list_starts(actor=actor, before=before, limit=limit + 1)
        entries = sorted(
            (entry for entry in (*entries, *starts) if floor is None or entry.pk >= floor),
            key=lambda entry: entry.pk,
            reverse=True,
        )
        if len(entries) <= limit and floor is not None:
            return AuditPage(entries=entries, next_cursor=floor.hex)
    next_cursor = entries[limit - 1].pk.hex if len(entries) > limit else ""
    return AuditPage(entries=entries[:limit], next_cursor=next_cursor)


def _list_starts(*, actor: str, before: uuid.UUID | None, limit: int) -> tuple[list[AuditEntry], uuid.UUID | None]:
    """Return the newest starts without a stored entry, and the id down to which they are complete (None: all)."""
    tasks = TaskRecord.objects.only("id", "created_at", "owner", "priority", "description")
    if actor:
        tasks = tasks.filter(owner=actor)
    if before is not None:
        tasks = tasks.filter(pk__lt=before)
    records = list(tasks.order_by("-pk")[:limit])
    recorded = set(
        AuditEntry.objects.filter(task_id__in=[record.pk for record in records], action=AuditEntry.Action.START)
        .values_list("task_id", flat=True)
    )  # fmt: skip
    starts = [
        AuditEntry(
            id=record.pk,
            at=record.created_at,
            source=API,
            actor=record.owner,
            action=AuditEntry.Action.START,
            task_id=record.pk,
            queue=record.priority,
            detail=record.description,
        )
        for record in records
        if record.pk not in recorded
    ]
    return starts, records[-1].pk if len(records) == limit else None
