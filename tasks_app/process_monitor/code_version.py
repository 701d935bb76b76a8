"""The version of the code that a process runs: the release, and a digest of its files.

Owns the digest, which distinguishes two deploys of one release without git. Must not know processes.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from django.conf import settings

FOLDERS: Final = ("longtasks", "settings", "tasks_app", "catalog")
SUFFIXES: Final = frozenset({".py", ".lua", ".html"})
_DIGEST_CHARACTERS: Final = 8


def read_code_version(*, root: Path | None = None) -> str:
    """Return the version of the code on disk, such as `1.0.0+3f9a12cd`. Reads some megabytes."""
    digest = hashlib.sha256()
    root = root or Path(settings.BASE_DIR)
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in SUFFIXES and path.is_file():
                digest.update(f"{path.relative_to(root)}\0".encode(errors="surrogateescape"))
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return f"{settings.SPECTACULAR_SETTINGS['VERSION']}+{digest.hexdigest()[:_DIGEST_CHARACTERS]}"
