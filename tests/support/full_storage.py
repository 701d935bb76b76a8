"""A storage without space, for a process under test."""

import errno
from typing import Any

from django.core.files.storage import Storage


class FullStorage(Storage):
    """Refuses every file as a full disk does."""

    def _save(self, name: str, content: Any) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    def exists(self, name: str) -> bool:
        return False

    def delete(self, name: str) -> None:
        """There is nothing to delete."""
