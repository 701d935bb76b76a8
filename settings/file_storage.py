"""The storage of files: the checks of its variables, and STORAGES["longtasks"] of them.

Must not read a variable: env.py does that. Must not import a storage: Django does, at the first use.
"""

import json
import re
from pathlib import Path
from typing import Any

FOLDER = "tasks_app.files.folder_storage.FolderStorage"
_CLASS_PATH = re.compile(r"[A-Za-z_]\w{0,63}(?:\.[A-Za-z_]\w{0,63}){1,8}", re.ASCII)


def check_class_path(text: str) -> str:
    """Return the dotted path of a class, or an empty text. Raises ValueError."""
    if text and not _CLASS_PATH.fullmatch(text):
        raise ValueError("the dotted path of a class, such as storages.backends.s3.S3Storage")
    return text


def check_options(text: str) -> str:
    """Return the JSON of an object, or an empty text. Raises ValueError, which repeats nothing of it: it may hold a key."""
    try:
        is_object = not text or isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        is_object = False
    if not is_object:
        raise ValueError('a JSON object, such as {"bucket_name": "tasks"}')
    return text


def storage_settings(*, class_path: str, options: str, folder: Path) -> dict[str, Any]:
    """Return STORAGES["longtasks"]."""
    given = json.loads(options) if options else {}
    if class_path in ("", FOLDER):
        # Readable for this user alone, as the database in the same directory is.
        private = {"file_permissions_mode": 0o600, "directory_permissions_mode": 0o700}
        return {"BACKEND": FOLDER, "OPTIONS": {"location": str(folder / "stored"), **private, **given}}
    return {"BACKEND": class_path, "OPTIONS": given}
