"""The private parts of prometheus_client that this project uses: the files that its processes share.

It reaches into `values.MmapedDict`, which it replaces, and MmapedDict's `_init_value`, `_used`, `_capacity`, `_f` and
`_m`. prometheus_client maps files with holes, and a write into a hole of a full disk ends the process (SIGBUS); no option
makes it allocate them. Owns the allocation. If it fails, a process counts in its own memory, which `/metrics` misses.
tests/observability/test_prometheus_client_internals.py fails when prometheus_client changes.
"""

from __future__ import annotations

import logging
import mmap
import os
from contextlib import suppress
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

logger = logging.getLogger(__name__)
FIRST_BYTES: Final = 1 << 16  # as prometheus_client begins
ENTRY_BYTES: Final = 64  # of an entry beside its key, padding included


class AllocatedDict(MmapedDict):
    """prometheus_client's mapped file, without holes."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        super().__init__(filename if read_mode else _allocate(filename), read_mode)  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        if self._used + len(key.encode()) + ENTRY_BYTES > self._capacity:
            self._grow(2 * self._capacity + len(key.encode()))
        super()._init_value(key)  # type: ignore[no-untyped-call]

    def _grow(self, size: int) -> None:
        file: Any = self._f
        try:
            os.posix_fallocate(file.fileno(), 0, size)
            memory = mmap.mmap(file.fileno(), size)
        except OSError as error:
            file = open(_in_memory(size, error), "a+b")  # noqa: SIM115 (as long as the process lives)
            memory = mmap.mmap(file.fileno(), size)
            memory[: self._capacity] = self._m[: self._capacity]
            self._f.close()
        self._f, self._m, self._capacity = file, memory, size


def use_allocated_files() -> None:
    """Make all metrics that are created from now on use such files, if processes share them at all.

    Raises ImproperlyConfigured if prometheus_client has changed.
    """
    if getattr(values, "MmapedDict", None) not in (MmapedDict, AllocatedDict) or not hasattr(MmapedDict, "_init_value"):
        raise ImproperlyConfigured(f"prometheus_client has changed: adapt {__name__} to this version.")
    values.MmapedDict = AllocatedDict  # type: ignore[attr-defined]


def _allocate(filename: str) -> str:
    """Make room for a file; return its name, or that of one in memory."""
    try:
        descriptor = os.open(filename, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, max(FIRST_BYTES, os.fstat(descriptor).st_size))
        finally:
            os.close(descriptor)
    except OSError as error:
        with suppress(OSError):
            os.unlink(filename)
        return _in_memory(FIRST_BYTES, error)
    return filename


def _in_memory(size: int, error: OSError) -> str:
    logger.warning("this process's metrics stay in its memory, and are not part of /metrics: %s", error)
    descriptor = os.memfd_create("longtasks-metrics")
    os.ftruncate(descriptor, size)
    return f"/proc/self/fd/{descriptor}"
