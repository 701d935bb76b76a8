"""Which workers are dead: by their parent's exit report, by their own, or by missed heartbeats.

Owns heartbeats, exit reports and how missed heartbeats are judged, all by Redis's clock. Must not know tasks. A wrong
judgement costs work but no rows: the checkpoint fences a worker that is alive after all.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import redis
from django.conf import settings
from rq.utils import str_to_date, utcformat

from tasks_app.queues import lua_script, queue_names, redis_keys
from tasks_app.queues.redis_clock import clock

EXIT_REPORT_SECONDS: Final = 3600
CAUSE_CHARACTERS: Final = 200
OWN_FIELD: Final = "rows"  # only our workers have it
SKEW_FIELD: Final = "skew"
TYPES_FIELD: Final = "types"  # the task types that a worker knows
_beat: Final = lua_script.Script("beat")


class DeathEvidence(Enum):
    KILLED = "killed"  # its parent has seen it die while it worked
    STOPPED = "stopped"  # it was asked to end, and did
    SILENT = "silent"  # no heartbeat for too long

    @property
    def is_certain(self) -> bool:
        return self is not DeathEvidence.SILENT


def beat(
    connection: redis.Redis[Any], *, worker: str, queues: Sequence[str], fields: Mapping[str, Any], ttl_seconds: int
) -> None:
    """Send a heartbeat, timed by Redis: write `fields` and the skew of this machine's clock into RQ's hash of the worker.

    Each heartbeat writes everything, so the next one restores what a FLUSHALL has deleted.
    """
    if not clock.is_known:  # so that the first heartbeat reports the skew too
        sent_at = time.time()
        seconds, microseconds = connection.time()
        clock.note(sent_at=sent_at, seconds=seconds, microseconds=microseconds)
    reported = {**fields, SKEW_FIELD: f"{clock.skew_seconds:.3f}"}
    words = [word for pair in reported.items() for word in pair]
    sent_at = time.time()
    seconds, microseconds = _beat(
        connection, (redis_keys.worker_key(worker),), (ttl_seconds, len(queues), *queues, *words)
    )
    clock.note(sent_at=sent_at, seconds=seconds, microseconds=microseconds)


@dataclass(frozen=True, slots=True)
class Registered:
    """A worker in RQ's registry."""

    name: str
    queues: tuple[str, ...]
    is_ours: bool  # False: of another program, such as `rq worker`
    skew_seconds: float  # how far its machine's clock is ahead of Redis's
    types: frozenset[str] = frozenset()  # the task types that it knows; empty if it does not report them


def list_registered(connection: redis.Redis[Any]) -> list[Registered]:
    """Return the living workers of RQ's registry, ours and others."""
    keys: Any = sorted(connection.smembers(redis_keys.WORKERS_KEY))
    pipeline = connection.pipeline(transaction=False)
    for key in keys:
        pipeline.hmget(key, "queues", "death", OWN_FIELD, SKEW_FIELD, TYPES_FIELD)
    found = []
    for key, (queues, death, own, skew, types) in zip(keys, pipeline.execute(), strict=True):
        if queues and not death:
            names = tuple(queues.decode(errors="replace").split(","))
            found.append(
                Registered(
                    redis_keys.parse_worker_key(key),
                    names,
                    own is not None,
                    float(skew or 0),
                    _decode_types(types),
                )
            )
    return found


def encode_types(names: Sequence[str]) -> str:
    """Return the value of TYPES_FIELD for these task types."""
    return json.dumps(names)


def _decode_types(data: bytes | None) -> frozenset[str]:
    try:
        names = json.loads(data or b"[]")
    except ValueError:
        return frozenset()
    return frozenset(name for name in names if isinstance(name, str)) if isinstance(names, list) else frozenset()


def report_exit(connection: redis.Redis[Any], *, worker: str, was_killed: bool, cause: str = "") -> None:
    """Write the exit report of a worker's process, so that its tasks need not wait until their leases expire.

    `cause` is what ended it ("killed by SIGSEGV"), for the errors of its tasks.
    """
    key = redis_keys.worker_key(worker)
    pipeline = connection.pipeline(transaction=True)
    death: Any = {"death": utcformat(clock.now()), "killed": int(was_killed), "cause": cause[:CAUSE_CHARACTERS]}
    pipeline.hset(key, mapping=death)
    pipeline.expire(key, EXIT_REPORT_SECONDS)
    pipeline.srem(redis_keys.WORKERS_KEY, key)
    for name in queue_names.QUEUES:
        pipeline.srem(redis_keys.workers_of_key(name), key)
    pipeline.execute()


def note_cause(connection: redis.Redis[Any], *, worker: str, cause: str) -> None:
    """Record why a worker sends no heartbeat, before it is dead; "" deletes the record. No effect on the judgement."""
    key = redis_keys.worker_key(worker)
    pipeline = connection.pipeline(transaction=True)
    if cause:
        pipeline.hset(key, "cause", cause[:CAUSE_CHARACTERS])
        pipeline.expire(key, EXIT_REPORT_SECONDS)  # its heartbeats, which also set this, may have ended
    else:
        pipeline.hdel(key, "cause")
    pipeline.execute()


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
