"""tasks_app/read_model/task_rows.py: a snapshot is unchanged by writing and reading its row, by every path."""

import dataclasses
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError, connection, connections
from uuid_utils import uuid7

from loadtests.started.servers import IS_EMBEDDED
from tasks_app.domain import task_status
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.models import TaskRecord
from tasks_app.read_model.task_rows import read_snapshot, save_records, to_snapshot

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)


def make_snapshot(**changes: object) -> Snapshot:
    plain = Snapshot(id=str(uuid7()), name="upload", created_at=NOW)
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


FULL = {
    "params": {"numRecords": 3, "note": "ñ'\"\\ 100 %s"},
    "priority": "high",
    "status": task_status.SCHEDULED,
    "description": 'it\'s 50 % \\ "done" – día',
    "owner": "me",
    "counts": {"users": 3},
    "done": 3,
    "total": 10_000_000,
    "total_is_estimate": True,
    "attempts": 2,
    "error": "Traceback\n  'x' \\n %",
    "worker": "w-1",
    "epoch": 7,
    "started_at": NOW.replace(microsecond=0),
    "ended_at": NOW + timedelta(seconds=1),
    "next_attempt_at": NOW,
    "start_at": NOW + timedelta(days=1),
    "request_id": "r",
    "callback_url": "https://example.org/x?y=%20",
    "cancel_requested": True,
}


@pytest.mark.parametrize("changes", [{}, FULL], ids=["defaults", "every field"])
def test_a_snapshot_comes_back_equal_from_both_readers(changes):
    snapshot = make_snapshot(**changes)
    save_records([snapshot], [NOW])
    assert read_snapshot(uuid.UUID(snapshot.id)) == snapshot
    assert to_snapshot(TaskRecord.objects.get(pk=snapshot.id)) == snapshot


def test_saving_again_updates_every_column():
    snapshot = make_snapshot()
    save_records([snapshot], [NOW])
    changed = dataclasses.replace(snapshot, **FULL)
    save_records([changed, other := make_snapshot()], [NOW + timedelta(seconds=5), NOW])
    assert read_snapshot(uuid.UUID(snapshot.id)) == changed
    assert read_snapshot(uuid.UUID(other.id)) == other
    assert TaskRecord.objects.get(pk=snapshot.id).updated_at == NOW + timedelta(seconds=5)
    assert TaskRecord.objects.count() == 2


def test_a_missing_row_is_none():
    assert read_snapshot(uuid.uuid4()) is None


@pytest.mark.skipif(IS_EMBEDDED, reason="SQLite has no connection that can break")
@pytest.mark.django_db(transaction=True)
def test_a_dropped_connection_is_replaced():
    snapshot = make_snapshot()
    save_records([snapshot], [NOW])
    read_snapshot(uuid.UUID(snapshot.id))
    with connection.cursor() as cursor:
        cursor.execute("SELECT CONNECTION_ID()")
        [dropped] = cursor.fetchone()
    other = connections.create_connection("default")
    with other.cursor() as cursor:
        cursor.execute(f"KILL {dropped}")
    other.close()
    assert read_snapshot(uuid.UUID(snapshot.id)) == snapshot


def test_a_refused_reconnect_is_a_database_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no connection and none can be made, so none can be checked."""

    def refuse() -> None:
        raise OperationalError(1045, "Access denied")

    fresh = connections.create_connection("default")
    fresh.features.has_native_uuid_field = False  # read before, so that it needs no query
    monkeypatch.setattr(fresh, "connect", refuse)
    monkeypatch.setattr("tasks_app.read_model.task_rows.connections", {"default": fresh})
    with pytest.raises(OperationalError, match="Access denied"):
        read_snapshot(uuid.uuid4())
