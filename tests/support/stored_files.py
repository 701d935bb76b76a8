"""A storage of the test's own, and files in it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import storages

from settings.file_storage import FOLDER
from tasks_app.files.spool import Spool
from tasks_app.files.uploads import FoundFile, store_upload
from tasks_app.models import TaskFile


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Generator[Path, None, None]:
    """The folder of the storage."""
    settings.FILE_DIR = tmp_path
    location = {"location": str(tmp_path / "files")}
    settings.STORAGES = {**settings.STORAGES, "longtasks": {"BACKEND": FOLDER, "OPTIONS": location}}
    yield tmp_path / "files"
    vars(storages).pop("backends", None)


class BrokenStorage:
    """A storage whose methods raise what the test has chosen."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        def fail(*args: Any, **kwargs: Any) -> Any:
            raise self._error

        return fail


def upload(content: bytes = b"sku,name\n", *, owner: str = "ann", name: str = "a.csv") -> FoundFile:
    """Store a file as POST /files does."""
    with Spool() as spool:
        spool.write(content)
        return store_upload(spool, owner=owner, name=name, content_type="text/csv")


Store = Callable[..., str]


@pytest.fixture
def store(folder: Path) -> Store:
    """`store(b"a,b", name="x.csv")`: the id of a new file in the storage."""
    return lambda content, **options: str(upload(content, **{"owner": ""} | options).row.pk)


def list_stored(folder: Path) -> list[str]:
    """Return the keys of all bytes in the storage."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def keys_of_rows() -> list[str]:
    """Return the keys that rows name."""
    return sorted(TaskFile.objects.values_list("storage_key", flat=True))
