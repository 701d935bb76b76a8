"""tasks_app/files/removal.py: what expires, what is kept, and what a run that ended in between leaves to the next."""

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db.models.functions import Now

from tasks_app.domain.callers import WRITE, Caller
from tasks_app.domain.task_ids import get_lowest_id
from tasks_app.errors import FileInUse, UnknownFile
from tasks_app.files import removal, store, task_files, uploads
from tasks_app.models import TaskCheckpoint, TaskFile, TaskFileUse
from tests.support.stored_files import BrokenStorage, keys_of_rows, list_stored, upload

pytestmark = pytest.mark.django_db(transaction=True)
ANN = Caller(owner="ann", scope=WRITE)
LATER = datetime.now(UTC) + timedelta(days=8)
OLD_TASK = get_lowest_id(datetime.now(UTC) - timedelta(days=3))


def sweep(now: datetime = LATER) -> int:
    return sum(removal.remove_expired(now=now))


def test_expired_files_go_with_their_bytes(folder: Path) -> None:
    for _ in range(3):
        upload()
    assert sweep(datetime.now(UTC)) == 0
    assert sum(removal.remove_expired(now=LATER, dry_run=True)) == 3
    assert sweep() == 3
    assert (list_stored(folder), keys_of_rows()) == ([], [])


def test_pages_reach_all_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "PAGE_FILES", 2)
    for _ in range(5):
        upload()
    TaskFile.objects.update(expires_at=Now() - timedelta(days=1))  # all at the same time
    assert sweep() == 5


def test_a_file_is_kept_as_long_as_a_task_that_names_it(folder: Path) -> None:
    file_id = upload().row.pk
    TaskCheckpoint.objects.create(task_id=OLD_TASK, updated_at=Now())
    uploads.hold_files([(file_id, OLD_TASK)])
    assert sweep() == 0
    with pytest.raises(FileInUse):
        removal.delete_file(str(file_id), caller=ANN)
    TaskCheckpoint.objects.all().delete()
    assert sweep() == 1
    assert not TaskFileUse.objects.exists()


def test_a_task_that_was_just_started_counts_before_it_has_a_row(folder: Path) -> None:
    file_id = upload().row.pk
    uploads.hold_files([(file_id, get_lowest_id(datetime.now(UTC)))])
    assert sweep() == 0


def test_what_was_never_completed_goes_after_a_day(folder: Path) -> None:
    store.begin(kind="upload", owner="ann", name="a", content_type="")
    assert sweep(datetime.now(UTC)) == 0
    assert sweep(datetime.now(UTC) + timedelta(hours=25)) == 1


def test_bytes_that_the_storage_keeps_are_tried_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = upload()
    with monkeypatch.context() as patch:
        patch.setattr(removal, "get_storage", lambda: BrokenStorage(OSError("read-only")))
        assert sweep() == 0
    with pytest.raises(UnknownFile):
        uploads.find_file(str(found.row.pk), caller=ANN)
    assert len(list_stored(folder)) == 1
    assert sweep() == 1
    assert list_stored(folder) == []


def test_the_owner_deletes_an_upload_and_nobody_else(folder: Path) -> None:
    file_id = str(upload().row.pk)
    with pytest.raises(UnknownFile):
        removal.delete_file(file_id, caller=Caller(owner="bob", scope=WRITE))
    removal.delete_file(file_id, caller=ANN)
    assert (list_stored(folder), keys_of_rows()) == ([], [])
    with pytest.raises(UnknownFile):
        removal.delete_file(file_id, caller=ANN)


def test_files_of_pruned_tasks_go(folder: Path) -> None:
    task_id = uuid.uuid4()
    artifact = task_files.write_file([b"x"], task_id=task_id, owner="ann", name="a")
    task_files.keep_files([artifact], task_id=task_id)
    with pytest.raises(FileInUse):
        removal.delete_file(str(artifact.id), caller=ANN)
    assert sweep() == 0
    removal.release_files([task_id])
    assert sweep() == 1
    assert list_stored(folder) == []
