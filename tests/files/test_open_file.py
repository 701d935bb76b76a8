"""tasks_app/files/open_file.py: a task reads a file, or learns why it never will."""

import gzip
import uuid
from pathlib import Path

import pytest

from tasks_app.errors import HopelessError
from tasks_app.files.open_file import FileDamaged, FileGone, open_file
from tasks_app.models import TaskFile
from tests.support.stored_files import upload

pytestmark = pytest.mark.django_db


def test_it_is_binary_and_seekable(folder: Path) -> None:
    with open_file(str(upload(b"line 1\r\nline 2").row.pk)) as file:
        assert (file.readline(), file.tell()) == (b"line 1\r\n", 8)
        file.seek(5)
        assert file.read(3) == b"1\r\n"


def test_gzip_reads_through_it(folder: Path) -> None:
    with open_file(upload(gzip.compress(b"abc")).row.pk) as file, gzip.open(file) as content:
        assert content.read() == b"abc"


@pytest.mark.parametrize("wanted", ["x", "", uuid.uuid4(), str(uuid.UUID(int=7))])
def test_an_unknown_file_is_gone(folder: Path, wanted: str) -> None:
    with pytest.raises(FileGone):
        open_file(wanted)


def test_a_file_whose_bytes_are_lost_or_cut_is_hopeless(folder: Path) -> None:
    row = upload(b"abc").row
    (folder / row.storage_key).write_bytes(b"ab")
    with pytest.raises(FileDamaged):
        open_file(row.pk)
    (folder / row.storage_key).unlink()
    with pytest.raises(FileGone) as gone:
        open_file(row.pk)
    assert isinstance(gone.value, HopelessError)
    TaskFile.objects.update(is_complete=False)
    with pytest.raises(FileGone):
        open_file(row.pk)
