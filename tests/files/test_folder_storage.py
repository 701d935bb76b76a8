"""tasks_app/files/folder_storage.py: a file is on the disk before its row is complete."""

import os
from pathlib import Path

import pytest

from settings.file_storage import FOLDER, storage_settings
from tasks_app.files.storage import get_storage
from tests.support.stored_files import list_stored, upload

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_is_the_default(folder: Path) -> None:
    assert storage_settings(class_path="", options="", folder=folder)["BACKEND"] == FOLDER
    assert type(get_storage()).__name__ in FOLDER


def test_the_file_and_its_directories_are_flushed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    flush = os.fsync

    def note(opened: int) -> None:
        flushed.append(os.path.relpath(os.readlink(f"/proc/self/fd/{opened}"), folder))
        flush(opened)

    monkeypatch.setattr(os, "fsync", note)
    upload(b"abc")
    [key] = list_stored(folder)
    assert flushed == [key, os.path.dirname(key), os.path.dirname(os.path.dirname(key)), "."]
