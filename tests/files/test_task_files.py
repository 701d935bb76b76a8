"""tasks_app/files/task_files.py: files of a task count when their chunk commits, and once."""

import uuid
from pathlib import Path

import pytest
from django.db import transaction

from tasks_app.files import task_files
from tasks_app.files.task_files import FileInTransaction, FileOfOtherTask, PartDamaged, write_file
from tasks_app.models import TaskFile

pytestmark = pytest.mark.django_db(transaction=True)
TASK = uuid.UUID(int=1)


def part(position: int, content: bytes) -> task_files.StoredFile:
    return write_file([content], task_id=TASK, owner="ann", name="p", kind=TaskFile.Kind.PART, position=position)


def test_a_file_counts_when_it_is_kept(folder: Path) -> None:
    stored = write_file([b"a", b"b"], task_id=TASK, owner="ann", name="x.txt", content_type="text/plain")
    assert task_files.list_artifacts(TASK) == []
    task_files.keep_files([stored], task_id=TASK)
    [row] = task_files.list_artifacts(TASK)
    assert (row.name, row.size, row.sha256, row.expires_at) == ("x.txt", 2, stored.sha256, None)


def test_a_file_is_kept_once_and_by_its_own_task(folder: Path) -> None:
    stored = write_file([b"a"], task_id=TASK, owner="ann", name="x")
    with pytest.raises(FileOfOtherTask):
        task_files.keep_files([stored], task_id=uuid.uuid4())
    task_files.keep_files([stored], task_id=TASK)
    with pytest.raises(FileOfOtherTask):
        task_files.keep_files([stored], task_id=TASK)


def test_no_file_is_written_inside_a_transaction(folder: Path) -> None:
    with transaction.atomic(), pytest.raises(FileInTransaction):
        write_file([b"a"], task_id=TASK, owner="ann", name="x")


def test_parts_are_read_by_position_and_only_kept_ones(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = [part(1000, b"c"), part(0, b"a"), part(7, b"b" * 3_000_000)]
    part(7, b"of a worker that died before its commit")
    task_files.keep_files(kept, task_id=TASK)
    assert b"".join(task_files.read_parts(TASK)) == b"a" + b"b" * 3_000_000 + b"c"
    task_files.drop_parts(TASK)
    assert list(task_files.read_parts(TASK)) == []


@pytest.mark.parametrize("found", [b"ab", b"", b"abcd", b"\0\0\0"])
def test_a_part_that_the_storage_has_changed_is_an_error(folder: Path, found: bytes) -> None:
    stored = part(0, b"abc")
    task_files.keep_files([stored], task_id=TASK)
    (folder / TaskFile.objects.get(pk=stored.id).storage_key).write_bytes(found)
    with pytest.raises(PartDamaged):
        list(task_files.read_parts(TASK))
