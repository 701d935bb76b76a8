"""tasks_app/files/uploads.py and store.py: a file is stored whole or not at all, and seen by its owner."""

import errno
import hashlib
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage

from tasks_app.domain.callers import ADMIN, WRITE, Caller
from tasks_app.errors import FilesFull, FilesUnavailable, FileTooLarge, UnknownFile
from tasks_app.files import storage, store, uploads
from tasks_app.files.spool import Spool
from tasks_app.models import TaskFile, TaskFileUse
from tests.support.stored_files import BrokenStorage, keys_of_rows, list_stored, upload

pytestmark = pytest.mark.django_db(transaction=True)
ANN, BOB = Caller(owner="ann", scope=WRITE), Caller(owner="bob", scope=WRITE)
BOSS = Caller(owner="boss", scope=ADMIN)


def test_an_upload_has_size_and_digest_of_its_bytes(folder: Path) -> None:
    content = b"\x00\xff" * 300_000
    found = upload(content)
    assert (found.row.size, found.row.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert list_stored(folder) == [found.row.storage_key]
    assert (folder / found.row.storage_key).read_bytes() == content
    assert found.expires_at is not None
    assert (found.expires_at - found.row.created_at).days == 7


def test_its_name_is_not_in_the_storage(folder: Path) -> None:
    upload(name="very secret.csv")
    assert "secret" not in "".join(list_stored(folder))


def test_only_the_owner_and_an_admin_see_it(folder: Path) -> None:
    file_id = str(upload().row.pk)
    assert uploads.find_file(file_id, caller=ANN).row.name == "a.csv"
    assert uploads.find_file(file_id, caller=BOSS).row.name == "a.csv"
    for wanted, caller in ((file_id, BOB), (str(uuid.uuid4()), ANN), ("x", ANN), ("", ANN)):
        with pytest.raises(UnknownFile):
            uploads.find_file(wanted, caller=caller)
    assert uploads.find_own([file_id, "x"], caller=ANN) == {uuid.UUID(file_id)}
    assert uploads.find_own([file_id], caller=BOB) == set()


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), FilesFull),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), FilesFull),
        (OSError(errno.EIO, "I/O error"), FilesUnavailable),
        (RuntimeError("an S3 client's own error"), FilesUnavailable),
    ],
)
def test_a_storage_that_fails_is_named_by_cause(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, raised: type[Exception]
) -> None:
    monkeypatch.setattr(store, "get_storage", lambda: BrokenStorage(error))
    with pytest.raises(raised):
        upload()
    # The storage could not delete either: the row stays for the sweep, and is not seen.
    assert list(TaskFile.objects.values_list("is_complete", flat=True)) == [False]


def test_a_disk_that_gets_full_in_the_middle_keeps_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(FileSystemStorage):
        def _save(self, name: str, content: Any) -> str:
            (folder / name).parent.mkdir(parents=True)
            (folder / name).write_bytes(b"the first bytes")
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "get_storage", lambda: Full(location=folder))
    with pytest.raises(FilesFull):
        upload()
    assert (list_stored(folder), keys_of_rows()) == ([], [])


def test_a_spool_refuses_more_than_its_limit_and_leaves_no_file(folder: Path, settings: Any) -> None:
    with Spool(limit_bytes=10) as spool:
        spool.write(b"x" * 10)
        with pytest.raises(FileTooLarge):
            spool.write(b"x")
        assert spool.size == 10
        assert list(Path(settings.FILE_DIR).iterdir()) == []


def test_files_are_held_for_all_tasks_or_none(folder: Path) -> None:
    file_id, gone, task_id = upload().row.pk, uuid.uuid4(), uuid.uuid4()
    assert uploads.hold_files([(file_id, task_id), (gone, task_id)]) == {gone}
    assert not TaskFileUse.objects.exists()
    for _ in range(2):  # idempotent
        assert uploads.hold_files([(file_id, task_id), (file_id, task_id)]) == set()
    assert TaskFileUse.objects.count() == 1
    assert uploads.find_file(str(file_id), caller=ANN).expires_at is None


def test_storages_are_found_by_django(folder: Path) -> None:
    assert storage.get_storage().exists("x") is False
