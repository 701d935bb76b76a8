"""Numbers that all processes of this machine share: a mapped file, with a lock of the operating system on each number.

Owns the file and its layout. Must not know what the numbers mean. Needs no round trip; a lock ends with its process.
Without locks, a process that is delayed between reading and writing (the page's first write waits for the disk) would
write back an old value, and everything written meanwhile would be lost.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Final

from tasks_app.conf import settings

BUCKETS: Final = 65_536  # of each kind
TOKEN_BUCKETS: Final = 0
ADDRESS_BUCKETS: Final = BUCKETS
LOGIN_BUCKETS: Final = 2 * BUCKETS
LOOKED_UP_AT: Final = 3 * BUCKETS  # when a process last looked up unknown tokens
NEWEST_TOKEN: Final = LOOKED_UP_AT + 1  # the highest id that such a lookup has found
TOKENS_FAILED_AT: Final = NEWEST_TOKEN + 1  # when a lookup failed; 0: the last one succeeded
_NUMBERS: Final = TOKENS_FAILED_AT + 1
_NUMBER: Final = struct.Struct("d")
_threads: Final = threading.Lock()  # the lock of the operating system does not separate the threads of a process


class Number:
    """One number. It must be locked while it is read and written."""

    __slots__ = ("_memory", "_offset")

    def __init__(self, memory: mmap.mmap, offset: int) -> None:
        self._memory, self._offset = memory, offset

    @property
    def value(self) -> float:
        return float(_NUMBER.unpack_from(self._memory, self._offset)[0])

    @value.setter
    def value(self, value: float) -> None:
        _NUMBER.pack_into(self._memory, self._offset, value)


def read(number: int) -> float:
    """Return the value of a number, without locking it."""
    memory, _ = _open()
    return Number(memory, number * _NUMBER.size).value


@contextmanager
def locked(number: int) -> Iterator[Number]:
    """Lock a number for this thread alone, on the whole machine, and yield it. Keep the lock for arithmetic only."""
    memory, descriptor = _open()
    offset = number * _NUMBER.size
    with _threads:
        if descriptor is None:
            yield Number(memory, offset)
            return
        fcntl.lockf(descriptor, fcntl.LOCK_EX, _NUMBER.size, offset)
        try:
            yield Number(memory, offset)
        finally:
            fcntl.lockf(descriptor, fcntl.LOCK_UN, _NUMBER.size, offset)


def clear() -> None:
    """Set all numbers to 0. For tests."""
    memory, _ = _open()
    memory[:] = bytes(len(memory))


@cache
def _open() -> tuple[mmap.mmap, int | None]:
    size = _NUMBERS * _NUMBER.size
    descriptor = None
    try:
        settings.DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(settings.DATA_DIR / f"rates-{settings.PORT}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        _allocate(descriptor, size)
    except OSError:
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)
        return mmap.mmap(-1, size), None  # no writable directory: each process has its own numbers
    return mmap.mmap(descriptor, size), descriptor


def _allocate(descriptor: int, size: int) -> None:
    """Allocate the disk space now: on a full disk, a write into a hole of a mapped file kills the process (SIGBUS)."""
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        os.ftruncate(descriptor, size)  # the file system does not support it
