"""Task rows: the state of a task as a row of TaskRecord, translated from and to its snapshot.

Owns the statements that write and read these rows by id. Must not know Redis.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Final

import orjson
from django.db import InterfaceError, OperationalError, connections, router
from django.db.backends.base.base import BaseDatabaseWrapper

from tasks_app.database import hung_database
from tasks_app.database.bulk_insert import insert_columns
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.models import TaskRecord

# The columns that are copied unchanged.
_SAME: Final = (
    "name",
    "description",
    "params",
    "owner",
    "request_id",
    "callback_url",
    "max_failures",
    "dry_run",
    "created_at",
    "priority",
    "urgency",
    "status",
    "done",
    "total",
    "total_is_estimate",
    "counts",
    "failed_records",
    "attempts",
    "error",
    "worker",
    "epoch",
    "started_at",
    "ended_at",
    "next_attempt_at",
    "start_at",
    "cancel_requested",
)
COLUMNS: Final = (*_SAME, "updated_at")
_JSON: Final = frozenset({"params", "counts"})
_SELECT: Final = f"SELECT {', '.join(_SAME)} FROM {TaskRecord._meta.db_table} WHERE id = %s"  # noqa: S608 (names of our own)
_IDS_A_QUERY: Final = 1000
_FLAGS: Final = frozenset({"total_is_estimate", "cancel_requested", "dry_run"})
_TIMES: Final = frozenset({"created_at", "started_at", "ended_at", "next_attempt_at", "start_at"})


def save_records(snapshots: Sequence[Snapshot], updated_at: Sequence[datetime]) -> None:
    """Insert or update the rows of snapshots, in one statement per batch."""
    columns: dict[str, Sequence[Any]] = {"id": ids_of([snapshot.id for snapshot in snapshots])}
    for name in _SAME:
        values = list(map(attrgetter(name), snapshots))
        if name in _JSON:
            values = [orjson.dumps(value).decode() for value in values]
        elif name in _TIMES:
            values = times_of(values)
        columns[name] = values
    columns["updated_at"] = times_of(updated_at)
    insert_columns(TaskRecord, columns, update=COLUMNS)


def read_snapshot(task_id: uuid.UUID) -> Snapshot | None:
    """Return the snapshot of one row, or None: one statement by primary key, for the most frequent request.

    Building the same query through the ORM costs more than the rest of the request. Raises OperationalError, without a
    query, also if the database has hung a moment ago.
    """
    rows = _fetch(_SELECT, [task_id])
    if not rows:
        return None
    values = dict(zip(_SAME, rows[0], strict=True))
    for name in _JSON:
        values[name] = orjson.loads(values[name])
    for name in _TIMES:
        if (time := values[name]) is not None:
            # SQLite keeps times as text.
            values[name] = (datetime.fromisoformat(time) if isinstance(time, str) else time).replace(tzinfo=UTC)
    for name in _FLAGS:
        values[name] = bool(values[name])
    return Snapshot(id=str(task_id), **values)


def read_owners(task_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Return the owners of those tasks that have a row. Reads, and raises, as `read_snapshot` does."""
    owners: dict[uuid.UUID, str] = {}
    for start in range(0, len(task_ids), _IDS_A_QUERY):
        keys = task_ids[start : start + _IDS_A_QUERY]
        placeholders = ", ".join(["%s"] * len(keys))
        statement = f"SELECT id, owner FROM {TaskRecord._meta.db_table} WHERE id IN ({placeholders})"  # noqa: S608 (our own names)
        rows = _fetch(statement, keys)
        owners.update((uuid.UUID(str(key)), owner) for key, owner in rows)
    return owners


def _fetch(statement: str, task_ids: Sequence[uuid.UUID]) -> Sequence[Any]:
    connection = connections[router.db_for_read(TaskRecord)]
    # A health check costs as much as the query, so skip it and retry once on a new connection if the query fails.
    connection.health_check_done = True  # type: ignore[attr-defined]
    try:
        return _execute(connection, statement, task_ids)
    except (OperationalError, InterfaceError):
        # A hung database will not answer the second query either, and a client waits.
        if hung_database.is_resting(connection.alias) or connection.in_atomic_block:
            raise
        if connection.connection is None or connection.is_usable():
            raise
        connection.close()
        return _execute(connection, statement, task_ids)


def _execute(connection: BaseDatabaseWrapper, statement: str, task_ids: Sequence[uuid.UUID]) -> Sequence[Any]:
    with hung_database.noted_hangs(connection.alias):
        is_native = connection.features.has_native_uuid_field  # a new process queries the server for it
        with connection.cursor() as cursor:
            cursor.execute(statement, [str(task_id) if is_native else task_id.hex for task_id in task_ids])
            return cursor.fetchall()


def ids_of(ids: Sequence[str]) -> list[str]:
    """Return ids as text in the form of this database's UUID columns."""
    if connections[router.db_for_write(TaskRecord)].features.has_native_uuid_field:
        return list(ids)
    return [task_id.replace("-", "") for task_id in ids]


def times_of(times: Sequence[datetime | None]) -> list[str | None]:
    """Return UTC times as text in the form of MySQL and SQLite."""
    return [None if time is None else time.replace(tzinfo=None).isoformat(" ") for time in times]


def to_snapshot(record: TaskRecord) -> Snapshot:
    """Return the snapshot of a row."""
    return Snapshot(id=str(record.id), **{name: getattr(record, name) for name in _SAME})
