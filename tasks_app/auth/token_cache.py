"""The valid tokens in this process's memory, so that a request costs no SQL.

Owns how fresh they are. A token that is not known makes the process look again, within limits.
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
from tasks_app.resilience import machine_numbers

logger = logging.getLogger(__name__)


PREFIX: Final = "lt_"


CHARACTERS: Final = len(PREFIX) + 43  # 32 bytes in base64


MOST_KNOWN: Final = 100_000  # in a process's memory, some 45 MB; each of those beyond is looked up when it comes


FRESH_SECONDS: Final = 30.0  # one thread reads anew, the others go on with what they have


OLD_SECONDS: Final = 55.0  # all wait for what the database says now


LOOK_AGAIN_SECONDS: Final = 1.0  # between two readings of this machine because of unknown tokens


FAILED_SECONDS: Final = 5.0  # until a request asks the database again after it did not answer


@dataclass(frozen=True, slots=True)
class Bearer:
    """What a valid token says of who sends it."""

    token_id: int
    owner: str
    scope: str
    expires_at: float | None  # seconds since the epoch


def digest_of(secret: str) -> str:
    """Return what is stored of a token."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


class KnownTokens:
    """All valid tokens by digest, in this process's memory. How long digests take to compare tells nothing of a token."""

    def __init__(self) -> None:
        self._bearers: dict[str, Bearer] = {}
        self._by_id: dict[int, Bearer] = {}
        self._lock = threading.Lock()
        self._used: set[int] = set()
        self._noted_at = time.monotonic()
        self.forget()

    def forget(self) -> None:
        """Read anew at the next request."""
        self._bearers, self._by_id = {}, {}
        self._read_at = self._tried_at = self._looked_at = self._guesses_after = -math.inf
        self._failed = self._is_cut = False
        self._newest = 0.0  # id of the newest token that was there when it was read

    def find(self, secret: str) -> Bearer | None:
        """Return who sends this token; None for one that is unknown, revoked or expired.

        While the database is away nobody can revoke a token either, and what was read last holds. Raises UnsureToken
        then for one that has the form of ours and is not known, and StoreUnavailable where the tokens could not be
        read even once.
        """
        digest = digest_of(secret)
        has_form = len(secret) == CHARACTERS and secret.startswith(PREFIX)
        return self._find(lambda: self._bearers.get(digest), Q(digest=digest), may_be_valid=has_form)

    def find_by_id(self, token_id: int) -> Bearer | None:
        """Return whose token this is, as `find` does: None once it is revoked or expired."""
        return self._find(lambda: self._by_id.get(token_id), Q(pk=token_id), may_be_valid=True)

    def read_anew(self) -> bool:
        """Read the tokens, unless another thread does just now; tell whether the database answered the last time."""
        self._read_again(wait=False)
        return not self._failed

    def _find(self, check_interruption: Callable[[], Bearer | None], this: Q, *, may_be_valid: bool) -> Bearer | None:
        now = time.monotonic()
        if now - self._read_at > FRESH_SECONDS and now - self._tried_at > (FAILED_SECONDS if self._failed else 0):
            self._looked_at = now
            self._read_again(wait=now - self._read_at > OLD_SECONDS and not self._failed)
        bearer = check_interruption()
        if bearer is None:
            told = machine_numbers.read(machine_numbers.NEWEST_TOKEN)
            is_told = told > self._newest  # another process has found a new one, which may be this one: worth a wait
            has_looked = self._may_look(now, is_told) and self._read_again(wait=is_told, told=told, this=this)
            bearer = check_interruption()
            if bearer is None and may_be_valid:
                if self._read_at == -math.inf:
                    raise StoreUnavailable("the tokens are not known")
                if self._is_away(now) or (self._is_cut and not has_looked):
                    raise UnsureToken
        if bearer is None or (bearer.expires_at is not None and bearer.expires_at <= time.time()):
            return None
        self._used.add(bearer.token_id)
        return bearer

    def holds(self, secret: str) -> bool:
        """Tell without a look whether this token is among those read last."""
        return digest_of(secret) in self._bearers

    def may_find(self, secret: str) -> bool:
        """Tell without a look whether `find` may find this token: it is known, or one look a second is worth it."""
        now = time.monotonic()
        if now - self._read_at > FRESH_SECONDS or self.holds(secret):
            return True
        if machine_numbers.read(machine_numbers.NEWEST_TOKEN) > self._newest or now > self._guesses_after:
            self._guesses_after = now + LOOK_AGAIN_SECONDS
            return True
        return False

    def _may_look(self, now: float, is_told: bool) -> bool:
        """Tell whether an unknown token is worth a reading; one that says yes has taken the machine's for this second."""
        if self._failed and now - self._tried_at <= FAILED_SECONDS:
            return False  # a database that hangs would hold up each request
        if is_told or now - self._looked_at <= LOOK_AGAIN_SECONDS:
            return is_told
        with machine_numbers.locked(machine_numbers.LOOKED_AT) as looked_at:
            # The time since the system started is the same for all its processes; the file may be from before.
            now = time.monotonic()  # another may have looked while this one waited for the lock
            if 0 <= now - looked_at.value <= LOOK_AGAIN_SECONDS:
                return False
            looked_at.value = self._looked_at = now
        return True

    def _is_away(self, now: float) -> bool:
        """Tell whether the database did not answer this process, or another one of this machine, the last time."""
        if self._failed or (self._lock.locked() and now - self._tried_at > hung_database.HUNG_SECONDS):
            return True
        failed_at = machine_numbers.read(machine_numbers.TOKENS_FAILED_AT)  # may be from before the system started
        return failed_at > 0 and 0 <= now - failed_at <= 2 * FAILED_SECONDS

    def _read_again(self, *, wait: bool, told: float = 0.0, this: Q | None = None) -> bool:
        """Read the tokens, those used last first, and `this` one whatever their number; tell whether they were read."""
        asked_at = time.monotonic()
        if not self._lock.acquire(blocking=wait):
            return False
        try:
            # Those who have waited for another thread's reading take what it has found, or that it has failed.
            is_enough = self._newest >= told if told else asked_at - self._read_at < LOOK_AGAIN_SECONDS
            has_failed = self._failed and asked_at - self._tried_at <= FAILED_SECONDS
            if self._tried_at > asked_at or (wait and (is_enough or has_failed)):
                return False
            self._tried_at = asked_at
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
                if not self._failed:  # once an outage
                    logger.warning("the tokens could not be read; those known hold: %s", type(error).__name__)
                self._failed = True
                _tell_failure(asked_at)
                return False
            bearers = {
                digest: Bearer(token_id, owner, scope, expires_at.timestamp() if expires_at else None)
                for digest, token_id, owner, scope, expires_at in rows
            }
            newest = max((newest, *(bearer.token_id for bearer in bearers.values())))
            if newest > self._newest:
                _tell_others(newest)
            self._bearers, self._newest = bearers, newest
            self._by_id = {bearer.token_id: bearer for bearer in bearers.values()}
            self._read_at, self._failed = asked_at, False
            _tell_failure(0.0)
        finally:
            self._lock.release()
        if self._used and asked_at - self._noted_at > USED_SECONDS:
            used, self._used, self._noted_at = self._used, set(), asked_at
            # Aside: a write may have to wait for a lock, and the request shall not.
            threading.Thread(target=write_used, args=(used,), name=NOTING_THREAD, daemon=True).start()
        return True


def _tell_others(newest: float) -> None:
    """Make the other processes of this machine look when they next meet a token that they do not know."""
    with machine_numbers.locked(machine_numbers.NEWEST_TOKEN) as number:
        number.value = max(number.value, newest)


def _tell_failure(failed_at: float) -> None:
    """Tell the other processes of this machine when the database did not answer; 0: it does."""
    if machine_numbers.read(machine_numbers.TOKENS_FAILED_AT) != failed_at:
        with machine_numbers.locked(machine_numbers.TOKENS_FAILED_AT) as number:
            number.value = failed_at


known: Final = KnownTokens()
