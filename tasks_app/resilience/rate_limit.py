"""Rate limits: how often a client may do something, by buckets that all processes of this machine share.

Owns the arithmetic, and which bucket belongs to which client. Must not know requests.
"""

from __future__ import annotations

import time
from functools import cache
from hashlib import blake2b
from typing import Final

from tasks_app.conf import settings
from tasks_app.resilience import machine_numbers
from tasks_app.resilience.machine_numbers import ADDRESS_BUCKETS, BUCKETS, LOGIN_BUCKETS, TOKEN_BUCKETS

FULL_AFTER_SECONDS: Final = 60


def token_bucket(token_id: int) -> int:
    """Return a token's bucket; tokens whose ids are 65,536 apart share one."""
    return TOKEN_BUCKETS + token_id % BUCKETS


def address_bucket(address: bytes) -> int:
    """Return the bucket of a network address."""
    return ADDRESS_BUCKETS + _hash(address)


def login_bucket(client: str) -> int:
    """Return the bucket of a name in a login, or of a known browser."""
    return LOGIN_BUCKETS + _hash(client.encode("utf-8", "surrogateescape"))


def take(bucket: int, *, per_minute: int) -> float:
    """Take one request from a bucket. Returns 0 if there was one, else the seconds until there is one.

    The bucket holds the requests of a minute and fills evenly. It is stored as the time at which it will be full again.
    """
    interval_seconds = FULL_AFTER_SECONDS / per_minute
    with machine_numbers.locked(bucket) as full_at:
        now = time.time()
        # Without the upper bound, a clock that is set back would leave a bucket empty for as long.
        will_be_full_at = min(max(full_at.value, now), now + FULL_AFTER_SECONDS) + interval_seconds
        if will_be_full_at - now > FULL_AFTER_SECONDS + 1e-6:
            return will_be_full_at - now - FULL_AFTER_SECONDS
        full_at.value = will_be_full_at
    return 0.0


def get_wait_seconds(bucket: int, *, per_minute: int) -> float:
    """Return what `take` would return, but take nothing."""
    now = time.time()
    full_at = min(machine_numbers.read(bucket), now + FULL_AFTER_SECONDS) + FULL_AFTER_SECONDS / per_minute
    return full_at - now - FULL_AFTER_SECONDS if full_at - now > FULL_AFTER_SECONDS + 1e-6 else 0.0


def give_back(bucket: int, *, per_minute: int) -> None:
    """Return the request that `take` took."""
    with machine_numbers.locked(bucket) as full_at:
        full_at.value -= FULL_AFTER_SECONDS / per_minute


def _hash(client: bytes) -> int:
    """Return a keyed hash, so that no client can choose whose bucket it shares."""
    return int.from_bytes(blake2b(client, key=_key(), digest_size=8).digest()) % BUCKETS


@cache
def _key() -> bytes:
    return blake2b(settings.SECRET_KEY.encode(), person=b"longtasks rates", digest_size=32).digest()
