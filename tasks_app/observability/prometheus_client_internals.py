"""The files in which web's processes share what they count: allocated when they grow, so that a full disk ends nobody.

prometheus_client maps files with holes; where the disk is full, writing into a hole ends the process (SIGBUS). Owns the
room of these files. Where there is none, a process counts in its own memory: `/metrics` misses that, and clients do not.
"""

from __future__ import annotations

import logging
import mmap
import os
from contextlib import suppress
from typing import Any, Final

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
    """Let all metrics that are made from now on use such files, where processes share them at all."""
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
