"""The version of the code that a process runs: the release, and a digest of its files.

Owns the digest, which distinguishes two deploys of one release without git. Must not know processes.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from django.apps import apps

from tasks_app import __version__
from tasks_app.conf import settings
from tasks_app.conf.project import is_embedded

OWN: Final = Path(__file__).resolve().parent.parent
FOLDERS: Final = ("longtasks", "settings", "tasks_app", "catalog")
SUFFIXES: Final = frozenset({".py", ".lua", ".html"})
_DIGEST_CHARACTERS: Final = 8


def read_code_version(*, root: Path | None = None) -> str:
    """Return the version of the code on disk, such as `1.0.0+3f9a12cd`. Reads some megabytes."""
    digest = hashlib.sha256()
    for folder in _list_folders(root or Path(settings.BASE_DIR)):
        for path in sorted(folder.rglob("*")):
            if path.suffix in SUFFIXES and path.is_file():
                digest.update(f"{path.relative_to(folder.parent)}\0".encode(errors="surrogateescape"))
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return f"{__version__}+{digest.hexdigest()[:_DIGEST_CHARACTERS]}"


def _list_folders(root: Path) -> list[Path]:
    """Return the folders of our code; in another project, of tasks_app and of the project's own applications."""
    if not is_embedded():
        return [root / folder for folder in FOLDERS]
    installed = (Path(config.path) for config in apps.get_app_configs())
    return [OWN, *sorted(path for path in installed if path.is_relative_to(root) and "site-packages" not in path.parts)]
