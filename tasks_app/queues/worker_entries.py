"""The workers' entries in RQ's registry: heartbeats, exit reports, and the list of living workers.

Owns the fields of an entry, timed by Redis's clock. Must not judge whether a worker is dead (recovery/liveness_judge).
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis
from rq.utils import utcformat

from tasks_app.queues import lua_script, queue_names, redis_keys
from tasks_app.queues.redis_clock import clock

EXIT_REPORT_SECONDS: Final = 3600
CAUSE_CHARACTERS: Final = 200
OWN_FIELD: Final = "rows"  # only our workers have it
SKEW_FIELD: Final = "skew"
TYPES_FIELD: Final = "types"  # the task types that a worker knows
_beat: Final = lua_script.Script("beat")


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
