"""tasks_app/task_types/exports/export.py: the file has each row once, whatever dies on the way."""

import csv
import gzip
import io
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError

import tests.support.export_types  # noqa: F401 (registers them)
from catalog.models import User
from tasks_app.engine import chunk_transaction
from tasks_app.files.removal import remove_expired
from tasks_app.files.task_files import list_artifacts
from tasks_app.models import TaskFile, TaskRecord
from tasks_app.services import start_tasks
from tasks_app.task_types import Chunk
from tests.support.engine import Worker, checkpoint, expire_lease, mirror, rescue, start
from tests.support.stored_files import list_stored
from tests.support.task_types import insert_users


def make_users(number: int) -> None:
    insert_users(
        Chunk(task_id=uuid.UUID(int=5 << 40), params={}, start=0, limit=number, total=None, state={}), stop=number
    )


def begin(name: str) -> str:
    return start_tasks.start_task(task=start_tasks.NewTask(name=name)).snapshot.id


def run(name: str) -> str:
    task_id = begin(name)
    Worker().run()
    assert checkpoint(task_id).outcome == "finished", checkpoint(task_id).error
    return task_id


def content(task_id: str, folder: Path) -> bytes:
    [artifact] = list_artifacts(uuid.UUID(task_id))
    data = (folder / artifact.storage_key).read_bytes()
    assert len(data) == artifact.size
    return data


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 4, 6, 20])
def test_a_file_has_header_and_rows_in_the_order_of_the_key(folder: Path, rows: int) -> None:
    make_users(rows)
    task_id = run("export_users")
    lines = list(csv.reader(io.StringIO(content(task_id, folder).decode(), newline="")))
    assert lines[0] == ["id", "first_name", "created_at"]
    assert [int(line[0]) for line in lines[1:]] == list(User.objects.order_by("pk").values_list("pk", flat=True))
    row = checkpoint(task_id)
    assert (row.done, row.counts, row.result) == (
        rows,
        {"rows": rows},
        {"rows": rows, "bytes": len(content(task_id, folder))},
    )
    [artifact] = list_artifacts(uuid.UUID(task_id))
    assert (artifact.name, artifact.content_type) == ("export_users.csv", "text/csv; charset=utf-8")


def test_parts_go_after_the_end(folder: Path) -> None:
    make_users(10)
    task_id = run("export_users")
    assert len(list_stored(folder)) == 5
    assert sum(remove_expired()) == 4
    [key] = list_stored(folder)
    assert key == list_artifacts(uuid.UUID(task_id))[0].storage_key


def test_json_lines_with_gzip(folder: Path) -> None:
    make_users(5)
    task_id = run("export_users_json")
    lines = gzip.decompress(content(task_id, folder)).splitlines()
    assert [json.loads(line)["id"] for line in lines] == list(User.objects.order_by("pk").values_list("pk", flat=True))
    [artifact] = list_artifacts(uuid.UUID(task_id))
    assert (artifact.name, artifact.content_type) == ("export_users_json.jsonl.gz", "application/gzip")


def test_a_key_may_be_a_uuid(folder: Path) -> None:
    for _ in range(7):
        start(records=1)
    mirror()
    worker = Worker()
    while worker.run():
        pass
    mirror()
    task_id = run("export_records")
    rows = list(csv.DictReader(io.StringIO(content(task_id, folder).decode(), newline="")))
    assert len({row["id"] for row in rows}) == len(rows) >= 7
    assert {row["id"] for row in rows} == {
        str(key) for key in TaskRecord.objects.exclude(pk=task_id).values_list("pk", flat=True)
    }


def test_rows_behind_the_last_key_do_not_appear_and_vanished_ones_do_no_harm(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_users(12)
    keys = list(User.objects.order_by("pk").values_list("pk", flat=True))
    worker = Worker()
    checks: list[int] = []

    def change() -> None:
        if not checks:
            User.objects.filter(pk=keys[5]).delete()
            User.objects.filter(pk=keys[-1]).delete()
            insert_users(
                Chunk(task_id=uuid.UUID(int=9 << 40), params={}, start=0, limit=2, total=None, state={}), stop=2
            )
            User.objects.filter(pk=keys[7]).update(first_name="changed")
        checks.append(1)

    worker.on_check = change
    task_id = begin("export_users")
    worker.run()
    lines = list(csv.reader(io.StringIO(content(task_id, folder).decode(), newline="")))[1:]
    assert [int(line[0]) for line in lines] == [key for key in keys[:-1] if key != keys[5]]
    assert [line[1] for line in lines if int(line[0]) == keys[7]] == ["changed"]


@pytest.mark.parametrize("is_committed", [False, True])
@pytest.mark.parametrize("chunk", range(1, 6))
def test_a_worker_that_dies_around_any_commit_changes_no_byte(
    folder: Path, monkeypatch: pytest.MonkeyPatch, longtasks: Callable[..., None], chunk: int, is_committed: bool
) -> None:
    make_users(10)
    expected = content(run("export_users"), folder)
    task_id = begin("export_users")
    passed: list[str] = []

    class Killed(BaseException):
        """The process ends here."""

    def reach(name: str) -> None:
        wanted = (
            chunk_transaction.failpoints.AFTER_CHUNK_COMMIT
            if is_committed
            else chunk_transaction.failpoints.BEFORE_CHUNK_COMMIT
        )
        passed.append(name)
        if name == wanted and passed.count(name) == chunk:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(chunk_transaction.failpoints, "reach", reach)
        with pytest.raises(Killed):
            Worker("dead").run()
    expire_lease(task_id)
    mirror()
    rescue()
    Worker("next").run()
    if chunk < 5 or not is_committed:
        assert checkpoint(task_id).outcome == "finished"
    assert content(task_id, folder) == expected
    list(remove_expired())
    pending = set(TaskFile.objects.filter(is_complete=False).values_list("storage_key", flat=True))
    assert set(list_stored(folder)) - pending == set(
        TaskFile.objects.filter(is_complete=True).values_list("storage_key", flat=True)
    )


def test_a_commit_that_fails_is_tried_again_under_a_new_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_users(10)
    expected = content(run("export_users"), folder)
    advance, failures = chunk_transaction.claims.advance, [1, 1, 1]

    def fail(*args: Any, **kwargs: Any) -> None:
        advance(*args, **kwargs)
        if failures and failures.pop():
            raise OperationalError(1213, "Deadlock found")

    monkeypatch.setattr(chunk_transaction.claims, "advance", fail)
    assert content(run("export_users"), folder) == expected
