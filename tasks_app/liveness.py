"""Which workers are dead: by the word of their parent, by their own, or by their silence.

Owns how a death is certified and how silence is judged. Must not know tasks. A wrong judgement costs work, never
rows: the checkpoint fences whoever is alive after all.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

import redis
from django.conf import settings
from rq.utils import str_to_date, utcformat

CERTIFICATE_SECONDS: Final = 3600
CAUSE_CHARACTERS: Final = 200


class Death(Enum):
    KILLED = "killed"  # its parent has seen it die in the middle of its work
    STOPPED = "stopped"  # it was asked to end, and has
    SILENT = "silent"  # no sign of life for too long

    @property
    def is_certain(self) -> bool:
        return self is not Death.SILENT


def certify_death(connection: redis.Redis[Any], *, worker: str, was_killed: bool, cause: str = "") -> None:
    """Note that a worker's process is gone, for who has seen it: its tasks need not wait for their leases.

    `cause` says in words what ended it ("killed by SIGSEGV"), for the errors of its tasks.
    """
    key = f"rq:worker:{worker}"
    pipeline = connection.pipeline(transaction=True)
    death: Any = {"death": utcformat(datetime.now(UTC)), "killed": int(was_killed), "cause": cause[:CAUSE_CHARACTERS]}
    pipeline.hset(key, mapping=death)
    pipeline.expire(key, CERTIFICATE_SECONDS)
    pipeline.srem("rq:workers", key)
    for name in ("high", "low"):
        pipeline.srem(f"rq:workers:{name}", key)
    pipeline.execute()


def note_cause(connection: redis.Redis[Any], *, worker: str, cause: str) -> None:
    """Note why a worker gives no sign of life, before it is dead; "" takes that back. Changes no judgement."""
    key = f"rq:worker:{worker}"
    pipeline = connection.pipeline(transaction=True)
    if cause:
        pipeline.hset(key, "cause", cause[:CAUSE_CHARACTERS])
        pipeline.expire(key, CERTIFICATE_SECONDS)  # its own heartbeats, which set it, may have ended
    else:
        pipeline.hdel(key, "cause")
    pipeline.execute()


def read_causes(connection: redis.Redis[Any], workers: Iterable[str]) -> dict[str, str]:
    """Return what is known of why these workers died or fell silent; workers of which nothing is known are left out."""
    names = sorted(set(workers))
    pipeline = connection.pipeline(transaction=False)
    for name in names:
        pipeline.hget(f"rq:worker:{name}", "cause")
    answers = pipeline.execute() if names else []
    return {
        name: cause.decode(errors="replace")[:CAUSE_CHARACTERS]
        for name, cause in zip(names, answers, strict=True)
        if cause
    }


class Liveness:
    """Judges workers from pass to pass: who is silent must be seen so for a while before it counts as dead.

    For while Redis was away nobody could give a sign of life: `forget` when it was.
    """

    def __init__(self, *, connection: redis.Redis[Any]) -> None:
        self._redis = connection
        self._silent_since: dict[str, float] = {}

    def find_dead(self, workers: Iterable[str]) -> dict[str, Death]:
        """Return those of the workers that are dead."""
        names = sorted(workers)
        if not names:
            self._silent_since.clear()
            return {}
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.time()
        for name in names:
            pipeline.hmget(f"rq:worker:{name}", "last_heartbeat", "death", "killed")
        (seconds, _), *answers = pipeline.execute()
        # Three quarters of a lease until it is suspected, a quarter to make sure: together as long as its claims hold.
        lease_seconds = settings.LONGTASKS.lease_seconds
        now = time.monotonic()
        dead, silent = {}, {}
        for name, (beaten, death, killed) in zip(names, answers, strict=True):
            if death:
                dead[name] = Death.KILLED if killed == b"1" else Death.STOPPED
            elif not beaten or seconds - str_to_date(beaten).timestamp() >= lease_seconds * 0.75:
                silent[name] = self._silent_since.get(name, now)
                if now - silent[name] >= lease_seconds * 0.25:
                    dead[name] = Death.SILENT
        self._silent_since = silent
        return dead

    def forget(self) -> None:
        """Begin anew to judge silence."""
        self._silent_since.clear()
