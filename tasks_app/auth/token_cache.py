"""The cache of valid tokens in this process's memory, so that authenticating a request needs no SQL.

Owns how fresh the cache is. An unknown token triggers a new read of the table, within limits. Must not know HTTP.
"""

from __future__ import annotations

import hashlib
import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from django.db import DatabaseError, InterfaceError
from django.db.models import F, Q

from tasks_app.auth.token_use import NOTING_THREAD, USED_SECONDS, write_used
from tasks_app.database import hung_database
from tasks_app.errors import StoreUnavailable, UnsureToken
from tasks_app.models import ApiToken
from tasks_app.queues.suspended_calls import run_in_thread
from tasks_app.resilience import machine_numbers

logger = logging.getLogger(__name__)
PREFIX: Final = "lt_"
CHARACTERS: Final = len(PREFIX) + 43  # 32 bytes in base64
MOST_KNOWN: Final = 100_000  # tokens in a process's memory, about 45 MB; any other token is looked up when it is used
FRESH_SECONDS: Final = 30.0  # after this, one thread reads again and the others use the cached tokens
OLD_SECONDS: Final = 55.0  # after this, all threads wait for a new read
RETRY_LOOKUP_SECONDS: Final = 1.0  # between two reads on this machine that unknown tokens trigger
FAILED_SECONDS: Final = 5.0  # until a request reads again after the database was unavailable


@dataclass(frozen=True, slots=True)
class Bearer:
    """The identity and the rights of a valid token."""

    token_id: int
    owner: str
    scope: str
    expires_at: float | None  # seconds since the epoch


