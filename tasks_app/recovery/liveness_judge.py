"""Judges which workers are dead: by an exit report, by their own deregistration, or by missed heartbeats.

Owns the judgement, by Redis's clock. Must not know tasks. A wrong judgement costs work but no rows: the checkpoint fences
a worker that is still alive.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from enum import Enum
from typing import Any

import redis
from rq.utils import str_to_date

from tasks_app.conf import settings
from tasks_app.queues import redis_keys
from tasks_app.queues.worker_entries import CAUSE_CHARACTERS


class DeathEvidence(Enum):
    KILLED = "killed"  # its parent has seen it die while it worked
    STOPPED = "stopped"  # it was asked to end, and did
    SILENT = "silent"  # no heartbeat for too long

    @property
    def is_certain(self) -> bool:
        return self is not DeathEvidence.SILENT


def read_causes(connection: redis.Redis[Any], workers: Iterable[str]) -> dict[str, str]:
    """Return the known causes why these workers died or fell silent, by worker."""
    names = sorted(set(workers))
    pipeline = connection.pipeline(transaction=False)
    for name in names:
        pipeline.hget(redis_keys.worker_key(name), "cause")
    answers = pipeline.execute() if names else []
    return {
        name: cause.decode(errors="replace")[:CAUSE_CHARACTERS]
        for name, cause in zip(names, answers, strict=True)
        if cause
    }


class LivenessJudge:
    """Judges workers in each pass. A silent one counts as dead once it was silent in passes a quarter of a lease apart.

    Call `forget` after a Redis outage: no worker could send a heartbeat during it.
    """

    def __init__(self, *, connection: redis.Redis[Any]) -> None:
        self._redis = connection
        self._silent_since: dict[str, float] = {}

    def find_dead(self, workers: Iterable[str]) -> dict[str, DeathEvidence]:
        """Return the dead ones of these workers, with the evidence."""
        names = sorted(workers)
        if not names:
            self._silent_since.clear()
            return {}
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.time()
        for name in names:
            pipeline.hmget(redis_keys.worker_key(name), "last_heartbeat", "death", "killed")
        (seconds, _), *answers = pipeline.execute()
        # Suspected after three quarters of a lease, dead a quarter later: together as long as its claims are valid.
        lease_seconds = settings.LONGTASKS.lease_seconds
        now = time.monotonic()
        dead, silent = {}, {}
        for name, (beaten, death, killed) in zip(names, answers, strict=True):
            if death:
                dead[name] = DeathEvidence.KILLED if killed == b"1" else DeathEvidence.STOPPED
            elif not beaten or seconds - str_to_date(beaten).timestamp() >= lease_seconds * 0.75:
                silent[name] = self._silent_since.get(name, now)
                if now - silent[name] >= lease_seconds * 0.25:
                    dead[name] = DeathEvidence.SILENT
        self._silent_since = silent
        return dead

    def forget(self) -> None:
        """Forget all suspicions, because no worker could send a heartbeat."""
        self._silent_since.clear()
