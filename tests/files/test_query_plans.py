"""On MariaDB the queries of files are ranges of an index, also with many files."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from tasks_app.domain.callers import WRITE, Caller
from tasks_app.files import removal, task_files, uploads
from tasks_app.models import TaskFile, TaskFileUse
from tests.admin.test_query_plans import explain

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "mysql", reason="EXPLAIN is MariaDB's"),
]
FILES = 20_000
NOW = datetime.now(UTC)


def fill() -> list[TaskFile]:
    rows = [
        TaskFile(
            id=uuid.uuid4(), kind="upload" if number % 2 else "artifact", owner="ann", name="a", content_type="a/b",
            storage_key=f"key/{number}", is_complete=True, created_at=NOW, task_id=uuid.UUID(int=number // 10),
            expires_at=NOW + timedelta(seconds=number),
        )
        for number in range(FILES)
    ]  # fmt: skip
    TaskFile.objects.bulk_create(rows, batch_size=2000)
    TaskFileUse.objects.bulk_create(
        [TaskFileUse(file_id=row.id, task_id=uuid.UUID(int=number)) for number, row in enumerate(rows)], batch_size=2000
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE TABLE tasks_app_taskfile, tasks_app_taskfileuse")
        cursor.fetchall()
    return rows


def test_no_query_scans_or_sorts() -> None:
    rows = fill()
    ann = Caller(owner="ann", scope=WRITE)
    calls = {
        "sweep": lambda: list(removal.remove_expired(now=NOW + timedelta(seconds=500), dry_run=True)),
        "artifacts": lambda: task_files.list_artifacts(uuid.UUID(int=7)),
        "parts": lambda: list(task_files.read_parts(uuid.UUID(int=7))),
        "one file": lambda: uploads.find_file(str(rows[1].id), caller=ann),
        "named files": lambda: uploads.find_own([rows[1].id, rows[3].id], caller=ann),
        "release": lambda: removal.release_files([uuid.UUID(int=7)]),
    }
    for name, call in calls.items():
        for plan in explain(call):
            seen = (name, plan)
            assert plan["type"] != "ALL" or "tasks_app_taskfile" not in str(plan["table"]), seen
            assert "filesort" not in (plan["Extra"] or ""), seen
            assert int(plan["rows"] or 0) < FILES / 10, seen