def digest_of(secret: str) -> str:
    """Return the digest under which a token is stored."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


class KnownTokens:
    """All valid tokens by digest. Comparing digests leaks nothing about a token by its timing."""

    def __init__(self) -> None:
        self._bearers: dict[str, Bearer] = {}
        self._by_id: dict[int, Bearer] = {}
        self._lock = threading.Lock()
        self._used: set[int] = set()
        self._noted_at = time.monotonic()
        self.forget()

    def forget(self) -> None:
        """Drop the cache; the next request reads the table."""
        self._bearers, self._by_id = {}, {}
        self._read_at = self._tried_at = self._looked_at = self._guesses_after = -math.inf
        self._failed = self._is_cut = False
        self._newest = 0.0  # id of the newest token at the last read

    def find(self, secret: str) -> Bearer | None:
        """Return the bearer of a token; None if the token is unknown, revoked or expired.

        While the database is unavailable the cached tokens stay valid: nobody can revoke one then. Raises UnsureToken
        for a well-formed token that is not cached while the database is unavailable, and StoreUnavailable if the
        tokens were never read.
        """
        digest = digest_of(secret)
        has_form = len(secret) == CHARACTERS and secret.startswith(PREFIX)
        return self._find(lambda: self._bearers.get(digest), Q(digest=digest), may_be_valid=has_form)

    def find_by_id(self, token_id: int) -> Bearer | None:
        """Return the bearer of the token with this id, as `find` does; None once the token is revoked or expired."""
        return self._find(lambda: self._by_id.get(token_id), Q(pk=token_id), may_be_valid=True)

    def refresh(self) -> bool:
        """Read the tokens unless another thread is reading them. Return whether the last read succeeded."""
        self._read_again(wait=False)
        return not self._failed

    def _find(self, look_up: Callable[[], Bearer | None], this: Q, *, may_be_valid: bool) -> Bearer | None:
        now = time.monotonic()
        if now - self._read_at > FRESH_SECONDS and now - self._tried_at > (FAILED_SECONDS if self._failed else 0):
            self._looked_at = now
            wait = now - self._read_at > OLD_SECONDS and not self._failed
            if wait or not self._lock.locked():
                run_in_thread(lambda: self._read_again(wait=wait))
        bearer = look_up()
        if bearer is None:
            newest = machine_numbers.read(machine_numbers.NEWEST_TOKEN)
            is_newer = (
                newest > self._newest
            )  # another process has found a new token, which may be this one: wait for a read
            has_looked = self._may_look(now, is_newer) and run_in_thread(
                lambda: self._read_again(wait=is_newer, wanted=newest, this=this)
            )
            bearer = look_up()
            if bearer is None and may_be_valid:
                if self._read_at == -math.inf:
                    raise StoreUnavailable("the tokens were never read")
                if self._is_unavailable(now) or (self._is_cut and not has_looked):
                    raise UnsureToken
        if bearer is None or (bearer.expires_at is not None and bearer.expires_at <= time.time()):
            return None
        self._used.add(bearer.token_id)
        return bearer

    def holds(self, secret: str) -> bool:
        """Return whether this token is cached. Reads nothing."""
        return digest_of(secret) in self._bearers

    def may_find(self, secret: str) -> bool:
        """Return whether `find` may find this token: it is cached, or a read is due (one a second). Reads nothing."""
        now = time.monotonic()
        if now - self._read_at > FRESH_SECONDS or self.holds(secret):
            return True
        if machine_numbers.read(machine_numbers.NEWEST_TOKEN) > self._newest or now > self._guesses_after:
            self._guesses_after = now + RETRY_LOOKUP_SECONDS
            return True
        return False

    def _may_look(self, now: float, is_newer: bool) -> bool:
        """Return whether an unknown token may trigger a read. True uses up the machine's one read of this second."""
        if self._failed and now - self._tried_at <= FAILED_SECONDS:
            return False  # a database that hangs would delay each request
        if is_newer or now - self._looked_at <= RETRY_LOOKUP_SECONDS:
            return is_newer
        with machine_numbers.locked(machine_numbers.LOOKED_UP_AT) as looked_at:
            # All processes share the monotonic clock of the machine. The file may date from before the last boot.
            now = time.monotonic()  # another process may have read while this one waited for the lock
            if 0 <= now - looked_at.value <= RETRY_LOOKUP_SECONDS:
                return False
            looked_at.value = self._looked_at = now
        return True

    def _is_unavailable(self, now: float) -> bool:
        """Return whether the last read of this process, or of another process of this machine, failed."""
        if self._failed or (self._lock.locked() and now - self._tried_at > hung_database.HUNG_SECONDS):
            return True
        failed_at = machine_numbers.read(machine_numbers.TOKENS_FAILED_AT)  # may date from before the last boot
        return failed_at > 0 and 0 <= now - failed_at <= 2 * FAILED_SECONDS

    def _read_again(self, *, wait: bool, wanted: float = 0.0, this: Q | None = None) -> bool:
        """Read the most recently used tokens, and `this` one if there are too many. Return whether they were read."""
        requested_at = time.monotonic()
        if not self._lock.acquire(blocking=wait):
            return False
        try:
            # A thread that waited for another thread's read uses the result of that read, or its failure.
            is_enough = self._newest >= wanted if wanted else requested_at - self._read_at < RETRY_LOOKUP_SECONDS
            has_failed = self._failed and requested_at - self._tried_at <= FAILED_SECONDS
            if self._tried_at > requested_at or (wait and (is_enough or has_failed)):
                return False
            self._tried_at = requested_at
            newest = machine_numbers.read(machine_numbers.NEWEST_TOKEN)  # may be revoked by now
            try:
                valid = (
                    ApiToken.objects.filter(revoked_at=None)
                    .exclude(expires_at__lte=datetime.now(UTC))
                    .values_list("digest", "id", "owner", "scope", "expires_at")
                )
                rows = list(valid.order_by(F("last_used_at").desc(nulls_last=True), "-pk")[:MOST_KNOWN])
                self._is_cut = len(rows) == MOST_KNOWN
                if self._is_cut and this is not None:
                    rows += valid.filter(this)
            except (DatabaseError, InterfaceError) as error:
                if not self._failed:  # one line for each outage
                    logger.warning(
                        "the tokens could not be read, the cached tokens stay valid: %s", type(error).__name__
                    )
                self._failed = True
                _publish_failure(requested_at)
                return False
            bearers = {
                digest: Bearer(token_id, owner, scope, expires_at.timestamp() if expires_at else None)
                for digest, token_id, owner, scope, expires_at in rows
            }
            newest = max((newest, *(bearer.token_id for bearer in bearers.values())))
            if newest > self._newest:
                _publish_newest(newest)
            self._bearers, self._newest = bearers, newest
            self._by_id = {bearer.token_id: bearer for bearer in bearers.values()}
            self._read_at, self._failed = requested_at, False
            _publish_failure(0.0)
        finally:
            self._lock.release()
        if self._used and requested_at - self._noted_at > USED_SECONDS:
            used, self._used, self._noted_at = self._used, set(), requested_at
            # In a thread: the write may wait for a lock, and the request must not.
            threading.Thread(target=write_used, args=(used,), name=NOTING_THREAD, daemon=True).start()
        return True


def _publish_newest(newest: float) -> None:
    """Publish the newest token id to this machine's processes: on the next unknown token they read again."""
    with machine_numbers.locked(machine_numbers.NEWEST_TOKEN) as number:
        number.value = max(number.value, newest)


def _publish_failure(failed_at: float) -> None:
    """Publish to this machine's processes when a read failed; 0 after a read that succeeded."""
    if machine_numbers.read(machine_numbers.TOKENS_FAILED_AT) != failed_at:
        with machine_numbers.locked(machine_numbers.TOKENS_FAILED_AT) as number:
            number.value = failed_at


known: Final = KnownTokens()
