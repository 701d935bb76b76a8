"""A storage of files for one test: an empty folder instead of STORAGES["longtasks"].

Owns the settings for it. Must not know pytest.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from django.test import override_settings

from tasks_app.conf import settings
from tasks_app.conf.project import changed, is_embedded
from tasks_app.files.storage import ALIAS


@contextmanager
def storage_in(folder: Path) -> Generator[None, None, None]:
    """Keep files in `folder` inside the block."""
    options = {"location": str(folder / "files")}
    own = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": options}
    where = {"LONGTASKS": changed(data_dir=folder)} if is_embedded() else {"FILE_DIR": folder}
    with override_settings(**where, STORAGES={**settings.STORAGES, ALIAS: own}):
        yield
