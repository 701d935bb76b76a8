"""Which workers are dead: by the word of their parent, by their own, or by their silence.

Owns a worker's sign of life, how a death is certified and how silence is judged: all by Redis's clock. Must not know
tasks. A wrong judgement costs work, never rows: the checkpoint fences whoever is alive after all.
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
OWN_FIELD: Final = "rows"  # which only our workers tell
SKEW_FIELD: Final = "skew"
TYPES_FIELD: Final = "types"  # the task types that a worker knows
_beat: Final = lua_script.Script("beat")


class DeathEvidence(Enum):
    KILLED = "killed"  # its parent has seen it die in the middle of its work
    STOPPED = "stopped"  # it was asked to end, and has
    SILENT = "silent"  # no sign of life for too long

    @property
    def is_certain(self) -> bool:
        return self is not DeathEvidence.SILENT


def beat(
    connection: redis.Redis[Any], *, worker: str, queues: Sequence[str], fields: Mapping[str, Any], ttl_seconds: int
) -> None:
    """Tell that a worker lives and what it does, by Redis's clock; `fields` go into RQ's hash of it.

    Its own clock's skew is told with it, and anything is written each time: a FLUSHALL is mended by the next one.
    """
    if not clock.is_known:  # the first sign of life tells of the skew too
        sent_at = time.time()
        seconds, microseconds = connection.time()
        clock.note(sent_at=sent_at, seconds=seconds, microseconds=microseconds)
    told = {**fields, SKEW_FIELD: f"{clock.skew_seconds:.3f}"}
    words = [word for pair in told.items() for word in pair]
    sent_at = time.time()
    seconds, microseconds = _beat(
        connection, (redis_keys.worker_key(worker),), (ttl_seconds, len(queues), *queues, *words)
    )
    clock.note(sent_at=sent_at, seconds=seconds, microseconds=microseconds)


@dataclass(frozen=True, slots=True)
class Registered:
    """A worker that stands in RQ's registry."""

    name: str
    queues: tuple[str, ...]
    is_ours: bool  # False: of another program, such as `rq worker`
    skew_seconds: float  # how far its machine's clock is ahead of Redis's
    types: frozenset[str] = frozenset()  # the task types that it knows; none where it does not say


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
    """Return the field by which a worker says which task types it knows."""
    return json.dumps(names)


def _decode_types(data: bytes | None) -> frozenset[str]:
    try:
        names = json.loads(data or b"[]")
    except ValueError:
        return frozenset()
    return frozenset(name for name in names if isinstance(name, str)) if isinstance(names, list) else frozenset()


def report_exit(connection: redis.Redis[Any], *, worker: str, was_killed: bool, cause: str = "") -> None:
    """Note that a worker's process is gone, for who has seen it: its tasks need not wait for their leases.

    `cause` says in words what ended it ("killed by SIGSEGV"), for the errors of its tasks.
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
    """Note why a worker gives no sign of life, before it is dead; "" takes that back. Changes no judgement."""
    key = redis_keys.worker_key(worker)
    pipeline = connection.pipeline(transaction=True)
    if cause:
        pipeline.hset(key, "cause", cause[:CAUSE_CHARACTERS])
        pipeline.expire(key, EXIT_REPORT_SECONDS)  # its own heartbeats, which set it, may have ended
    else:
        pipeline.hdel(key, "cause")
    pipeline.execute()


def read_causes(connection: redis.Redis[Any], workers: Iterable[str]) -> dict[str, str]:
    """Return what is known of why these workers died or fell silent; workers of which nothing is known are left out."""
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
    """Judges workers from pass to pass: who is silent must be seen so for a while before it counts as dead.

    For while Redis was away nobody could give a sign of life: `forget` when it was.
    """

    def __init__(self, *, connection: redis.Redis[Any]) -> None:
        self._redis = connection
        self._silent_since: dict[str, float] = {}

    def find_dead(self, workers: Iterable[str]) -> dict[str, DeathEvidence]:
        """Return those of the workers that are dead."""
        names = sorted(workers)
        if not names:
            self._silent_since.clear()
            return {}
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.time()
        for name in names:
            pipeline.hmget(redis_keys.worker_key(name), "last_heartbeat", "death", "killed")
        (seconds, _), *answers = pipeline.execute()
        # Three quarters of a lease until it is suspected, a quarter to make sure: together as long as its claims hold.
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
        """Begin anew to judge silence."""
        self._silent_since.clear()
