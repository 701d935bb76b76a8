"""How often a token may call: one bucket for each, shared by all web processes of this machine, in mapped memory.

Owns the file of buckets. No lock and no round trip: two processes that take from one bucket in the same microsecond
may count once, which lets one request too many pass.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from functools import cache
from typing import Final

from django.conf import settings

SLOTS: Final = 65_536  # tokens whose ids are so far apart share a bucket
_TIME: Final = struct.Struct("d")


def take(*, slot: int, per_minute: int) -> float:
    """Take one request from the bucket: 0 when it may pass, else the seconds until one may.

    The bucket holds a minute's worth and fills evenly. It is kept as the time at which it will be full again.
    """
    buckets = _map()
    offset = slot % SLOTS * _TIME.size
    now = time.time()
    interval_seconds = 60 / per_minute
    (full_at,) = _TIME.unpack_from(buckets, offset)
    # A clock that was set back would leave a bucket empty for as long.
    full_at = min(max(full_at, now), now + 60) + interval_seconds
    if full_at - now > 60 + 1e-6:
        return float(full_at - now - 60)
    _TIME.pack_into(buckets, offset, full_at)
    return 0.0


@cache
def _map() -> mmap.mmap:
    size = SLOTS * _TIME.size
    try:
        settings.DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(settings.DATA_DIR / f"rates-{settings.PORT}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return mmap.mmap(-1, size)  # nowhere to write: a bucket in each process
    try:
        os.ftruncate(descriptor, size)
        return mmap.mmap(descriptor, size)
    finally:
        os.close(descriptor)
