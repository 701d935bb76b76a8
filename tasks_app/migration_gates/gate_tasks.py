"""Which task belongs to a gate: the newest one with its name and its params, whoever has started it.

Owns the rows of MigrationTask, and the start of their tasks: a row commits with the migration, and its task is enqueued
after that commit, under the id that the row has, so once at most. Must not know migrations' operations.
"""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from django.db import connections, router
from django.utils import timezone
from rest_framework.exceptions import ValidationError

from tasks_app.api.request_serializers import read_new_task
from tasks_app.auth import audit_log
from tasks_app.domain.callers import COMMAND_LINE
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.errors import LongtasksError, UnknownTask, UnknownTaskType
from tasks_app.migration_gates.gate_errors import GateError
from tasks_app.models import MigrationTask, TaskCheckpoint
from tasks_app.read_model.task_queries import get_task
from tasks_app.read_model.task_rows import to_snapshot
from tasks_app.read_model.task_search import TaskFilter, find_tasks
from tasks_app.services.start_tasks import NewTask, make_task_id, start_task

logger = logging.getLogger(__name__)
ACTOR: Final = "migrate"
TABLES_SINCE: Final = "0017_migration_tasks"  # the migration of tasks_app that makes the table
_PAGES, _PAGE_TASKS = 10, 100  # of the newest tasks of a type, in which one with the same params is looked for


@dataclass(frozen=True, slots=True)
class Gate:
    """The task that a migration starts or requires."""

    task: NewTask
    digest: str  # of the params as the migration has them


def read_gate(name: str, params: Mapping[str, Any]) -> Gate:
    """Return a gate with validated params. Raises GateError."""
    if MigrationTask._meta.db_table not in connections[get_alias()].introspection.table_names():
        raise GateError(
            f'The table of gates does not exist yet: add ("tasks_app", "{TABLES_SINCE}") to the dependencies of this migration.'
        )
    try:
        task = read_new_task({"name": name, "params": dict(params)})
    except (ValidationError, UnknownTaskType) as error:
        words = error.detail if isinstance(error, ValidationError) else error
        raise GateError(
            f"The task {name!r} of this migration cannot be started: {words}. If its type was removed, and this migration "
            "was applied everywhere, remove the gate from it."
        ) from error
    given = json.dumps(params, sort_keys=True, ensure_ascii=True, default=str)
    return Gate(task, hashlib.sha256(given.encode()).hexdigest())


def get_alias() -> str:
    """Return the database of the tasks."""
    return router.db_for_write(TaskCheckpoint)


def find_row(gate: Gate, *, app_label: str | None = None) -> MigrationTask | None:
    """Return the newest row of a gate; with `app_label`, of the migrations of that application."""
    return list_rows(gate, app_label=app_label).last()


def list_rows(gate: Gate, *, app_label: str | None = None) -> Any:
    """Return the rows of a gate, oldest first."""
    rows = MigrationTask.objects.using(get_alias()).filter(name=gate.task.name, params_digest=gate.digest)
    return (rows if app_label is None else rows.filter(app_label=app_label)).order_by("pk")


def insert_row(gate: Gate, *, app_label: str, is_finished: bool) -> MigrationTask:
    """Insert the row of a task: one that is to be enqueued, or one that this migration has done itself."""
    now = timezone.now()
    return MigrationTask.objects.using(get_alias()).create(
        task_id=uuid.UUID(make_task_id()),
        app_label=app_label,
        name=gate.task.name,
        params_digest=gate.digest,
        params=gate.task.params,
        created_at=now,
        finished_at=now if is_finished else None,
    )


def enqueue(row: MigrationTask) -> None:
    """Enqueue the task of a row that is not known to be enqueued. Repeatable. Raises LongtasksError."""
    if row.enqueued_at is not None or row.finished_at is not None:
        return
    if find_by_id(row.task_id) is None:
        start_task(
            task=NewTask(name=row.name, params=row.params),
            caller=replace(COMMAND_LINE, actor=ACTOR),
            idempotency_key=f"migration:{row.task_id}",  # if it was enqueued, and cannot be found yet
            source=audit_log.CLI,
            task_id=str(row.task_id),
        )
    row.enqueued_at = timezone.now()
    row.save(using=get_alias(), update_fields=["enqueued_at"])


def enqueue_or_warn(row: MigrationTask) -> None:
    """Enqueue the task of a row after the commit of the migration, which an error can no longer undo."""
    try:
        enqueue(row)
    except LongtasksError as error:
        logger.warning("%s was not started: %s `manage.py task wait --name %s` starts it.", row.name, error, row.name)


def find_by_id(task_id: uuid.UUID) -> Snapshot | None:
    """Return a task as the API shows it, from Redis and from the database; None if there is none."""
    try:
        return get_task(task_id=str(task_id))
    except UnknownTask:
        return None


def find_other(gate: Gate, *, since: datetime | None) -> Snapshot | None:
    """Return the newest task with the gate's name and params, dry runs excepted, that the mirror knows."""
    for snapshot in _list_newest(gate.task.name, since=since):
        if snapshot.params == gate.task.params and not snapshot.dry_run:
            return find_by_id(uuid.UUID(snapshot.id))
    return None


def find_newest_of_type(name: str) -> MigrationTask | Snapshot | None:
    """Return the newest task of a type: its row if a migration wants it, else its snapshot; None if there is none."""
    row = MigrationTask.objects.using(get_alias()).filter(name=name).order_by("pk").last()
    known = next(_list_newest(name, since=None if row is None else row.created_at), None)
    return row if known is None or (row is not None and known.id == str(row.task_id)) else known


def _list_newest(name: str, *, since: datetime | None) -> Iterator[Snapshot]:
    cursor = ""
    for _ in range(_PAGES):
        wanted = TaskFilter(name=name, created_after=since)
        page = find_tasks(wanted=wanted, cursor=cursor, limit=_PAGE_TASKS, with_heavy=True)
        yield from map(to_snapshot, page.records)
        cursor = page.next_cursor
        if not cursor:
            return
