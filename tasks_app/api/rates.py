"""How often a token may call: one bucket for each, shared by all web processes of this machine, in mapped memory.

Owns the file of buckets. No round trip; a lock of the system on the bucket's own bytes, which ends with its holder.
Without it a process that the system holds up between reading and writing (the page's first write waits for the disk)
would write back an old state, and all that was taken meanwhile would pass once more.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final

from django.conf import settings

SLOTS: Final = 65_536  # tokens whose ids are so far apart share a bucket
_TIME: Final = struct.Struct("d")
_threads: Final = threading.Lock()  # the system's lock is one for all threads of a process


def take(*, slot: int, per_minute: int) -> float:
    """Take one request from the bucket: 0 when it may pass, else the seconds until one may.

    The bucket holds a minute's worth and fills evenly. It is kept as the time at which it will be full again.
    """
    offset = slot % SLOTS * _TIME.size
    interval_seconds = 60 / per_minute
    with _locked(offset) as buckets:
        now = time.time()
        (full_at,) = _TIME.unpack_from(buckets, offset)
        # A clock that was set back would leave a bucket empty for as long.
        full_at = min(max(full_at, now), now + 60) + interval_seconds
        if full_at - now > 60 + 1e-6:
            return float(full_at - now - 60)
        _TIME.pack_into(buckets, offset, full_at)
    return 0.0


@contextmanager
def _locked(offset: int) -> Iterator[mmap.mmap]:
    buckets, descriptor = _open()
    with _threads:
        if descriptor is None:
            yield buckets
            return
        fcntl.lockf(descriptor, fcntl.LOCK_EX, _TIME.size, offset)
        try:
            yield buckets
        finally:
            fcntl.lockf(descriptor, fcntl.LOCK_UN, _TIME.size, offset)


@cache
def _open() -> tuple[mmap.mmap, int | None]:
    size = SLOTS * _TIME.size
    try:
        settings.DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(settings.DATA_DIR / f"rates-{settings.PORT}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return mmap.mmap(-1, size), None  # nowhere to write: a bucket in each process
    os.ftruncate(descriptor, size)
    return mmap.mmap(descriptor, size), descriptor
